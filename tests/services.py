"""Runs a command with a private MariaDB (or MySQL) and a private Redis.

    python tests/services.py COMMAND ARGUMENTS…

sets DATABASE_URL and REDIS_URL for the command, and exits with its status. Without a command it only checks
that the servers are installed. DATABASE_SERVER overrides the first server program found. Each server has a
free port of 127.0.0.1 and a temporary folder. The system's own servers are never touched. Tests of faults use
`mariadb()` and `redis()` directly.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType

SBIN = ("/usr/local/sbin", "/usr/sbin")  # server programs may not be on PATH


def program(*names: str) -> str | None:
    """Returns the path of the first of these programs that is installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


class Server:
    """A server process.

    Tests may kill or pause it through `pid`. `start()` starts it again with the same port and data. `stop()`
    stops it in any state.
    """

    def __init__(self, command: list[str], port: int, url: str, hello: bytes) -> None:
        self.command = command
        self.port = port
        self.url = url
        self.hello = hello  # bytes that make the server respond
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self, patience: float = 60) -> None:
        """Starts the server and waits, at most `patience` seconds, until it answers."""
        self.stop()
        with tempfile.TemporaryFile() as log:
            # In its own session Ctrl-C doesn't reach it: the tests need their servers until they have ended.
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            try:
                end = time.monotonic() + patience
                while not self.answers():
                    if self.process.poll() is not None or time.monotonic() > end:
                        log.seek(0)
                        raise RuntimeError(f"{self.command[0]} did not start:\n{log.read().decode()[-3000:]}")
                    time.sleep(0.02)
            except BaseException:
                self.process.kill()  # MariaDB may hang if it is terminated while it starts
                self.process.wait()
                raise

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(self.hello)
                return connection.recv(1) != b""
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)  # in case it was paused
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def finish(command: list[str]) -> None:
    """Runs a command to its end. If interrupted, kills the command and its children."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()  # returns when the whole process group has closed the pipe
        raise
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{output.decode()[-3000:]}")


def free_port() -> int:
    """Returns a random free port below those that the system uses for outgoing connections."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def mariadb() -> Iterator[Server]:
    """Runs MariaDB, or MySQL if that is installed.

    Its user has all permissions on `fintrack`, and can create `test_…` databases.
    """
    server = os.environ.get("DATABASE_SERVER") or program("mariadbd", "mysqld")
    assert server, "neither mariadbd nor mysqld is installed"
    with tempfile.TemporaryDirectory(prefix="fintrack-mariadb-") as folder:
        data = Path(folder, "data")
        # A starting server deletes what looks like its temporary tables: in /tmp it may be another server's.
        temporary = Path(folder, "tmp")
        temporary.mkdir()
        common = [
            f"--datadir={data}",
            f"--tmpdir={temporary}",
            *(["--user=root"] if os.geteuid() == 0 else []),
        ]
        if "MariaDB" in subprocess.check_output([server, "--no-defaults", "--version"], text=True):
            install = program("mariadb-install-db", "mysql_install_db")
            assert install, "mariadb-install-db is not installed"
            prepare = [install, "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]
        else:
            prepare = [server, "--no-defaults", "--initialize-insecure"]
        finish([*prepare, *common])
        port, password = free_port(), secrets.token_hex(16)
        accounts = Path(folder, "accounts.sql")
        accounts.write_text(
            "CREATE DATABASE IF NOT EXISTS fintrack;\n"
            f"CREATE USER IF NOT EXISTS fintrack@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON fintrack.* TO fintrack@'127.0.0.1';\n"
            "GRANT ALL ON `test\\_%`.* TO fintrack@'127.0.0.1';\n"
        )
        command = [
            server,
            "--no-defaults",
            *common,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--socket=socket",  # relative to the data folder: the full path might be too long for a socket
            f"--pid-file={data / 'pid'}",
            f"--init-file={accounts}",
            "--loose-mysqlx=OFF",
            "--character-set-server=utf8mb4",
            # Fast: commits survive a killed process, though not a crash of the machine.
            "--innodb-flush-log-at-trx-commit=2",
            "--skip-log-bin",
        ]
        url = f"mysql://fintrack:{password}@127.0.0.1:{port}/fintrack"
        with Server(command, port, url, hello=b"") as running:
            yield running


@contextmanager
def redis() -> Iterator[Server]:
    """Runs Redis without persistence."""
    server = program("redis-server")
    assert server, "redis-server is not installed"
    with tempfile.TemporaryDirectory(prefix="fintrack-redis-") as folder:
        port = free_port()
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        with Server(command, port, f"redis://127.0.0.1:{port}/0", hello=b"PING\r\n") as running:
            yield running


def missing() -> list[str]:
    """Returns the names of the programs that aren't installed."""
    wanted = {"mariadbd (or mysqld)": ("mariadbd", "mysqld"), "redis-server": ("redis-server",)}
    return [title for title, names in wanted.items() if not program(*names)]


def run(command: list[str]) -> int:
    """Runs the command with both servers and returns its exit status."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)  # the `with` statements then stop the servers
    with mariadb() as database, redis() as cache:
        print(f"{Path(database.command[0]).name} and redis-server are running.", flush=True)
        process = subprocess.Popen(
            command, env=os.environ | {"DATABASE_URL": database.url, "REDIS_URL": cache.url}
        )
        # From now on the command decides when to end. A terminal sends Ctrl-C to it too.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if missing():
        sys.exit(f"Not tested on a database server and Redis: {', '.join(missing())} not installed.")
    if len(sys.argv) > 1:
        sys.exit(run(sys.argv[1:]))
