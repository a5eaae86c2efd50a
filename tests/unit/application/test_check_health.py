import asyncio

import pytest

from application import check_health
from application.check_health import CheckHealth
from domain.errors import DatabaseUnavailable


async def passes() -> None:
    return


async def fails() -> None:
    raise DatabaseUnavailable("The database does not answer.")


async def hangs() -> None:
    await asyncio.Event().wait()


async def test_each_check_says_ok_or_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_health, "LIMIT_SECONDS", 0.05)
    said = await CheckHealth({"disk": passes, "database": fails, "notifier": hangs})()
    assert said == {
        "disk": "ok",
        "database": "The database does not answer.",
        "notifier": "No answer within 0.05 s.",
    }


async def test_a_fault_of_ours_is_not_hidden_as_ill_health() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await CheckHealth({"broken": broken})()


async def test_a_check_that_still_looks_is_not_begun_again_and_its_late_answer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, gate = 0, asyncio.Event()

    async def stuck() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    monkeypatch.setattr(check_health, "LIMIT_SECONDS", 0.02)
    health = CheckHealth({"logs": stuck, "disk": passes})
    for _ in range(5):
        assert await health() == {"logs": "No answer within 0.02 s.", "disk": "ok"}
    assert begun == 1
    gate.set()
    monkeypatch.setattr(check_health, "LIMIT_SECONDS", 20)
    assert await health() == {"logs": "ok", "disk": "ok"}
