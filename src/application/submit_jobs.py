"""Submit: from a request to jobs that survive everything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from application.ports.clock import Chance, Clock
from application.ports.job_queue import Idempotency, JobQueue, Submitted
from application.ports.notifier import JobsWaiting, Notifier
from application.ports.script_catalog import ScriptCatalog
from domain.access import Principal, Scope
from domain.errors import CommandsNotAllowed, InvalidJob, Place
from domain.job import JobSpec, new_job


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRules:
    """What this installation fills in, and what it allows."""

    timeout_seconds: float
    stop_grace_seconds: float
    allow_commands: bool


@dataclass(frozen=True, slots=True)
class SubmitJobs:
    """All of the specs become jobs, or none."""

    queue: JobQueue
    scripts: ScriptCatalog
    notifier: Notifier
    clock: Clock
    chance: Chance
    rules: SubmitRules

    async def __call__(
        self, specs: Sequence[JobSpec], by: Principal, idempotency: Idempotency | None = None
    ) -> Submitted:
        """Raises InvalidJob, UnknownScript, MissingScope, CommandsNotAllowed, IdempotencyKeyReused."""
        now = self.clock.now()
        accepted = [self._accepted(spec, by) for spec in specs]
        jobs = [new_job(self.chance.new_id(), spec, now, by.name) for spec in accepted]
        submitted = await self.queue.submit(jobs, idempotency)
        self.notifier.publish(*{JobsWaiting(job.spec.queue) for job in submitted.jobs})
        return submitted

    def _accepted(self, spec: JobSpec, by: Principal) -> JobSpec:
        spec.check()
        if spec.command.script is None:
            by.require(Scope.JOBS_COMMAND)
            if not self.rules.allow_commands:
                raise CommandsNotAllowed("This server runs scripts only: `scripts.allow_commands` is off.")
        else:
            by.require(Scope.JOBS_SUBMIT)
            self.scripts.argv(spec.command.script)
        return spec.with_defaults(self.rules.timeout_seconds, self.rules.stop_grace_seconds)


@dataclass(frozen=True, slots=True)
class SubmitBatch:
    """Many at once; the places of what is wrong begin with the index in the batch."""

    submit: SubmitJobs

    async def __call__(
        self, specs: Sequence[JobSpec], by: Principal, idempotency: Idempotency | None = None
    ) -> Submitted:
        """Raises what SubmitJobs raises, with all wrong jobs of the batch named at once."""
        places = tuple(place for index, spec in enumerate(specs) for place in _faults(index, spec))
        if places:
            raise InvalidJob("Some of these jobs could never run; none was accepted.", places)
        return await self.submit(specs, by, idempotency)


def _faults(index: int, spec: JobSpec) -> Sequence[Place]:
    return [replace(place, pointer=f"/jobs/{index}{place.pointer}") for place in spec.faults()]
