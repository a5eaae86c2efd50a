"""Submit: from a request to jobs that survive everything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from application.ports.clock import Chance, Clock
from application.ports.job_queue import Idempotency, JobQueue, Submitted
from application.ports.meters import Meters
from application.ports.notifier import JobsWaiting, Notifier
from application.ports.script_catalog import ScriptCatalog
from domain.access import Principal, Scope
from domain.command import Command
from domain.errors import CommandsNotAllowed, InvalidJob, Place, UnknownScript
from domain.job import new_job
from domain.job_spec import JobSpec

ScriptFaults = Callable[[str | None], Sequence[Place]]


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
    meters: Meters
    rules: SubmitRules

    async def __call__(
        self, specs: Sequence[JobSpec], by: Principal, idempotency: Idempotency | None = None
    ) -> Submitted:
        """Raises InvalidJob, UnknownScript, MissingScope, CommandsNotAllowed, IdempotencyKeyReused, and
        Unauthenticated if the key of `by` has been revoked: it stood when the jobs were stored.
        """
        return await self.enqueue(
            [self.accepted(spec, by, self.script_faults) for spec in specs], by, idempotency
        )

    def accepted(self, spec: JobSpec, by: Principal, script_faults: ScriptFaults) -> JobSpec:
        """The spec with what it leaves out. Who may is asked before what is wrong is told."""
        self._authorize(spec.command, by)
        faults, unknown = tuple(spec.faults()), script_faults(spec.command.script)
        if faults:
            raise InvalidJob("This job could never run; `errors` names each place.", (*faults, *unknown))
        if unknown:
            raise UnknownScript("The script cannot be run; `errors` says why.", unknown)
        return spec.with_defaults(self.rules.timeout_seconds, self.rules.stop_grace_seconds)

    async def enqueue(
        self, accepted: Sequence[JobSpec], by: Principal, idempotency: Idempotency | None
    ) -> Submitted:
        now = self.clock.now()
        jobs = [new_job(self.chance.new_id(), spec, now, by.name) for spec in accepted]
        submitted = await self.queue.submit(jobs, idempotency, by.key_id)
        if not submitted.replayed:
            self.meters.submitted(len(jobs))
        self.notifier.publish(*{JobsWaiting(job.spec.queue) for job in submitted.jobs})
        return submitted

    def script_faults(self, script: str | None) -> Sequence[Place]:
        """What keeps this script from being run."""
        if script is None:
            return ()
        try:
            self.scripts.argv(script)
        except UnknownScript as error:
            return error.places
        return ()

    def _authorize(self, command: Command, by: Principal) -> None:
        if command.script is not None:
            by.require(Scope.JOBS_SUBMIT)
        if command.argv:
            by.require(Scope.JOBS_COMMAND)
            if not self.rules.allow_commands:
                raise CommandsNotAllowed("This server runs scripts only: `scripts.allow_commands` is off.")


@dataclass(frozen=True, slots=True)
class SubmitBatch:
    """Many at once; the places of what is wrong begin with the index in the batch."""

    submit: SubmitJobs

    async def __call__(
        self, specs: Sequence[JobSpec], by: Principal, idempotency: Idempotency | None = None
    ) -> Submitted:
        """Raises what SubmitJobs raises, with all wrong jobs of the batch named at once: UnknownScript
        where nothing but scripts is wrong, else InvalidJob.
        """
        script_faults = cache(self.submit.script_faults)  # most batches name one script a thousand times
        accepted: list[JobSpec] = []
        wrong: dict[int, InvalidJob | UnknownScript] = {}
        for index, spec in enumerate(specs):
            try:
                accepted.append(self.submit.accepted(spec, by, script_faults))
            except (InvalidJob, UnknownScript) as error:
                wrong[index] = error
        if wrong:
            raise _refused(wrong)
        return await self.submit.enqueue(accepted, by, idempotency)


def _refused(wrong: Mapping[int, InvalidJob | UnknownScript]) -> InvalidJob | UnknownScript:
    places = [
        replace(place, pointer=f"/jobs/{index}{place.pointer}")
        for index, error in wrong.items()
        for place in error.places
    ]
    if all(isinstance(error, UnknownScript) for error in wrong.values()):
        return UnknownScript("Some of these scripts cannot be run; no job was accepted.", places)
    return InvalidJob("Some of these jobs could never run; none was accepted.", places)
