"""`python -I src/entrypoints/cli/__main__.py`: the command from a checkout, where nothing is installed."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Isolated (-I), Python puts no directory of ours on the path.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from entrypoints.cli.main import main

    main()
