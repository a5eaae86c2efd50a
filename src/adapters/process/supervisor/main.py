"""Where the zygote begins: `python -I -S …/main.py SOCKET_FD LOCK_FD [GROUPS]`.

Started by path, so that no package of the same generic name can be found before ours.
"""

import os
import sys


def _source_root() -> str:
    root = os.path.abspath(__file__)
    for _ in range(4):  # main.py, supervisor, process, adapters
        root = os.path.dirname(root)
    return root


if __name__ == "__main__":
    sys.path.insert(0, _source_root())
    from adapters.process.supervisor import zygote

    zygote.serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)  # noqa: PLR2004 - see above
