from uuid import uuid4

from application.asking.inbox import MOST_WAITING, Inbox
from application.ports.notifier import JobChanged, Reconnected, changes_of


async def test_a_reader_that_falls_far_behind_is_told_to_look_at_all() -> None:
    inbox = Inbox()
    for _ in range(MOST_WAITING + 5):
        inbox.put([JobChanged(uuid4())])
    kept = await inbox.wait(1)
    assert Reconnected() in kept
    assert len(kept) <= 6


async def test_what_was_read_is_not_told_again() -> None:
    inbox, notice = Inbox(), JobChanged(uuid4())
    inbox.put([notice, notice])
    assert await inbox.wait(1) == {notice}
    assert await inbox.wait(0.01) == frozenset()


async def test_a_reader_hears_of_what_it_wants_and_always_that_notices_were_lost() -> None:
    job_id = uuid4()
    inbox = Inbox(changes_of(job_id))
    inbox.put([JobChanged(uuid4())])
    assert await inbox.wait(0.01) == frozenset()
    inbox.put([JobChanged(job_id), JobChanged(uuid4()), Reconnected()])
    assert await inbox.wait(1) == {JobChanged(job_id), Reconnected()}
