"""Ports filled by PostgreSQL, processes, files and memory. Adapters do not know each other."""
