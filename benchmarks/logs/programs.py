"""Programs that print, and what printing costs without the product."""

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    long long left = atoll(argv[1]), line = 0;
    static char buffer[65536];
    while (left > 0) {
        int used = 0;
        while (used < 65000) {
            used += sprintf(buffer + used,
                "%012lld row loaded ok, table=public.fact_sales rate=1234/s\n", line++);
        }
        for (int done = 0; done < used;) {
            int wrote = write(1, buffer + done, used - done);
            if (wrote < 0) return 1;
            done += wrote;
        }
        left -= used;
    }
    return 0;
}
"""
_PYTHON = """
import os, sys
left, line = int(sys.argv[1]), 0
form = b"%012d row loaded ok, table=public.fact_sales rate=1234/s\\n"
while left > 0:
    left -= os.write(1, b"".join(form % number for number in range(line, line + 1000)))
    line += 1000
"""
CLOCK = """
import sys, time
time.sleep(float(sys.argv[3]))  # all readers are there
for _ in range(int(sys.argv[1])):
    print(time.time_ns(), flush=True)
    time.sleep(float(sys.argv[2]))
"""


def printer(directory: Path) -> list[str]:
    """The command that prints as many bytes as its argument says; in C where there is a compiler."""
    if shutil.which("cc"):
        (directory / "printer.c").write_text(_C)
        program = directory / "printer"
        subprocess.run(["cc", "-O2", "-o", program, directory / "printer.c"], check=True)
        return [str(program)]
    (directory / "printer.py").write_text(_PYTHON)
    return [sys.executable, str(directory / "printer.py")]


def redirected(command: list[str], count: int, directory: Path) -> float:
    """Seconds, the file being written by the program itself."""
    began = time.perf_counter()
    with (directory / "redirected").open("wb") as file:
        subprocess.run([*command, str(count)], stdout=file, check=True)
    took = time.perf_counter() - began
    (directory / "redirected").unlink()
    return took


async def by_lines(command: list[str], count: int, directory: Path) -> float:
    """Seconds through asyncio's pipe, read line by line and written to a file."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, str(count), stdout=asyncio.subprocess.PIPE)
    with (directory / "lines").open("wb") as file:
        while process.stdout is not None and (line := await process.stdout.readline()):
            file.write(line)
    await process.wait()
    (directory / "lines").unlink()
    return time.perf_counter() - began
