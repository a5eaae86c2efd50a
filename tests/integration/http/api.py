"""The HTTP API on the memory adapters, a worker's controls, and a client that holds it to its document."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs
import msgspec

from adapters.memory.access_store import MemoryAccessStore
from adapters.memory.disk_space import MemoryDiskSpace
from adapters.memory.job_history import MemoryJobHistory
from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.log_store import MemoryLogStore
from adapters.memory.notifier import MemoryNotifier
from adapters.memory.rate_limits import MemoryRateLimits
from adapters.memory.records import Records
from adapters.memory.script_catalog import MemoryScriptCatalog
from adapters.memory.token_verifier import MemoryTokenVerifier
from adapters.memory.worker_registry import MemoryWorkerRegistry
from adapters.prometheus.meters import PrometheusMeters
from adapters.system.clock import SystemChance, SystemClock
from adapters.system.tracer import NoTracer
from application.authenticate import Authenticate
from application.cancel_job import CancelJob
from application.check_health import CheckHealth
from application.follow_log import FollowLog
from application.job_reads import JobReads
from application.log_pages import LogPages
from application.manage_keys import IssueKey, ListKeys, RevokeKey
from application.manage_queues import LimitQueue, ListQueues, PauseQueue, ResumeQueue
from application.manage_workers import DrainWorker, ListWorkers
from application.ports.notifier import JobChanged
from application.ports.tracer import Tracer
from application.read_jobs import (
    AwaitJob,
    ExplainJob,
    FindJobs,
    ListAttempts,
    ListEvents,
    ListJobs,
    ReadJob,
)
from application.read_log import FindLog, ReadLogBytes, ReadLogLines
from application.read_metrics import ReadMetrics
from application.retry_job import RetryJob
from application.submit_jobs import SubmitBatch, SubmitJobs, SubmitRules
from domain.access import Scope, digest_of
from domain.access_token import Claims
from domain.attempt import Ending
from domain.horizon import HorizonHolder
from domain.job import Job
from domain.log import LogRef, Stream
from domain.rate import Rate
from entrypoints.exposition import Exposition
from entrypoints.http.addresses import Addresses
from entrypoints.http.app import HttpConfig, UseCases, create_app, routes_of
from entrypoints.http.limits import RequestLimits
from entrypoints.http.openapi import document_of
from tests.builders import TERMS, a_key, a_worker, claim_of, report_of, succeeded

CHANCE = SystemChance()
PATIENCE = 20.0
RULES = SubmitRules(timeout_seconds=3600.0, stop_grace_seconds=10.0, allow_commands=True)


class Api:
    """One installation in memory behind the HTTP edge."""

    def __init__(self, rules: SubmitRules = RULES) -> None:
        self.records, self.clock = Records(), SystemClock()
        self.queue = MemoryJobQueue(self.records, self.clock, CHANCE)
        self.history = MemoryJobHistory(self.records, self.clock)
        self.registry = MemoryWorkerRegistry(self.records, self.clock)
        self.access = MemoryAccessStore(self.records)
        self.tokens = MemoryTokenVerifier()
        self.rates = MemoryRateLimits(self.clock)
        self.callers: Rate | None = None
        self.failures: Rate | None = None
        self.proxies: tuple[str, ...] = ()
        self.notifier = MemoryNotifier(self.records)
        self.logs = MemoryLogStore()
        self.scripts = MemoryScriptCatalog("load.py")
        self.checks: dict[str, Callable[[], Awaitable[None]]] = {}
        self.worker = a_worker()
        self.rules = rules
        self.meters = PrometheusMeters()
        self.tracer: Tracer = NoTracer()
        self.horizon: HorizonHolder | None = None

    async def oldest_transaction(self) -> HorizonHolder | None:
        return self.horizon

    async def key(self, *scopes: Scope, name: str = "alice") -> str:
        """The secret of a new key."""
        secret = f"etl_{CHANCE.secret()}"
        await self.access.add(a_key(secret, name=name, scopes=frozenset(scopes), digest=digest_of(secret)))
        return secret

    def token(self, *scopes: Scope, name: str = "alice@example", seconds: float = 3600) -> str:
        """An access token that the issuer has just issued."""
        token, now = f"token.{CHANCE.secret()}.x", self.clock.now()
        self.tokens.issued[token] = Claims(
            subject=name,
            scopes=frozenset(scopes),
            issued_at=now,
            not_before=now,
            expires_at=now + timedelta(seconds=seconds),
        )
        return token

    def app(self, config: HttpConfig | None = None) -> Any:
        return create_app(self.use_cases(), config or HttpConfig(), self.meters, self.tracer)

    async def client(
        self, *scopes: Scope, config: HttpConfig | None = None, **headers: str
    ) -> httpx.AsyncClient:
        """A client with a key of these scopes. Each answer is held against the OpenAPI document."""
        if scopes:
            headers = {"Authorization": f"Bearer {await self.key(*scopes)}", **headers}
        transport = httpx.ASGITransport(self.app(config), raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://localhost",
            headers=headers,
            event_hooks={"response": [Documented(document())]},
        )

    async def start(self, job_id: UUID | str) -> Job:
        """A worker claims and starts this job."""
        if self.worker.id not in self.records.sessions:
            await self.registry.join(self.worker, TERMS)
        claimed = {job.id: job for job in await self.queue.claim(self.worker.id, 100)}
        job = claimed[UUID(str(job_id))]
        await self.queue.start([claim_of(job)])
        self.notifier.publish(JobChanged(job.id))
        return await self.history.get(job.id)

    async def end(self, job: Job, ending: Ending | None = None) -> Job:
        await self.queue.report([report_of(job, ending or succeeded())])
        self.notifier.publish(JobChanged(job.id))
        return await self.history.get(job.id)

    async def write(self, job: Job, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        await self.logs.write(LogRef(job_id=job.id, fence=job.fence), stream, data)

    def use_cases(self) -> UseCases:
        submit = SubmitJobs(
            self.queue, self.scripts, self.notifier, self.clock, CHANCE, self.meters, self.rules
        )
        return UseCases(
            authenticate=Authenticate(self.access, self.clock, self.tokens),
            submit_jobs=submit,
            submit_batch=SubmitBatch(submit),
            cancel_job=CancelJob(self.queue, self.notifier, self.clock),
            retry_job=RetryJob(self.queue, self.history, self.notifier, self.clock, CHANCE, self.meters),
            read_job=ReadJob(self.history),
            explain_job=ExplainJob(self.history, self.clock),
            await_job=AwaitJob(self.history, self.notifier, self.clock),
            list_jobs=ListJobs(self.history),
            find_jobs=FindJobs(self.history),
            list_attempts=ListAttempts(self.history),
            list_events=ListEvents(self.history),
            find_log=FindLog(self.history),
            read_log_bytes=ReadLogBytes(self.logs),
            read_log_lines=ReadLogLines(self.logs),
            follow_log=FollowLog(JobReads(self.history), LogPages(self.logs), self.logs, self.notifier),
            list_queues=ListQueues(self.queue),
            pause_queue=PauseQueue(self.queue),
            resume_queue=ResumeQueue(self.queue, self.notifier),
            limit_queue=LimitQueue(self.queue, self.notifier),
            list_workers=ListWorkers(self.registry),
            drain_worker=DrainWorker(self.registry),
            issue_key=IssueKey(self.access, self.clock, CHANCE),
            list_keys=ListKeys(self.access),
            revoke_key=RevokeKey(self.access, self.clock),
            check_health=CheckHealth(self.checks),
            exposition=Exposition(
                self.meters.registry,
                ReadMetrics(self.queue, self.registry, self.oldest_transaction),
                MemoryDiskSpace(),
                floor_bytes=1,
            ),
            limits=self.limits(),
        )

    def limits(self) -> RequestLimits:
        addresses = Addresses.behind(self.proxies)
        return RequestLimits(self.rates, self.clock, self.callers, self.failures, addresses=addresses)


async def until(holds: Callable[[], bool]) -> None:
    """Looks again and again, for at most `PATIENCE`."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - the memory store tells nobody of its subscribers
            await asyncio.sleep(0.005)


@cache
def document() -> dict[str, Any]:
    return document_of(routes_of(Api().use_cases(), HttpConfig()))


@dataclass
class Documented:
    """Fails where an answer is not in the document: its status, its media type, or its shape."""

    document: dict[str, Any]

    async def __call__(self, response: httpx.Response) -> None:
        await response.aread()
        described = self._operation(response.request)
        if described is None:
            assert response.status_code in {204, 400, 403, 404, 405}, response.text
            return
        answers = described["responses"]
        assert str(response.status_code) in answers, (
            response.request.url,
            response.status_code,
            response.text,
        )
        content = answers[str(response.status_code)].get("content", {})
        if response.content or content:
            self._fits(response, content)

    def _operation(self, request: httpx.Request) -> dict[str, Any] | None:
        method = request.method.lower()
        for path, methods in self.document["paths"].items():
            if method in methods and _leads_to(path, request.url.raw_path.decode().partition("?")[0]):
                return dict(methods[method])
        return None

    def _fits(self, response: httpx.Response, content: dict[str, Any]) -> None:
        media = response.headers["content-type"].partition(";")[0]
        assert media in content or "*/*" in content, (response.request.url, media, list(content))
        schema = content.get(media, {}).get("schema", {})
        bodies = response.content.splitlines() if media.endswith("ndjson") else [response.content]
        for body in bodies if media.endswith("json") and schema else ():
            self.validator(schema).validate(msgspec.json.decode(body))

    def validator(self, schema: dict[str, Any]) -> jsonschema_rs.Validator:
        whole = {**schema, "components": self.document["components"]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def _leads_to(template: str, path: str) -> bool:
    steps, parts = template.split("/"), path.split("/")
    if len(steps) != len(parts):
        return False
    return all(step == part or step.startswith("{") for step, part in zip(steps, parts, strict=True))
