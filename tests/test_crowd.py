"""Many simultaneous requests for a slow report: one computes it, and the server answers other requests."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reports.cache import CLAIM, QUICK

from . import services

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("crowd")]

PROJECT = Path(__file__).parent.parent
SECONDS = CLAIM + 2  # longer than a claim lasts without renewal
YEAR = "/year_performance?year=2021"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    seconds: float


class Site:
    """A site with its own database. It counts how often the report was computed."""

    def __init__(self, folder: Path, redis: str) -> None:
        self.computed = folder / "computed"
        self.environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"} | {
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "SECRET_KEY": "of a test",
            "COMPUTED": str(self.computed),
            "SECONDS": str(SECONDS),
            **({"REDIS_URL": redis} if redis else {}),
        }
        self.manage("migrate", "--verbosity", "0")
        self.token = self.manage("api_token", "program", "--role", "analyst")

    def manage(self, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        run = subprocess.run(
            command, cwd=PROJECT, env=self.environment, check=True, capture_output=True, text=True
        )
        return run.stdout.strip()

    @contextmanager
    def serving(self, workers: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
        """Yields the port and the process that leads the workers' group. Threads are as in the Makefile."""
        port = services.free_port()
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--workers", str(workers), "--blocking-threads", "4", "tests.slow:application"],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            for _each in range(4 * workers):  # so that all threads have imported the site and connected
                assert self.ask(port, "/readyz").status == 200
            yield port, process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def ask(self, port: int, address: str) -> Answer:
        http = HTTPConnection("127.0.0.1", port, timeout=60)
        begin = time.monotonic()
        try:
            http.request("GET", address, headers={"Authorization": f"Token {self.token}"})
            response = http.getresponse()
            response.read()
            return Answer(response.status, dict(response.getheaders()), time.monotonic() - begin)
        finally:
            http.close()

    def computations(self) -> int:
        return len(self.computed.read_text().splitlines()) if self.computed.exists() else 0


@pytest.fixture
def redis() -> Iterator[str]:
    if not services.program("redis-server"):
        pytest.skip("redis-server not installed")
    with services.redis() as server:
        yield server.url


@pytest.mark.parametrize("workers", [1, 2])
def test_one_request_computes_others_wait_or_get_503_and_livez_answers(tmp_path, request, workers):
    # Two workers need Redis: without it each process has its own cache.
    site = Site(tmp_path, request.getfixturevalue("redis") if workers > 1 else "")
    with site.serving(workers) as (port, _process), ThreadPoolExecutor(16) as pool:
        readers = [pool.submit(site.ask, port, YEAR) for _reader in range(16)]
        time.sleep(2 * QUICK)
        lives = []
        for _number in range(20):
            lives.append(site.ask(port, "/livez"))
            time.sleep(0.1)
        assert not all(reader.done() for reader in readers)  # the report is still being computed
        answers = [reader.result() for reader in readers]
        late = site.ask(port, YEAR)
    assert site.computations() == 1
    assert {live.status for live in lives} == {200}
    assert max(live.seconds for live in lives) < 1
    assert {answer.status for answer in answers} == {200, 503}
    refused: list[Any] = [answer for answer in answers if answer.status == 503]
    assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
    assert {answer.headers["retry-after"] for answer in refused} == {"5"}
    assert (late.status, late.headers["x-cache"]) == (200, "hit")


def test_the_claim_of_a_killed_process_expires(tmp_path, redis):
    site = Site(tmp_path, redis)
    with ThreadPoolExecutor(1) as pool:
        with site.serving(1) as (port, process):
            cut = pool.submit(site.ask, port, YEAR)
            while not site.computations():
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
            with pytest.raises((RemoteDisconnected, ConnectionResetError)):
                cut.result()
        with site.serving(1) as (port, _process):
            answer = site.ask(port, YEAR)
    assert (answer.status, site.computations()) == (200, 2)
    assert answer.seconds < SECONDS + CLAIM + 2
