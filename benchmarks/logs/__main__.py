"""`python -m benchmarks.logs`: prints what was measured, and exits 1 where a goal was missed."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.logs.product import Product
from benchmarks.logs.programs import CLOCK, by_lines, printer, redirected

MB = 1e6
LINE_BYTES = 64
SEARCHED_LINES = 10_000_000
READERS = 100


class Report:
    """Lines for a person, and the goals that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def goal(self, what: str, measured: float, limit: float, *, at_most: bool) -> None:
        held = measured <= limit if at_most else measured >= limit
        word = "at most" if at_most else "at least"
        print(f"{what:<70}{measured:>10,.2f}   ({word} {limit:g}) {'held' if held else 'MISSED'}", flush=True)
        if not held:
            self.missed.append(what)


def throughput(report: Report, product: Product, command: list[str], count: int, directory: Path) -> str:
    plain = redirected(command, count, directory)
    before = product.peak = product.memory
    job = product.finished(product.submit([*command, str(count)]))
    took = job["usage"]["wall_seconds"]
    sample = count // 8
    lines = asyncio.run(by_lines(command, sample, directory))
    for name, rate in (
        ("redirected by the shell", count / plain),
        ("through the product", count / took),
        ("through asyncio's pipe, line by line", sample / lines),
    ):
        print(f"{name:<70}{rate / MB:>10,.0f} MB/s", flush=True)
    masked = product.finished(product.submit([*command, str(sample)], DB_DSN="correct-horse-battery"))
    rate = sample / masked["usage"]["wall_seconds"]
    print(f"{'through the product, with a secret to mask':<70}{rate / MB:>10,.0f} MB/s", flush=True)
    report.goal("speed as a part of the redirected", plain / took, 0.5, at_most=False)
    report.goal("growth of the worker's memory, MB", (product.peak - before) / MB, 20, at_most=True)
    return str(job["id"])


def reading(report: Report, product: Product, job_id: str, count: int) -> None:
    before = product.peak = product.memory
    _, first = product.once(job_id, limit="100")
    fence = first.headers["X-Next-Cursor"].partition(".")[0]
    for name, params in (
        ("first page", {}),
        ("page in the middle", {"after": f"{fence}.{count // 2:x}-0-0"}),
        ("last page", {"after": f"{fence}.{count - 10_000:x}-0-0"}),
        ("tail=100", {"tail": "100"}),
    ):
        took = product.seconds(job_id, **params, limit="100")
        report.goal(f"{name}, ms", took * 1000, 50, at_most=True)
    rate = statistics.median(product.download(job_id) for _ in range(3))
    report.goal("raw download, MB/s", rate / MB, 500, at_most=False)
    report.goal("growth of the API's memory, MB", (product.peak - before) / MB, 20, at_most=True)


def search(report: Report, product: Product, command: list[str]) -> None:
    """Whoever looks for a text waits less than a second, or gets a cursor to go on from."""
    job_id = str(product.finished(product.submit([*command, str(SEARCHED_LINES * LINE_BYTES)]))["id"])
    for form in ("", ", compressed"):
        before = product.peak = product.memory
        for what, text, goes_on in (
            ("in every line", "row loaded ok", False),
            ("in one line in the middle", f"{SEARCHED_LINES // 2:012d} row", True),
            ("in none", "no such text", True),
        ):
            name = f"contains, {SEARCHED_LINES:,} lines{form}: {what}"
            longest, whole, pages = product.search(job_id, text, goes_on=goes_on)
            report.goal(f"{name}, ms a page", longest * 1000, 1000, at_most=True)
            print(f"{'  all of it' if goes_on else '  its first page':<70}{whole:>10,.2f} s in {pages} pages")
        report.goal(f"growth of the memory{form}, MB", (product.peak - before) / MB, 20, at_most=True)
        if not form:
            product.compress(job_id)


async def live(report: Report, product: Product, readers: int, lines: int, pause: float) -> None:
    before = product.peak = product.memory
    keys = product.reader_keys(readers)
    wait = max(2, readers // 40)
    job_id = product.submit([sys.executable, "-c", CLOCK, str(lines), str(pause), str(wait)])
    found = await asyncio.gather(*(product.delays(job_id, key) for key in keys))
    delays = sorted(delay for one in found for delay in one)
    if len(delays) != readers * lines:
        report.missed.append(f"{readers} readers: every line")
    name = f"write to reader, {readers} readers, ms"
    middle, most = statistics.median(delays), delays[int(len(delays) * 0.95)]
    if readers <= READERS:
        report.goal(f"{name}, p50", middle, 10 if readers == 1 else 100, at_most=True)
        report.goal(f"{name}, p95", most, 30 if readers == 1 else 100, at_most=True)
        return
    slowest, fastest = max(map(statistics.mean, found)), min(map(statistics.mean, found))
    print(f"{name + ', p50 and p95':<70}{middle:>10,.0f} {most:,.0f}")
    report.goal("  the slowest reader's mean as a part of the fastest's", slowest / fastest, 2, at_most=True)
    grown = (product.peak - before) / MB / readers
    report.goal("  growth of the API's memory a reader, MB", grown, 0.2, at_most=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    parser.add_argument("--directory", type=Path, help="where to write; default: a temporary directory")
    count, place = vars(arguments := parser.parse_args())["bytes"], arguments.directory
    report = Report()
    with tempfile.TemporaryDirectory(dir=place, prefix="etl-logs-") as name:
        directory = Path(name)
        command = printer(directory)
        product = Product(directory, "--logs.max_size=8GiB")
        try:
            job_id = throughput(report, product, command, count, directory)
            reading(report, product, job_id, count)
            search(report, product, command)
            asyncio.run(live(report, product, 1, 200, 0.02))
            asyncio.run(live(report, product, READERS, 50, 0.1))
            asyncio.run(live(report, product, 5 * READERS, 50, 0.2))
        finally:
            product.close()
    print("missed: " + ", ".join(report.missed) if report.missed else "all goals held")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
