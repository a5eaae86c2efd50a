"""`etl openapi`."""

import sys

from entrypoints.cli import flags


def openapi() -> None:
    """Print the OpenAPI document. No server needs to run."""
    # The routes cost a second to import, and nothing of them is opened: no database is asked.
    from entrypoints.container import Container  # noqa: PLC0415 - as above
    from entrypoints.from_settings import http_config  # noqa: PLC0415 - as above
    from entrypoints.http.app import routes_of  # noqa: PLC0415 - as above
    from entrypoints.http.openapi import document_of, printed  # noqa: PLC0415 - as above

    settings = flags.settings(None)
    container = Container(settings=settings, database_url="postgresql://")
    document = document_of(routes_of(container.use_cases(), http_config(settings)))
    sys.stdout.buffer.write(printed(document))
