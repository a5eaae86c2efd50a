"""What msgspec makes of our types."""

import subprocess
import sys

from tests.architecture.sources import SRC

# Of each field by itself: what stands in a Struct's class is freed at the end of the process alone.
MADE_AND_FREED = """
import gc, importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import msgspec, adapters, entrypoints
for package in (adapters, entrypoints):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)

def beneath(kind):
    for each in kind.__subclasses__():
        yield each
        yield from beneath(each)

ours = ("adapters.", "entrypoints.")
kinds = [each for each in beneath(msgspec.Struct) if each.__module__.startswith(ours)]
for kind in kinds:
    for field in msgspec.structs.fields(kind):
        print(kind.__name__, field.name, flush=True)
        for _ in range(20):
            msgspec.json.Decoder(field.type)
            gc.collect(0)
    gc.collect()
print(len(kinds), "Structs")
"""


def test_decoders_of_all_wire_types_can_be_made_and_freed() -> None:
    """Where a text with a pattern may also be a list, msgspec 0.22 takes the pattern for the type of its
    items, and frees it with each decoder: the process dies by SIGSEGV, often in the last collection.
    """
    made = subprocess.run(
        [sys.executable, "-I", "-c", MADE_AND_FREED, str(SRC)], capture_output=True, text=True, check=False
    )
    told = made.stdout.splitlines()
    assert made.returncode == 0, (told[-1:], made.stderr)
    assert int(told[-1].split()[0]) > 40
