"""`arzamed demo`: the real client against a dozen invented clinics on a loopback socket."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import nullcontext

from attrs import define, field
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    CredentialsRejectedError,
    Doctor,
    Event,
    Outcome,
    PaceChanged,
    RetryScheduled,
    StatusError,
    Success,
    TokenRequestFinished,
)
from arzamed_async._counted import counted
from arzamed_async.testing import FakeArzamed

from .running import run

__all__ = ["run_demo"]

_CITIES = (
    "Milano", "Roma", "Napoli", "Torino", "Palermo", "Genova",
    "Bologna", "Firenze", "Bari", "Catania", "Venezia", "Verona",
)  # fmt: skip
_SURNAMES = ("Inventata", "Finto", "Esempio", "Fantasia", "Fittizio", "Prova", "Ipotetica", "Qualunque", "Nessuno")
_SLOW_SECONDS = {"Palermo": 1.3, "Venezia": 0.9, "Torino": 0.6}
_REVOKED = "Bari"
_UNAVAILABLE = "Bologna"  # responds with 503 at first
_LIMITED = "Catania"  # lets two requests through in a second, and is read by three callers at once
_LIMITED_CALLERS = 3
_NAMES_SHOWN = 2


def run_demo(console: Console) -> None:
    """Run the demo and print its table and a summary line; after a signal, the table of the clinics read so far."""
    run(_demo(console))


@define
class Tally:
    """An observer that counts the requests that the client adds, token requests and retries, and the clinics that are paced."""

    token_requests: int = 0
    retries: Counter[str] = field(factory=Counter[str])
    paced: set[str] = field(factory=set[str])

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, TokenRequestFinished):
            self.token_requests += 1
        elif isinstance(event, RetryScheduled):
            self.retries[event.clinic] += 1
        elif isinstance(event, PaceChanged) and event.scope == "clinic":
            self.paced.add(event.clinic)


class _Board:
    """The display: a growing table, a progress bar below it, and a summary line at the end."""

    def __init__(self, tally: Tally, total: int, width: int) -> None:
        self._tally = tally
        self.table = Table(
            box=SIMPLE_HEAD,
            pad_edge=False,
            # Full width from the first row on, so that columns do not move while rows are added.
            expand=True,
            width=min(80, width),
            title=f"Doctors of {total} invented clinics",
            title_justify="left",
        )
        self.table.add_column("Clinic", no_wrap=True)
        self.table.add_column("Doctors", no_wrap=True, justify="right")
        self.table.add_column("Names", ratio=1)
        self.table.add_column("Retries", no_wrap=True, justify="right")
        self.table.add_column("Time", no_wrap=True, justify="right")
        self.progress = Progress(
            TextColumn("Reading clinics"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), auto_refresh=False
        )
        self._bar: TaskID = self.progress.add_task("", total=total)
        self._read = 0
        self._failures: list[str] = []

    def add(self, outcome: Outcome[list[Doctor]]) -> None:
        """Add a clinic's row."""
        retries = self._tally.retries[outcome.clinic]
        paced = "paced" if outcome.clinic in self._tally.paced else ""
        tail = (", ".join(part for part in (str(retries or ""), paced) if part), f"{outcome.seconds:.1f} s")
        if isinstance(outcome, Success):
            self._read += 1
            self.table.add_row(escape(outcome.clinic), str(len(outcome.value)), escape(_names(outcome.value)), *tail)
        else:
            word, reason = _reason(outcome.error)
            self._failures.append(f"{outcome.clinic}: {word}")
            self.table.add_row(escape(outcome.clinic), "-", escape(reason), *tail, style="red")
        self.progress.advance(self._bar)

    def summary(self, seconds: float) -> str:
        """Return the summary line."""
        why = f" ({'; '.join(self._failures)})" if self._failures else ""
        retries = self._tally.retries.total()
        return (
            f"{counted(self._read, 'clinic')} read, {len(self._failures)} failed{why}, "
            f"{counted(self._tally.token_requests, 'token')}, {counted(retries, 'retry', 'retries')}, {len(self._tally.paced)} paced, {seconds:.1f} s"
        )


def _names(doctors: list[Doctor]) -> str:
    shown = ", ".join(doctor.name for doctor in doctors[:_NAMES_SHOWN])
    rest = len(doctors) - _NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _reason(error: ArzamedError) -> tuple[str, str]:
    """Return why a clinic failed: one word for the summary, a few for the table."""
    if isinstance(error, CredentialsRejectedError):
        return "refused", f"key refused ({error.status} {error.error})"
    if isinstance(error, StatusError):
        return str(error.status), f"HTTP {error.status} ({error.message})"
    return type(error).__name__, type(error).__name__


def _add_clinics(fake: FakeArzamed) -> list[ClinicCredentials]:
    fake.latency_seconds, fake.token_latency_seconds = 0.05, 0.1
    clinics: list[ClinicCredentials] = []
    for number, city in enumerate(_CITIES):
        doctors = [f"Dr. {_SURNAMES[(number + n) % len(_SURNAMES)]}" for n in range(2 + number * 5 % 7)]
        clinics.append(fake.add_clinic(city, doctors=doctors))
        fake.set_latency(_SLOW_SECONDS.get(city, 0.05 + 0.03 * number), city)
    fake.revoke_key(_REVOKED)
    fake.fail(503, times=2, clinic=_UNAVAILABLE)
    fake.limit_rate(2, burst=1, clinic=_LIMITED)
    return clinics


async def _read(clinic: Clinic) -> list[Doctor]:
    callers = _LIMITED_CALLERS if clinic.name == _LIMITED else 1
    lists = await asyncio.gather(*[clinic.doctors.list() for _ in range(callers)])
    return lists[0]


async def _demo(console: Console) -> None:
    tally = Tally()
    board = _Board(tally, len(_CITIES), console.width)
    # Transient: a pipe gets none of it, and on a terminal only the table remains.
    live = Live(Group(board.table, board.progress), console=console, transient=True)
    try:
        async with FakeArzamed() as fake:
            clinics = _add_clinics(fake)
            started = time.perf_counter()
            async with ArzamedSession(base_url=fake.base_url, observers=[tally]) as session:
                # With FORCE_COLOR Rich takes a pipe for a terminal: colours are wanted, cursor movements are not.
                with live if console.is_interactive else nullcontext():
                    async with session.fan_out(clinics, _read) as outcomes:
                        async for outcome in outcomes:
                            board.add(outcome)
            seconds = time.perf_counter() - started
    except asyncio.CancelledError:
        console.print(board.table)
        raise
    console.print(board.table)
    console.print(board.summary(seconds), soft_wrap=True, highlight=False)
