"""`logs.max_size` as a user meets it: the program goes on, and every reader is told what is missing."""

import re

from tests.e2e.installation import Installation

LINES = 1_000_000
NOTE = re.compile(rb"\n\[etl: ([0-9]+) bytes cut\]\n")


def test_a_log_past_its_limit_is_a_head_a_note_and_a_tail_for_every_reader(own: Installation) -> None:
    own.flags = ["--logs.max_size=1MiB"]
    own.serve()
    script = own.script("print.py", f"for n in range({LINES}): print(f'{{n:031d}}')")
    run = own.etl("run", script)
    assert run.returncode == 0
    job_id = own.call("GET", "/jobs")["items"][0]["id"]
    for shown in (own.etl("logs", job_id).stdout, own.etl("logs", "-f", job_id).stdout):
        head, cut, tail = NOTE.split(shown)
        assert len(head) + int(cut) + len(tail) == LINES * 32
        assert head.startswith(b"%031d\n" % 0)
        assert tail.endswith(b"%031d\n" % (LINES - 1))
        assert 2**19 < len(head) + len(tail) <= 2**20
    live = NOTE.split(run.stdout)
    assert sum(map(len, live[::2])) + sum(map(int, live[1::2])) == LINES * 32
    last = own.etl("logs", "--tail", "2", "--timestamps", job_id).stdout.splitlines()
    assert [line.split()[2] for line in last] == [b"%031d" % (LINES - 2), b"%031d" % (LINES - 1)]
    attempt = own.call("GET", f"/jobs/{job_id}/attempts")["items"][0]
    assert attempt["log_bytes"] + attempt["log_lost_bytes"] == LINES * 32
