"""The command `etl`. Modules are imported when their command runs: `etl ls` pays for no server."""
