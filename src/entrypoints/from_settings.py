"""What the settings say, in the terms of those who need it."""

import os
import socket
from collections.abc import Mapping
from uuid import UUID

from application.ports.clock import Clock
from application.ports.rate_limits import RateLimits
from application.submit_jobs import SubmitRules
from domain.secret import passwords_in
from domain.worker import Worker
from entrypoints.http.addresses import Addresses
from entrypoints.http.config import HttpConfig
from entrypoints.http.limits import RequestLimits
from entrypoints.settings import Settings, is_loopback
from entrypoints.settings.values import all_settings
from entrypoints.version import VERSION


def submit_rules(settings: Settings) -> SubmitRules:
    return SubmitRules(
        timeout_seconds=settings.process.timeout,
        stop_grace_seconds=settings.process.stop_grace,
        allow_commands=settings.scripts.allow_commands,
    )


def http_config(settings: Settings) -> HttpConfig:
    return HttpConfig(
        auth=settings.http.auth,
        max_body=settings.http.max_body,
        cors_origins=settings.http.cors_origins,
        open_metrics=is_loopback(settings.http.host),
        version=VERSION,
    )


def request_limits(settings: Settings, limits: RateLimits, clock: Clock) -> RequestLimits:
    addresses = Addresses.behind(settings.http.trusted_proxies)
    return RequestLimits(
        limits, clock, settings.http.rate_limit, settings.http.failure_limit, addresses=addresses
    )


def watch_config(settings: Settings) -> HttpConfig:
    """Of a worker's own address: without keys only where nobody else can ask."""
    is_local = is_loopback(settings.worker.http_host)
    auth = settings.http.auth or not is_local
    return HttpConfig(auth=auth, max_body=settings.http.max_body, open_metrics=is_local, version=VERSION)


def this_worker(settings: Settings) -> Worker:
    """Its id is that of no session: every session begins with a new one."""
    return Worker(
        id=UUID(int=0),
        host=socket.gethostname(),
        pid=os.getpid(),
        version=VERSION,
        slots=settings.worker.slots,
        queues=settings.worker.queues,
        labels=settings.worker.labels,
    )


def passed_environment(settings: Settings) -> Mapping[str, str]:
    """What of this process's environment reaches a script: the configured names, and nothing else."""
    return {name: os.environ[name] for name in settings.process.environment if name in os.environ}


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """The secrets among the settings, and the passwords within them: no log may hold them.

    The embedded database's password is none: its socket lets in nobody but the user who can read it.
    """
    values = [setting.of(settings) for setting in all_settings() if setting.is_secret]
    whole = [value for value in values if isinstance(value, str)]
    return (*whole, *(password for value in whole for password in passwords_in(value)))
