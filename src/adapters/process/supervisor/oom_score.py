"""The kernel, short of memory, takes a program before it takes the worker (proc(5), oom_score_adj)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from adapters.process.supervisor import kernel

_PROGRAMS: Final = 500


class OomScore:
    """This process's own, raised for as long as it starts what inherits it. Nobody's is ever lowered: where
    ours is higher (a pod of Kubernetes), or cannot be written, programs have the same.
    """

    def __init__(self) -> None:
        """Opened once: the files of an undumpable process are root's. A process that has done nothing yet has
        no secrets that a program could read meanwhile.
        """
        self._file = -1
        self._own = _PROGRAMS
        kernel.set_dumpable(dumpable=True)
        with suppress(OSError, ValueError):
            self._file = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            self._own = int(os.read(self._file, 16))
        kernel.set_dumpable(dumpable=False)

    @contextmanager
    def raised(self) -> Iterator[None]:
        self._set(_PROGRAMS)
        try:
            yield
        finally:
            self._set(self._own)

    def _set(self, score: int) -> None:
        if self._own < _PROGRAMS:
            with suppress(OSError):
                os.pwrite(self._file, str(score).encode(), 0)
