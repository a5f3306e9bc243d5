"""`arzamed serve-fake`: a fake Arzamed API on this machine, for a user's own tests."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attrs import field, frozen

from arzamed_async import ClinicCredentials, ConfigurationError
from arzamed_async._counted import counted
from arzamed_async.testing import FakeArzamed
from arzamed_async.testing._clinics_file import text_of

from .fake_faults import Faults
from .interrupts import interrupts
from .messages import StderrReporter, StdoutReport
from .running import run

__all__ = ["Serving", "serve"]

#: The most clinics whose requests are reported at the end.
_MOST_LISTED = 100


@frozen(kw_only=True)
class Serving:
    """The options: what is served, and where its clinics file goes (None: to standard output)."""

    port: int = 0
    count: int = 3
    latency_seconds: float = 0.0
    write_clinics: Path | None = None
    faults: Faults = field(factory=Faults)


def serve(serving: Serving, reporter: StderrReporter) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    if not 0 <= serving.latency_seconds < float("inf"):
        raise ConfigurationError("--latency must be zero or more seconds")
    with suppress(KeyboardInterrupt):
        run(_serve(serving, reporter))
    return 0


async def _serve(serving: Serving, reporter: StderrReporter) -> None:
    names = [f"fake-{n + 1}" for n in range(serving.count)]
    serving.faults.check(names)
    fake = FakeArzamed(port=serving.port)
    problem = ""
    try:
        await fake.start()
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else type(error).__name__  # asyncio's text repeats the port
    if problem:
        raise ConfigurationError(f"cannot bind 127.0.0.1:{serving.port} ({problem})")
    try:
        clinics = [fake.add_clinic(name) for name in names]
        serving.faults.apply(fake)
        fake.latency_seconds = serving.latency_seconds
        _announce(serving, fake, clinics, reporter)
        try:
            await asyncio.Event().wait()  # until a signal cancels it
        finally:
            _report_requests(fake, names, reporter)
    finally:
        await fake.aclose()


def _report_requests(fake: FakeArzamed, names: Sequence[str], reporter: StderrReporter) -> None:
    for name in [name for name in names if fake.token_requests(name) or fake.api_requests(name)][:_MOST_LISTED]:
        reporter.message(f"{name}: {_requests_of(fake, name)}")
    reporter.message(f"received in total: {_requests_of(fake, None)}")


def _requests_of(fake: FakeArzamed, name: str | None) -> str:
    tokens, others = fake.token_requests(name), fake.api_requests(name)
    return f"{counted(tokens, 'token request')}, {counted(others, 'API request')}"


def _announce(
    serving: Serving, fake: FakeArzamed, clinics: Sequence[ClinicCredentials], reporter: StderrReporter
) -> None:
    file = serving.write_clinics
    if file is None:
        sys.stdout.write(text_of(fake.base_url, clinics))
        sys.stdout.flush()
    else:
        with interrupts.raising():  # a signal must not leave half a file
            fake.write_clinics(file)
        StdoutReport().write(fake.base_url)
        reporter.command(f"arzamed doctors --clinics {shlex.quote(str(file))} --base-url {fake.base_url}")
    reporter.message("serving invented clinics until Ctrl-C")
