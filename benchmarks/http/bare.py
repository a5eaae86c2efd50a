"""What the submit is measured against: a Litestar handler that inserts one row, and nothing around it.

The same framework, server, pool and driver as the product's; no key, no checks, no limits, no log line, one
table without a second index.
"""

import asyncio
import sys
from typing import Annotated, Any

from litestar import Litestar, post
from litestar.params import Body
from litestar.types import ASGIApp
from msgspec import Struct
from sqlalchemy import text

from adapters.postgres.engine import Database
from adapters.system.clock import SystemChance
from entrypoints.http.server import serve

INSERT = "INSERT INTO bare (id, script) VALUES (%(id)s, %(script)s) RETURNING 1"


class Row(Struct):
    script: str


def app_of(database: Database) -> ASGIApp:
    chance = SystemChance()

    @post("/rows")
    async def insert(data: Annotated[Row, Body()]) -> dict[str, Any]:
        row_id = chance.new_id()
        await database.at_once(INSERT, {"id": row_id, "script": data.script})
        return {"id": str(row_id), "script": data.script}

    return Litestar([insert], openapi_config=None, logging_config=None)


async def main(url: str, pool_size: int) -> None:
    database = Database(url, pool_size=pool_size)
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE bare (id uuid PRIMARY KEY, script text)"))
    await serve(app_of(database), "127.0.0.1", 0, lambda port: print(port, flush=True))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
