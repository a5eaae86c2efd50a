"""Where the product meets the world: HTTP, worker, command line, and the wiring between.

`domain`, `application`, `adapters` and `entrypoints` are names that others use too. Once this
package is found, the three that lie beside it are ours, whatever PYTHONPATH or the current
directory hold: our root goes first.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
if sys.path[:1] != [_ROOT]:
    sys.path.insert(0, _ROOT)
