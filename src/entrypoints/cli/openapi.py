"""`etl openapi`."""


def openapi() -> None:
    """Print the OpenAPI document of this server."""
