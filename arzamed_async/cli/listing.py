"""`arzamed doctors`, `slots`, `patients`: the records of many clinics, written as they arrive."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Sequence

from attrs import field, frozen

from arzamed_async import (
    Clinic,
    ConfigurationError,
    Doctor,
    Endpoint,
    Endpoints,
    Failure,
    Limits,
    Patient,
    Record,
    Resource,
    Slot,
    UnpublishedEndpointWarning,
)

from .formats import Format, Writer, writer_for
from .output import Out, stdout_writer
from .progress import Counter
from .request import Request
from .running import code_of, run
from .session import open_session
from .voice import Voice, is_terminal

__all__ = ["Listing", "list_records"]

#: Nothing grows with the list, so that its length needs no bound.
_ENDLESS = Limits(list_bytes=2**50)
_LAST_WORDS_SECONDS = 1.0
#: So many rows of a table are laid out in a second, about: behind Ctrl-C no more are.
_LAST_ROWS = 2_000


@frozen(kw_only=True)
class Listing:
    """Which records, and how they are written."""

    kind: str
    path: str | None = None
    params: Sequence[str] = field(factory=list[str])
    format: Format | None = None


def list_records(listing: Listing, request: Request, voice: Voice) -> int:
    """Write the records to standard output; return the exit code."""
    return _Reading(listing, request, voice).run()


class _Reading:
    def __init__(self, listing: Listing, request: Request, voice: Voice) -> None:
        self._listing = listing
        self._request = request
        self._voice = voice
        self._params = _pairs(listing.params)
        self._endpoints, self._doctors = _endpoints(listing)
        terminal = is_terminal(sys.stdout)
        kind = listing.format or (Format.table if terminal else Format.ndjson)
        self._table = kind is Format.table
        self._writer: Writer = writer_for(kind, open_records=listing.kind != "doctors")
        self._counter = Counter(voice, len(request.clinics), quiet=terminal and not self._table)
        self._failures: list[Failure] = []
        self._guessed = listing.path is None and listing.kind != "doctors"
        self._whole = False
        self._told = 0
        self._worked = 0
        self._out = Out(stdout_writer())

    def run(self) -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnpublishedEndpointWarning)  # it speaks to those who write Python
                run(self._read())
        except KeyboardInterrupt:
            if not self._whole:
                self._out.add(self._writer.tail(_LAST_ROWS))
            self._out.close(_LAST_WORDS_SECONDS)
            self._tell_guess()
            self._tell_failures()
            records = sum(self._counter.records.values())
            if self._table:
                records = min(records, _LAST_ROWS)
            self._voice.say(f"interrupted: what is written is not all ({records:,} records)")
            raise
        finally:
            self._out.close(0)
        self._tell_guess()
        self._tell_failures()
        return code_of(self._worked, len(self._failures))

    async def _read(self) -> None:
        out, request, writer, records = self._out, self._request, self._writer, self._counter.records
        await out.put(writer.head())
        with self._counter.shown():
            async with open_session(request, self._voice, endpoints=self._endpoints, limits=_ENDLESS) as session:
                merged = session.merge(
                    request.clinics,
                    self._encoded,
                    concurrency=request.concurrency,
                    deadline_seconds=request.deadline_seconds,
                    on_progress=self._counter.step,
                )
                async with merged:
                    async for each in merged:
                        if isinstance(each, Record):
                            records[each.clinic] = records.get(each.clinic, 0) + 1
                            await out.put(writer.piece(each.value))
                        elif isinstance(each, Failure):
                            self._failures.append(each)
                            if not self._table:
                                self._tell_failures()
                        else:
                            self._worked += 1
        # A long table takes its time: in a thread, so that Ctrl-C is heard meanwhile.
        tail = await asyncio.to_thread(writer.tail)
        self._whole = True  # a signal from now on must not close the array twice
        await out.put(tail)
        await out.drain()

    async def _encoded(self, clinic: Clinic) -> AsyncIterator[bytes]:
        """Encode where the clinic is at hand: a record that has no text fails its clinic alone."""
        encode, name = self._writer.encode, clinic.name
        async with self._resource(clinic).stream(self._params) as stream:
            async for record in stream:
                yield encode(name, record)

    def _resource(self, clinic: Clinic) -> Resource[Doctor] | Resource[Slot] | Resource[Patient]:
        if self._listing.kind == "slots":
            return clinic.slots
        if self._listing.kind == "patients":
            return clinic.patients
        return clinic.doctors if self._doctors is None else clinic.resource(self._doctors)

    def _tell_guess(self) -> None:
        """Tell once that the path is a guess: not before something is written, for a broken pipe is silent."""
        if self._guessed:
            self._guessed = False
            self._voice.say(
                f"the path equipe/{self._listing.kind} is a guess: the vendor has not published it."
                " If you know the right one, give it with --path"
            )

    def _tell_failures(self) -> None:
        """Tell of the failures that have not been told."""
        if self._told < len(self._failures):
            self._tell_guess()
        for failure in self._failures[self._told :]:
            count = self._counter.records.get(failure.clinic, 0)
            note = f"The {count:,} records that came before are a part of its list" if count else ""
            self._voice.failure(failure.clinic, failure.error, note)
        self._told = len(self._failures)


def _pairs(params: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for param in params:
        key, equals, value = param.partition("=")
        if not key or not equals:
            raise ConfigurationError(f"--param takes key=value, not {param!r}")
        pairs.append((key, value))
    return pairs


def _endpoints(listing: Listing) -> tuple[Endpoints, Endpoint[Doctor] | None]:
    """Return the paths to read: those of slots and patients, and the doctors' where it is not the published one."""
    path = listing.path
    if path is None:
        return Endpoints(), None
    try:
        doctors = Endpoint(path, Doctor)
    except ConfigurationError as error:
        problem = str(error).replace("Endpoint.path", "--path", 1)
    else:
        if listing.kind == "doctors":
            return Endpoints(), doctors
        return (Endpoints(slots=path) if listing.kind == "slots" else Endpoints(patients=path)), None
    raise ConfigurationError(problem)
