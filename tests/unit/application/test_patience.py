import pytest

from application.asking import patience
from domain.errors import DatabaseUnavailable, JobNotFound


class Asked:
    """Answers after so many failures."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.times = 0

    async def __call__(self) -> str:
        self.times += 1
        if self.times <= self.failures:
            raise self.error
        return "answer"


async def test_it_asks_until_the_database_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LONGEST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
    ask = Asked(5, DatabaseUnavailable("away"))
    assert (await patience.until_answered(ask), ask.times) == ("answer", 6)


async def test_any_other_error_is_an_answer() -> None:
    ask = Asked(1, JobNotFound("gone"))
    with pytest.raises(JobNotFound):
        await patience.until_answered(ask)
    assert ask.times == 1
