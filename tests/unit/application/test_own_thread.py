"""What may hang runs in a thread of its own, and its answer or error is handed on."""

import asyncio
import threading

import pytest

from application.asking.own_thread import in_own_thread


async def test_the_answer_comes_from_a_thread_that_keeps_no_process_from_ending() -> None:
    thread = await asyncio.wrap_future(in_own_thread("disk", threading.current_thread))
    assert (thread.name, thread.daemon) == ("disk", True)


async def test_whatever_goes_wrong_is_handed_on() -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await asyncio.wrap_future(in_own_thread("disk", fail))
