"""What the tests of the command line need: a fake Arzamed beside them, clinics files, and the command itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from typer.testing import CliRunner

from arzamed_async import ClinicCredentials
from arzamed_async.cli.app import app
from arzamed_async.testing import FakeArzamed

T = TypeVar("T")

COMMAND = [sys.executable, "-m", "arzamed_async.cli"]


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
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def do(self, act: Callable[[FakeArzamed], T]) -> T:
        """Do something with the fake, in its own thread."""

        async def acting() -> T:
            return act(self.fake)

        result: T = self.wait(acting())
        return result

    def clinics(self, folder: Path, *names: str, **records: Any) -> str:
        """Add clinics; return the path of a clinics file with them."""
        return toml(folder, [self.do(lambda fake, name=name: fake.add_clinic(name, **records)) for name in names])

    def run(self, *arguments: str) -> Any:
        """Run a command in this process, against the fake."""
        return run(*arguments, "--base-url", self.fake.base_url)


def toml(folder: Path, clinics: list[ClinicCredentials], name: str = "invented.toml") -> str:
    file = folder / name
    lines = []
    for clinic in clinics:
        lines += [
            f'[clinics."{clinic.name}"]',
            f'client_id = "{clinic.client_id}"',
            f'client_secret = "{clinic.client_secret}"',
            f'token_url = "{clinic.token_url}"',
        ]
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return str(file)


def run(*arguments: str) -> Any:
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command as a process of its own, with pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **options}
    # The environment as Python has it: readline, which pytest imports, sets COLUMNS behind its back.
    return subprocess.Popen([*COMMAND, *arguments], env=dict(os.environ), **options)
