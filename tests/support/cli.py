"""What the tests of the command line need: a fake Arzamed beside them, clinics files, and the command itself."""

from __future__ import annotations

import array
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import pytest
from typer.testing import CliRunner

from arzamed_async._tokens import guarded_store
from arzamed_async.cli.app import app
from arzamed_async.testing import FakeArzamed
from support import RawServer, token_answer
from support.clinics_files import toml

T = TypeVar("T")

COMMAND = [sys.executable, "-m", "arzamed_async.cli"]
SECONDS = 60  # a bound for what should take a moment

#: Pipes are unbuffered here, so that what is read is all that was taken out of them.
Process = subprocess.Popen[bytes]


class Beside:
    """A FakeArzamed in a thread of its own: the command has the main thread and its event loop to itself."""

    def __enter__(self) -> Beside:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.fake = FakeArzamed()
        self.wait(self.fake.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.wait(self.fake.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def do(self, act: Callable[[FakeArzamed], T]) -> T:
        """Do something with the fake, in its own thread."""

        async def acting() -> T:
            return act(self.fake)

        result: T = self.wait(acting())
        return result

    def clinics(self, folder: Path, *names: str, **records: Any) -> str:
        """Add clinics; return the path of a clinics file with them."""
        return toml(folder, [self.do(lambda fake, name=name: fake.add_clinic(name, **records)) for name in names])

    def run(self, *arguments: str) -> Done:
        """Run a command in this process, against the fake."""
        return run(*arguments, "--base-url", self.fake.base_url)


class Done(NamedTuple):
    """How a command ended, and what it wrote, without colours: Typer has them wherever FORCE_COLOR is set."""

    exit_code: int
    stdout: str
    stderr: str


def plain(text: str) -> str:
    """Return the text without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def run(*arguments: str) -> Done:
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, plain(result.stdout), plain(result.stderr))


#: What changes how a command writes, or what it reads.
_MATTERS = {
    "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES", "NO_COLOR", "PYTHONIOENCODING", "PYTHONUNBUFFERED",
    "PYTHONWARNINGS", "PY_COLORS", "TERMINAL_WIDTH", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
}  # fmt: skip


def _is_proxy(name: str) -> bool:
    return name.lower() in {"all_proxy", "http_proxy", "https_proxy", "no_proxy"}


def neutral_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Give a command an environment like that of an ordinary shell, wherever the tests run."""
    for name in [name for name in os.environ if name in _MATTERS or name.startswith("ARZAMED_") or _is_proxy(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")  # that of the person who runs the tests may have clinics
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("ANSWER_SECONDS", "BUDGET_SECONDS"):  # a machine that is busy makes no store an outage
        monkeypatch.setattr(guarded_store, name, 60.0)


def start(*arguments: str, command: Sequence[str] = COMMAND, nohup: bool = False, **options: Any) -> Process:
    """Start the command as a process of its own, with pipes.

    With `nohup` it has SIGINT ignored; without, it has not, though the tests may (`nohup pytest`, `pytest &`).
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **options}
    # A handler of this process is the default in the next one.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if nohup else signal.default_int_handler)
    try:
        # The environment as Python has it: readline, which pytest imports, sets COLUMNS behind its back.
        return subprocess.Popen([*command, *arguments], env=dict(os.environ), **options)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def running(*arguments: str, **options: Any) -> Iterator[Process]:
    """Run the command, and leave nothing of it."""
    process = start(*arguments, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(*arguments: str, **options: Any) -> tuple[int, bytes, bytes]:
    """Run the command to its end; return its exit code, and what it wrote to pipes."""
    with running(*arguments, **options) as process:
        written, said = process.communicate(timeout=SECONDS)
        return process.returncode, written or b"", said or b""


def poll(condition: Callable[[], object], what: str) -> None:
    """Wait until it is so."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def waiting(pipe: IO[bytes]) -> int:
    """Return how many bytes wait in a pipe."""
    import fcntl
    import termios

    size = array.array("i", [0])
    fcntl.ioctl(pipe.fileno(), termios.FIONREAD, size)
    return size[0]


class Held(RawServer):
    """Sends the beginning of a list, and holds back the rest until the client is gone."""

    def __init__(self) -> None:
        super().__init__(self.hold)

    async def hold(self, request: Any, writer: Any) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        records = json.dumps([{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(500)]).encode()
        writer.write(
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(records) - 1, records[:-1])
        )
        await writer.drain()
        await asyncio.sleep(10 * SECONDS)
