"""`make run` in a fresh copy of the project, with only the environment that an installation needs."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from . import builders
from .services import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("mysql" in os.environ.get("DATABASE_URL", ""), reason="the same in the first round"),
    pytest.mark.xdist_group("make"),  # one worker, so that only one installation is needed
]

PROJECT = Path(__file__).parent.parent
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name in ("PATH", "HOME") or name.startswith("PIP_") or name.lower().endswith("_proxy")
}


def copy_project(folder: Path) -> Path:
    """Copies the files that a commit of everything would contain."""
    command = "git -c safe.directory=* ls-files -z --cached --others --exclude-standard"
    listed = subprocess.run(command.split(), cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr}")
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    return folder


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


class Running(NamedTuple):
    process: subprocess.Popen[bytes]
    output: Path

    def survivors(self) -> list[int]:
        """Returns the running processes of make's session, including make."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == self.process.pid:
                    found.append(int(entry.name))
        return found


@contextmanager
def make_run(folder: Path, port: int, **environment: str) -> Iterator[Running]:
    """`make run`, started as by a terminal: the leader of its session and process group."""
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=folder,
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    running = Running(process, output)
    try:
        yield running
    finally:
        for pid in running.survivors():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def status(port: int, path: str, **headers: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_until_ready(running: Running, port: int) -> None:
    end = time.monotonic() + 300
    while running.process.poll() is None and time.monotonic() < end:
        with suppress(OSError):
            if status(port, "/readyz") == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"not ready:\n{running.output.read_text()}")


class Installed(NamedTuple):
    folder: Path
    port: int
    output: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A copy of the project where `make run` ran once, and its output."""
    folder, port = copy_project(tmp_path_factory.mktemp("fresh copy")), free_port()
    with make_run(folder, port) as running:
        wait_until_ready(running, port)
        running.process.terminate()
        running.process.wait(timeout=20)
    return Installed(folder, port, running.output.read_text())


def test_second_run_is_quick_and_keeps_data_and_accounts(installed: Installed) -> None:
    printed = re.search(r"curl -H '(.+?): (.+?)' 'http://127.0.0.1:(\d+)(/.+?)'", installed.output)
    assert printed, installed.output
    header, token, port, path = printed.groups()

    start = time.monotonic()
    with make_run(installed.folder, installed.port) as running:
        wait_until_ready(running, installed.port)
        assert time.monotonic() - start < 20
        assert status(int(port), path, **{header: token}) == 200
        assert status(int(port), path) == 401
    second = running.output.read_text()
    assert "demo data" in installed.output
    assert "demo data" not in second
    assert "Demo accounts" in installed.output
    assert "Demo accounts" not in second


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.kill, signal.SIGTERM, id="make alone is terminated"),
        pytest.param(os.killpg, signal.SIGTERM, id="all is terminated"),
        pytest.param(os.killpg, signal.SIGINT, id="Ctrl-C"),
        pytest.param(os.killpg, signal.SIGHUP, id="the terminal is closed"),
    ],
)
def test_no_process_is_left_running(
    installed: Installed, send: Callable[[int, int], None], number: signal.Signals
) -> None:
    port = free_port()
    with make_run(installed.folder, port) as running:
        wait_until_ready(running, port)
        assert len(running.survivors()) >= 4  # make, granian and its two workers
        send(running.process.pid, number)
        running.process.wait(timeout=20)
        assert not running.survivors()


def test_port_in_use_is_reported_before_anything_changes(installed: Installed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = make(installed.folder, "run", f"PORT={port}")
    assert run.returncode != 0
    assert f"Port {port} can't be used" in run.stdout
    assert "Preparing" not in run.stdout


def test_own_files_replace_the_demo_data(installed: Installed, tmp_path: Path) -> None:
    folder = tmp_path / "own $files"
    folder.mkdir()
    builders.files(folder)
    own = {"DATA": str(folder), "DATABASE_URL": f"sqlite:///{tmp_path}/book.sqlite3"}
    port = free_port()
    with make_run(installed.folder, port, **own) as running:
        wait_until_ready(running, port)
    first = running.output.read_text()
    assert "credits.csv: 2 new, 0 changed, 0 unchanged" in first
    assert "demo data" not in first

    with make_run(installed.folder, port, **own) as running:
        wait_until_ready(running, port)
    assert f"The book isn't empty: {folder} was not loaded." in running.output.read_text()


def test_files_with_faults_are_reported_and_not_served(installed: Installed, tmp_path: Path) -> None:
    faulty = {"plans": ["id\tperiod\tsum\tcategory_id", "1\t02.01.2021\t4000\t3"]}
    builders.files(tmp_path, **faulty)
    database = f"sqlite:///{tmp_path}/book.sqlite3"
    run = make(installed.folder, "run", f"PORT={free_port()}", f"DATA={tmp_path}", DATABASE_URL=database)
    assert run.returncode != 0
    assert "plans.csv, row 2" in run.stdout
    assert "Listening" not in run.stdout


def test_mysql_without_its_headers_names_the_packages(installed: Installed, tmp_path: Path) -> None:
    run = make(
        installed.folder,
        "run",
        DATABASE_URL="mysql://fintrack:fintrack@127.0.0.1:1/fintrack",
        PIP_NO_CACHE_DIR="1",
        PKG_CONFIG_LIBDIR=str(tmp_path),  # so that pkg-config finds no library
    )
    assert run.returncode != 0
    assert "apt install build-essential python3-dev libmariadb-dev pkg-config" in run.stdout


def test_interrupted_installation_is_repeated(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    with make_run(folder, free_port()) as running:
        end = time.monotonic() + 120
        while not list(folder.glob(".venv/lib/*/site-packages/django/contrib")):
            assert time.monotonic() < end, running.output.read_text()
            time.sleep(0.02)
        os.killpg(running.process.pid, signal.SIGKILL)
    assert not (folder / ".venv/whole").exists()

    again = make(folder, ".venv/requirements.done")
    assert "Creating .venv." in again.stdout
    subprocess.run([folder / ".venv/bin/python", "-m", "pip", "check"], check=True)
    subprocess.run([folder / ".venv/bin/python", "-c", "import django, granian"], check=True)


def test_environment_without_its_python_is_created_again(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    (folder / "requirements.txt").write_text("")
    assert "Creating .venv." in make(folder, ".venv/requirements.done").stdout
    assert "up to date" in make(folder, ".venv/requirements.done").stdout

    python = folder / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert "Creating .venv." in make(folder, ".venv/requirements.done").stdout
    subprocess.run([python, "-c", ""], check=True)


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        pytest.param(
            'shift; exec python3 -c "import sys; sys.version_info = (3, 10, 9); exec(sys.argv[1])" "$@"',
            "FinTrack needs Python 3.11 or newer",
            id="too old",
        ),
        pytest.param("exit 127", "FinTrack needs Python 3.11 or newer", id="absent"),
        pytest.param(
            'case "$*" in *venv*) echo "ensurepip is not available"; exit 1;; esac; exec python3 "$@"',
            "apt install python3-venv",
            id="without ensurepip",
        ),
    ],
)
def test_unsupported_python_is_reported(tmp_path: Path, script: str, answer: str) -> None:
    folder = copy_project(tmp_path)
    python = tmp_path / "a python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    run = make(folder, "run", PYTHON=str(python))
    assert run.returncode != 0
    assert answer in run.stdout
