"""Measures how many requests a second the web server answers, and the CPU time of each.

    python bench/web.py [--seconds 5] [--payments 46000] [--writes]
    python tests/services.py python bench/web.py

starts granian with a new book: on the server of DATABASE_URL if it names one, or else in an SQLite file. The
cache is Redis if REDIS_URL is set, or else local memory. Granian runs first with one worker and one thread,
which shows the CPU time of a request best, then with two workers of four threads, as in `make run`. Each
request is measured over 1, 8 and 32 persistent connections. "bare" is a Django view in the same processes
that only reads one value from the cache (bare.py). "of bare" compares the requests a second with the bare
view's, and "times bare" the CPU time. CPU is the time of the web server's processes only. The client, the
server, the database and Redis share one machine, so compare the rows of one run, not different runs.

--writes measures the POST of one payment instead, in this process and without a web server.
"""

import argparse
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from book import borrower, editor, fill, use_django
from load_data import ROOT, fresh_database

BENCH = Path(__file__).resolve().parent
SERVERS = ((1, 1), (2, 4))  # (workers, threads of each)
CONNECTIONS = (1, 8, 32)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: chunked", re.IGNORECASE)
TICK = os.sysconf("SC_CLK_TCK")
TURNS = 5
POSTS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement (5)")
    parser.add_argument("--payments", type=int, default=46_000, help="approximate number in the book (46000)")
    parser.add_argument("--writes", action="store_true", help="measure the POST of a payment instead")
    options = parser.parse_args()
    os.environ["API_RATE"] = "1000000000/min"
    with (
        tempfile.TemporaryDirectory(prefix="fintrack-bench-") as folder,
        fresh_database(Path(folder, "book")) as url,
    ):
        os.environ["DATABASE_URL"] = url
        use_django()
        payments = fill(options.payments)
        if options.writes:
            measure_writes(payments)
        else:
            measure_server(options.seconds)


@dataclass
class Measured:
    """The milliseconds of each answer, and the seconds and CPU seconds of all together."""

    took: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def speed(self) -> float:
        return len(self.took) / self.seconds

    @property
    def cost(self) -> float:
        """The CPU milliseconds of one answer."""
        return self.cpu_seconds / len(self.took) * 1000


def measure_server(seconds: float) -> None:
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"]
    subprocess.run(collect, cwd=ROOT, check=True)
    token, session = editor()
    for workers, threads in SERVERS:
        print(f"\n{workers} worker(s), {threads} blocking thread(s) each\n")
        print("| request | connections | requests/s | of bare | p50 ms | p99 ms | CPU ms | times bare |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        with server(workers, threads) as (port, pid):
            asked = questions(port, token, session)
            for connections in CONNECTIONS:
                measured = measure(port, pid, asked, connections, seconds)
                bare = measured["bare"]
                for name, of in measured.items():
                    print(
                        f"| {name} | {connections} | {of.speed:,.0f} | {of.speed / bare.speed:.3f} |"
                        f" {percentile(of.took, 50):.1f} | {percentile(of.took, 99):.1f} |"
                        f" {of.cost:.2f} | {of.cost / bare.cost:.0f} |",
                        flush=True,
                    )


def measure(
    port: int, pid: int, asked: dict[str, bytes], connections: int, seconds: float
) -> dict[str, Measured]:
    """Measures the requests in turns, so that other work of the machine slows all of them alike."""
    measured = {name: Measured() for name in asked}
    for request in asked.values():
        drive(port, request, connections, min(1.0, seconds))  # so that workers have imported and connected
    for _turn in range(TURNS):
        for name, request in asked.items():
            of, used, start = measured[name], cpu_seconds(pid), time.perf_counter()
            of.took += drive(port, request, connections, seconds / TURNS)
            of.seconds += time.perf_counter() - start
            of.cpu_seconds += cpu_seconds(pid) - used
    return measured


@contextmanager
def server(workers: int, threads: int) -> Iterator[tuple[int, int]]:
    """Starts granian with the options of the Makefile. Yields its port and process id once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", str(threads)]
    command += ["--respawn-failed-workers", "--workers-kill-timeout", "5", "bare:application"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(BENCH), str(ROOT)])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/bare", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                sys.exit("The web server did not start.")
            time.sleep(0.1)


def questions(port: int, token: str, session: str) -> dict[str, bytes]:
    """Returns {name: request}."""
    by_token = {"Authorization": f"Token {token}"}
    by_session = {"Cookie": f"sessionid={session}"}
    year = "/api/v1/year_performance?year=2021"
    with urlopen(Request(f"http://127.0.0.1:{port}{year}", headers=by_token)) as answer:
        known = {"If-None-Match": answer.headers["ETag"]}
    return {
        "bare": raw("/bare", {}),
        "year_performance": raw(year, by_token),
        "year_performance, 304": raw(year, by_token | known),
        "year_performance, gzip": raw(year, by_token | {"Accept-Encoding": "gzip"}),
        "user_credits": raw(f"/api/v1/user_credits/{borrower()}", by_token),
        "page of the year": raw("/reports/year-performance/?year=2021", by_session),
        "page of the overview": raw("/", by_session),
    }


def raw(path: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def drive(port: int, request: bytes, connections: int, seconds: float) -> list[float]:
    """Repeats the request on each connection once it is answered. Returns each answer's milliseconds."""
    took: list[float] = []
    with selectors.DefaultSelector() as selector:

        def ask(connection: socket.socket) -> None:
            selector.modify(connection, selectors.EVENT_READ, (time.perf_counter(), bytearray()))
            connection.sendall(request)

        for _ in range(connections):
            new = socket.create_connection(("127.0.0.1", port))
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(new, selectors.EVENT_READ)
            ask(new)
        end = time.perf_counter() + seconds
        while selector.get_map():
            for key, _events in selector.select():
                connection: Any = key.fileobj
                asked, answer = key.data
                received = connection.recv(1 << 18)
                answer += received
                if not received or not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")):
                    sys.exit(f"Unexpected answer: {bytes(answer[:500])!r}")
                if not is_whole(answer):
                    continue
                now = time.perf_counter()
                took.append((now - asked) * 1000)
                if now < end:
                    ask(connection)
                else:
                    selector.unregister(connection)
                    connection.close()
    return took


def is_whole(answer: bytearray) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    if length := LENGTH.search(answer, 0, head):
        return len(answer) == head + 4 + int(length[1])
    return not CHUNKED.search(answer, 0, head + 2) or answer.endswith(b"0\r\n\r\n")


def cpu_seconds(pid: int) -> float:
    """Returns the CPU seconds of the process and its descendants so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = sum(int(ticks) for ticks in fields[11:15]) / TICK  # includes children that have ended
    return own + sum(cpu_seconds(int(child)) for child in children)


def percentile(values: list[float], percent: int) -> float:
    """Returns the percentile by the nearest-rank method."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def measure_writes(payments: int) -> None:
    from django.apps import apps
    from django.db import connection
    from django.test import Client

    token, _session = editor()
    client = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Token {token}"})
    credit = apps.get_model("credits", "Credit").objects.latest("pk")
    body = {"credit": credit.pk, "payment_date": str(credit.issuance_date), "type": 1, "sum": "10.00"}
    statements: list[str] = []

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    took, cost = [], []
    with connection.execute_wrapper(count):
        for _ in range(POSTS):
            statements.clear()
            start, used = time.perf_counter(), time.process_time()
            response = client.post("/api/v1/payments", body, content_type="application/json")
            took.append((time.perf_counter() - start) * 1000)
            cost.append((time.process_time() - used) * 1000)
            if response.status_code != 201:
                sys.exit(f"POST: {response.status_code} {response.content[:500]!r}")
    print("| POST of a payment | p50 ms | p99 ms | CPU ms | SQL statements |")
    print("|---|--:|--:|--:|--:|")
    print(
        f"| {payments:,} payments | {percentile(took, 50):.1f} | {percentile(took, 99):.1f} |"
        f" {percentile(cost, 50):.1f} | {len(statements)} |"
    )


if __name__ == "__main__":
    main()
