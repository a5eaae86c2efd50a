"""The API on a real server, and its live logs as a browser reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from domain.job import Job
from entrypoints.http.server import HttpServer
from tests.integration.http.api import PATIENCE, Api, until


@dataclass
class Live:
    api: Api
    server: HttpServer
    port: int
    client: httpx.AsyncClient

    async def job(self, **request: object) -> Job:
        made = await self.client.post("/api/v1/jobs", json={"script": "load.py", **request})
        return await self.api.start(made.json()["id"])

    def events(self, job: Job, **headers: str) -> "Events":
        return Events(self.client, f"/api/v1/jobs/{job.id}/log/stream", headers)


@dataclass
class Events:
    """Server-sent events, read as a browser reads them."""

    client: httpx.AsyncClient
    url: str
    headers: dict[str, str]

    async def __aiter__(self) -> AsyncIterator[dict[str, str]]:
        async with self.client.stream("GET", self.url, headers=self.headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name or "comment"] = value
                elif event:
                    yield event
                    event = {}

    async def all(self) -> list[dict[str, str]]:
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self]


def texts(events: list[dict[str, str]]) -> list[str]:
    return [json.loads(event["data"])["text"] for event in events if event.get("event") == "line"]


async def until_followed(api: Api, readers: int = 1) -> None:
    await until(lambda: len(api.records.inboxes) == readers)
