"""Work that may hang: it takes no place in the pool of others, and keeps no process from ending."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Answer = TypeVar("Answer")


def in_own_thread(name: str, work: Callable[[], Answer]) -> Future[Answer]:
    """Begins at once; `name` is the thread's. Whoever no longer waits leaves it to itself."""
    answer: Future[Answer] = Future()

    def do() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is handed on
            answer.set_exception(error)

    Thread(target=do, name=name, daemon=True).start()
    return answer
