"""Every setting: its name, type, default and meaning, as `etl config show` and docs/operations.md have it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from domain.rate import Rate
from domain.worker import LeaseTerms

DURATION: Final = "duration"
SIZE: Final = "size"
RATE: Final = "rate"
SECRET: Final = "hidden"  # noqa: S105 - the word, not a password

Seconds = Annotated[float, Meta(extra={"kind": DURATION})]
SomeSeconds = Annotated[float, Meta(gt=0, extra={"kind": DURATION})]
Often = Annotated[Rate | None, Meta(extra={"kind": RATE})]
Bytes = Annotated[int, Meta(gt=0, extra={"kind": SIZE})]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=10_000)]
Name = Annotated[str, Meta(min_length=1)]
QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Origin = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+\Z")]
"""As a browser writes it (RFC 6454): with no path, no slash at its end, in lower case."""
OnStop = Literal["hand_over", "wait", "stop"]


def _cores() -> int:
    return os.cpu_count() or 1


def _log_format() -> Literal["console", "json"]:
    return "console" if sys.stderr.isatty() else "json"


class Data(Struct, frozen=True, kw_only=True):
    directory: Annotated[Path, Meta(description="everything that the embedded default keeps")] = Path(".etl")


class Database(Struct, frozen=True, kw_only=True):
    url: Annotated[
        Name | None,
        Meta(description="postgresql://…; unset: embedded PostgreSQL", extra={"kind": SECRET}),
    ] = None
    pool: Annotated[Count, Meta(description="most connections of one process")] = 10


class Scripts(Struct, frozen=True, kw_only=True):
    directory: Annotated[Path, Meta(description="the only place scripts are run from")] = Path("scripts")
    python: Annotated[Path, Meta(description="the interpreter for *.py")] = field(
        default_factory=lambda: Path(sys.executable)
    )
    allow_commands: Annotated[bool, Meta(description="whether `command` (any argv) is accepted at all")] = (
        False
    )


class Worker(Struct, frozen=True, kw_only=True):
    slots: Annotated[Count, Meta(description="attempts at once")] = field(default_factory=_cores)
    queues: Annotated[tuple[QueueName, ...], Meta(description="queues to claim from; none: all")] = ()
    labels: Annotated[Mapping[str, str], Meta(description="shown with the worker: name=value,…")] = field(
        default_factory=dict
    )
    lease: Annotated[Seconds, Meta(description="how long an attempt that may be repeated is safe")] = 60.0
    last_lease: Annotated[Seconds, Meta(description="how long a job's last attempt is safe")] = 900.0
    poll: Annotated[
        SomeSeconds, Meta(description="longest wait if a notification is lost, or for a time that has come")
    ] = 5.0
    http_host: Annotated[Name, Meta(description="address of `etl worker` for /health and /metrics")] = (
        "127.0.0.1"
    )
    http_port: Annotated[Port | None, Meta(description="its port; unset: `etl worker` listens nowhere")] = (
        None
    )
    on_stop: Annotated[
        OnStop | None,
        Meta(description="what a stop does to what runs; unset: hand_over, under `etl serve` wait"),
    ] = None
    drain: Annotated[Seconds, Meta(description="how long a stop waits, with on_stop wait")] = 600.0


class Process(Struct, frozen=True, kw_only=True):
    timeout: Annotated[SomeSeconds, Meta(description="of a job that states none")] = 3600.0
    stop_grace: Annotated[Seconds, Meta(description="between SIGTERM and SIGKILL")] = 10.0
    environment: Annotated[tuple[Name, ...], Meta(description="names passed through to scripts")] = (
        "PATH",
        "HOME",
        "LANG",
        "TZ",
    )
    user: Annotated[
        Name | None, Meta(description="whom programs run as, if not as the worker; root only")
    ] = None


class Logs(Struct, frozen=True, kw_only=True):
    directory: Annotated[Path | None, Meta(description="unset: `logs` in data.directory")] = None
    max_size: Annotated[
        Bytes, Meta(description="of an attempt; past it the head and the latest tail are kept")
    ] = 2**30
    compress_after: Annotated[
        Seconds, Meta(description="logs that nobody wrote to for so long are compressed")
    ] = 86400.0


class Retention(Struct, frozen=True, kw_only=True):
    jobs: Annotated[Seconds, Meta(description="how long final jobs are kept")] = 90 * 86400.0
    logs: Annotated[Seconds, Meta(description="how long logs are kept")] = 30 * 86400.0
    logs_size: Annotated[
        Bytes | None,
        Meta(description="of all logs of a directory; beyond it those written longest ago go first"),
    ] = None
    disk_floor: Annotated[Bytes, Meta(description="below this much free disk no attempt is started")] = 2**30


class Http(Struct, frozen=True, kw_only=True):
    host: Annotated[Name, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0: any free one")] = 8000
    auth: Annotated[bool, Meta(description="`off` is refused unless the host is loopback")] = True
    cors_origins: Annotated[tuple[Origin, ...], Meta(description="browser origins that may call")] = ()
    max_body: Annotated[Bytes, Meta(description="largest request")] = 2**20
    rate_limit: Annotated[Often, Meta(description="requests of one key or token, over all processes")] = Rate(
        600, 60.0
    )
    failure_limit: Annotated[Often, Meta(description="failed logins from one address")] = Rate(30, 60.0)
    trusted_proxies: Annotated[
        tuple[Name, ...], Meta(description="addresses whose `X-Forwarded-For` is believed")
    ] = ()


class Jwt(Struct, frozen=True, kw_only=True):
    issuer: Annotated[Name | None, Meta(description="the `iss` of access tokens")] = None
    audience: Annotated[Name | None, Meta(description="the `aud` that names this service")] = None
    jwks_url: Annotated[Name | None, Meta(description="where the issuer publishes its keys")] = None
    public_key_file: Annotated[Path | None, Meta(description="or its one public key, in PEM")] = None
    secret: Annotated[
        Name | None,
        Meta(description="or the secret it shares: at least 32 bytes", extra={"kind": SECRET}),
    ] = None
    algorithms: Annotated[
        tuple[Name, ...],
        Meta(description="of one family; none: HS256 for a secret, else RS256"),
    ] = ()
    scope_claim: Annotated[Name, Meta(description="the claim that holds the scopes")] = "scope"

    @property
    def pinned(self) -> tuple[str, ...]:
        """The algorithms that are accepted, and no others."""
        return self.algorithms or (("HS256",) if self.secret is not None else ("RS256",))

    @property
    def sources(self) -> tuple[str, ...]:
        """Which of the three ways to a key are set. None: access tokens are not accepted."""
        names = ("jwks_url", "public_key_file", "secret")
        return tuple(name for name in names if getattr(self, name) is not None)


class Telemetry(Struct, frozen=True, kw_only=True):
    log_format: Annotated[
        Literal["console", "json"], Meta(description="console on a terminal, else json")
    ] = field(default_factory=_log_format)
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="lines from this weight on")
    ] = "info"


class Settings(Struct, frozen=True, kw_only=True):
    """All settings, in force. Durations are seconds, sizes bytes, paths absolute."""

    data: Data = field(default_factory=Data)
    database: Database = field(default_factory=Database)
    scripts: Scripts = field(default_factory=Scripts)
    worker: Worker = field(default_factory=Worker)
    process: Process = field(default_factory=Process)
    logs: Logs = field(default_factory=Logs)
    retention: Retention = field(default_factory=Retention)
    http: Http = field(default_factory=Http)
    http_jwt: Jwt = field(default_factory=Jwt, name="http.jwt")
    telemetry: Telemetry = field(default_factory=Telemetry)

    @property
    def lease_terms(self) -> LeaseTerms:
        """Six renewals and six margins fit into the shorter lease, so that one lost renewal is no harm."""
        step = min(10.0, self.worker.lease / 6)
        return LeaseTerms(
            seconds=self.worker.lease,
            last_seconds=self.worker.last_lease,
            margin_seconds=step,
            renew_every_seconds=step,
        )

    @property
    def logs_directory(self) -> Path:
        return self.logs.directory or self.data.directory / "logs"
