"""Programs that people run: a pipeline, and a JVM under Python as PySpark starts it."""

import asyncio
import hashlib
import shutil

import pytest

from domain.attempt import Stop
from tests.integration.process.rig import Rig, eventually

JAVA = """public class Sleeper {
    public static void main(String[] a) throws Exception { System.out.println("up"); Thread.sleep(1000000); }
}
"""
DRIVER = (
    "import signal, subprocess, sys\n"
    # As pyspark's java_gateway: a process group of its own that ignores the terminal's Ctrl-C.
    "subprocess.Popen(['java', '-Xshare:auto', sys.argv[1], sys.argv[2]], start_new_session=True,\n"
    "                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)).wait()\n"
)


async def test_a_pipeline_of_a_gigabyte_has_the_true_result(rig: Rig) -> None:
    script = rig.directory / "sum.sh"
    script.write_text("yes | head -c 1G | md5sum\n")
    exit_, log = await rig.run("/bin/sh", str(script), rig.mark)
    digest = hashlib.md5(usedforsecurity=False)
    block = b"y\n" * 2**19
    for _ in range(2**10):
        digest.update(block)
    assert (exit_.exit_code, exit_.left_behind, log.split()[0].decode()) == (0, 0, digest.hexdigest())


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no java on this machine")
async def test_a_cancelled_jvm_under_python_leaves_no_java(rig: Rig) -> None:
    source = rig.directory / "Sleeper.java"
    await asyncio.to_thread(source.write_text, JAVA)
    process = await rig.start_python(
        DRIVER.replace("sys.argv[1], sys.argv[2]", f"{str(source)!r}, sys.argv[1]")
    )
    await rig.says(process, b"up")
    await eventually(lambda: len(rig.survivors()) >= 2)
    process.stop()
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.processes_left) == (Stop.CANCEL, 0)
    assert rig.survivors() == []
