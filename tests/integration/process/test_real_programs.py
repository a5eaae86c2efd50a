"""Programs that people run: a pipeline, a JVM under Python as PySpark starts it, PySpark itself, and dbt.

The last two are large: `tests/real-programs.sh DIR` installs them, `--real-programs DIR` says where.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.process.run_directory import name_of
from adapters.process.running import SupervisedProcess
from adapters.process.supervisor import tree
from domain.attempt import Stop
from tests.integration.process.rig import CLOCK, Rig, eventually

no_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no java on this machine")

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


@no_java
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


SPARK = """import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
print("sum", spark.range(1000).selectExpr("sum(id)").first()[0], flush=True)
spark.sparkContext.parallelize(range(2), 2).map(lambda _: time.sleep(1000)).collect()
"""
SPARK_SECONDS = 120.0  # it took 50 on a busy machine


@no_java
@pytest.mark.timeout(300)
async def test_a_pyspark_job_cancelled_in_the_middle_leaves_no_java(
    rig: Rig, request: pytest.FixtureRequest
) -> None:
    python = _installed(request, "pyspark/bin/python")
    script = rig.directory / "job.py"
    script.write_text(SPARK)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(rig.directory),
        "PYSPARK_PYTHON": str(python),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    process = await rig.start(
        str(python),
        str(script),
        environment=environment,
        stop_grace_seconds=10,
        timeout_seconds=600,
        deadline=CLOCK.elapsed() + 600,
    )
    is_there = rig.log_file(process).exists
    await eventually(lambda: is_there() and b"sum 499500" in rig.log(process), SPARK_SECONDS)
    await eventually(lambda: {"java", "pyspark.daemon"} <= _programs(process), SPARK_SECONDS)
    process.stop()
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.processes_left) == (Stop.CANCEL, 0)
    assert _programs(process) == set()


PROJECT = {
    "dbt_project.yml": "name: shop\nprofile: shop\nversion: '1.0'\nmodels: {+materialized: table}\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}\n",
    "models/orders.sql": "select * from (values (1, 10), (2, 32)) as t(id, amount)\n",
    "models/total.sql": "select sum(amount) as total from {{ ref('orders') }}\n",
    "models/schema.yml": "models: [{name: orders, columns: [{name: id, data_tests: [unique]}]}]\n",
}
TOTAL = "import duckdb; print(duckdb.connect('shop.duckdb').execute('select total from total').fetchone()[0])"


async def test_dbt_builds_its_models_and_their_tests(rig: Rig, request: pytest.FixtureRequest) -> None:
    dbt = _installed(request, "dbt/bin/dbt")
    for name, text in PROJECT.items():
        path = rig.directory / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environment = {"PATH": os.environ["PATH"], "HOME": str(rig.directory)}
    quiet = ("--no-send-anonymous-usage-stats", "--log-format", "json")
    exit_, log = await rig.run(
        str(dbt), *quiet, "build", environment=environment, directory=rig.directory / "shop"
    )
    assert (exit_.exit_code, exit_.left_behind, exit_.processes_left) == (0, 0, 0), log.decode()
    done = [json.loads(line)["info"] for line in log.splitlines() if line.startswith(b"{")]
    assert any("PASS=3" in info["msg"] for info in done)
    total = await asyncio.to_thread(
        subprocess.check_output, [str(dbt.with_name("python")), "-c", TOTAL], cwd=rig.directory / "shop"
    )
    assert total.strip() == b"42"


def _installed(request: pytest.FixtureRequest, program: str) -> Path:
    directory = request.config.getoption("--real-programs")
    if directory is None:
        pytest.skip("needs --real-programs DIR, filled by tests/real-programs.sh DIR")
    path = Path(directory).absolute() / program
    if not path.exists():
        pytest.skip(f"--real-programs: there is no {program}")
    return path


def _programs(process: SupervisedProcess) -> set[str]:
    """What runs in the environment of this attempt: names of programs, and of Python's modules (-m)."""
    found = set()
    for pid in tree.snapshot():
        try:
            if name_of(process.ref).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                found.add(words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name)
        except OSError:
            continue
    return found
