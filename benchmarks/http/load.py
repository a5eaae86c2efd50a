"""The load: requests that were made before, sent over plain sockets by processes of their own."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

PROCESSES = 2
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """One request that is sent again and again."""

    port: int
    method: str
    path: str
    key: str = ""
    body: bytes = b""

    @property
    def encoded(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        if self.key:
            lines.append(f"Authorization: Bearer {self.key}")
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + HEAD_END + self.body


@dataclass(frozen=True)
class Answered:
    """What came back, and how busy the processes were that asked: near 1 they would be the bound."""

    answers: int
    seconds: float
    busy: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def load(request: Request, connections: int, seconds: float) -> Answered:
    processes = min(PROCESSES, connections)
    shares = [connections // processes + (n < connections % processes) for n in range(processes)]
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in shares]
    started = [
        context.Process(target=_work, args=(request, share, seconds, pipe[1]))
        for share, pipe in zip(shares, pipes, strict=True)
    ]
    for process, (_, theirs) in zip(started, pipes, strict=True):
        process.start()
        theirs.close()  # so that its end is heard
    try:
        for ours, _ in pipes:
            ours.recv()  # connected
        for ours, _ in pipes:
            ours.send("go")
        told: list[tuple[int, float, float]] = [ours.recv() for ours, _ in pipes]
    except EOFError:
        raise SystemExit("a process that asks has failed; what it was answered stands above") from None
    for process in started:
        process.join()
    took = max(seconds for _, seconds, _ in told)
    return Answered(sum(n for n, _, _ in told), took, max(cpu / seconds for _, seconds, cpu in told))


def _work(request: Request, connections: int, seconds: float, pipe: Connection) -> None:
    asyncio.run(_ask(request, connections, seconds, pipe))


async def _ask(request: Request, connections: int, seconds: float, pipe: Connection) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", request.port) for _ in range(connections)]
    for reader, writer in opened:
        await _once(reader, writer, request)  # connections of the pool are opened, statements prepared
    pipe.send("connected")
    pipe.recv()
    began, cpu = time.monotonic(), time.process_time()
    counts = await asyncio.gather(
        *(_many(reader, writer, request, began + seconds) for reader, writer in opened)
    )
    pipe.send((sum(counts), time.monotonic() - began, time.process_time() - cpu))
    for _, writer in opened:
        writer.close()


async def _many(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, until: float
) -> int:
    count = 0
    while time.monotonic() < until:
        await _once(reader, writer, request)
        count += 1
    return count


async def _once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
    writer.write(request.encoded)
    head = await reader.readuntil(HEAD_END)
    lowered = head.lower()
    if lowered.split(b" ", 2)[1][:1] != b"2":
        raise SystemExit(f"{request.method} {request.path}: {head!r}")
    _, _, length = lowered.partition(b"content-length: ")
    await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
