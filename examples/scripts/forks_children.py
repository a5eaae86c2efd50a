"""Starts children that start children, one of them in a session of its own. Waits for them, or with
`--leave` goes and leaves them behind: no process of a job outlives its attempt, and the record says how
many had to be stopped.
"""

import os
import subprocess
import sys
import time

SECONDS = 600 if "--leave" in sys.argv else 2


def child(*, apart: bool) -> int:
    """Forks a child that has a child of its own; returns its pid."""
    if pid := os.fork():
        return pid
    if apart:
        os.setsid()
    grandchild = subprocess.Popen(["/bin/sleep", str(SECONDS)])  # noqa: S603 - a fixed argv
    os.write(1, f"child {os.getpid()} started {grandchild.pid}\n".encode())
    os._exit(grandchild.wait())


if __name__ == "__main__":
    pids = [child(apart=False), child(apart=True)]
    if "--leave" in sys.argv:
        time.sleep(0.5)
        print(f"leaving {len(pids)} children behind", flush=True)
    else:
        for pid in pids:
            os.waitpid(pid, 0)
        print("all children have ended", flush=True)
