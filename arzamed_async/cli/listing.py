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

from .failures import FailureLines
from .formats import Format, Writer, writer_for
from .messages import StderrReporter, is_terminal
from .output import StdoutQueue, stdout_writer
from .progress import Counter
from .request import Request
from .running import code_of, run
from .session import open_session

__all__ = ["Listing", "list_records"]

#: Memory does not grow with the list, so its length needs no limit.
_UNLIMITED = Limits(list_bytes=2**50)
_FINAL_WRITE_SECONDS = 1.0
#: After Ctrl-C a table has at most this many rows: about as many as are laid out in a second.
_FINAL_ROWS = 2_000


@frozen(kw_only=True)
class Listing:
    """The options of a list command: which records, and their format."""

    kind: str
    path: str | None = None
    params: Sequence[str] = field(factory=list[str])
    format: Format | None = None


def list_records(listing: Listing, request: Request, reporter: StderrReporter) -> int:
    """Write the records to standard output; return the exit code."""
    return _Reading(listing, request, reporter).run()


class _Reading:
    def __init__(self, listing: Listing, request: Request, reporter: StderrReporter) -> None:
        self._listing = listing
        self._request = request
        self._reporter = reporter
        self._params = _pairs(listing.params)
        self._endpoints, self._doctors = _endpoints(listing)
        terminal = is_terminal(sys.stdout)
        kind = listing.format or (Format.table if terminal else Format.ndjson)
        self._table = kind is Format.table
        self._writer: Writer = writer_for(kind, open_records=listing.kind != "doctors")
        self._counter = Counter(reporter, len(request.clinics), quiet=terminal and not self._table)
        self._failures: list[Failure] = []
        self._lines = FailureLines(reporter, each=request.verbose)
        self._guessed = listing.path is None and listing.kind != "doctors"
        self._complete = False
        self._reported = 0
        self._worked = 0
        self._out = StdoutQueue(stdout_writer())

    def run(self) -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnpublishedEndpointWarning)  # it is meant for Python code
                run(self._read())
        except KeyboardInterrupt:
            if not self._complete:
                self._out.add(self._writer.tail(_FINAL_ROWS))
            self._out.close(_FINAL_WRITE_SECONDS)
            self._report_guess()
            self._report_failures()
            self._lines.finish()
            records = sum(self._counter.records.values())
            if self._table:
                records = min(records, _FINAL_ROWS)
            self._reporter.message(f"interrupted: the output is incomplete ({records:,} records)")
            raise
        finally:
            self._out.close(0)
        self._report_guess()
        self._report_failures()
        self._lines.finish()
        return code_of(self._worked, len(self._failures))

    async def _read(self) -> None:
        out, request, writer, records = self._out, self._request, self._writer, self._counter.records
        await out.put(writer.head())
        with self._counter.shown():
            async with open_session(request, self._reporter, endpoints=self._endpoints, limits=_UNLIMITED) as session:
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
                                self._report_failures()
                        else:
                            self._worked += 1
        # A long table takes a while: it is laid out in a thread, so that Ctrl-C works meanwhile.
        tail = await asyncio.to_thread(writer.tail)
        self._complete = True  # a signal must not close the array a second time
        await out.put(tail)
        await out.drain()

    async def _encoded(self, clinic: Clinic) -> AsyncIterator[bytes]:
        """Encode within the clinic's own stream: a record that cannot be encoded fails this clinic alone."""
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

    def _report_guess(self) -> None:
        """Report once that the path is a guess. After the first output, because a broken pipe must stay silent."""
        if self._guessed:
            self._guessed = False
            self._reporter.message(
                f"the path equipe/{self._listing.kind} is a guess: the vendor has not published it."
                " If you know the right one, give it with --path"
            )

    def _report_failures(self) -> None:
        """Report the failures that have not been reported yet."""
        if self._reported < len(self._failures):
            self._report_guess()
        for failure in self._failures[self._reported :]:
            count = self._counter.records.get(failure.clinic, 0)
            note = f"Its list is incomplete: {count:,} records were received before the failure" if count else ""
            self._lines.add(failure.clinic, failure.error, note)
        self._reported = len(self._failures)


def _pairs(params: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for param in params:
        key, equals, value = param.partition("=")
        if not key or not equals:
            raise ConfigurationError(f"--param takes key=value, not {param!r}")
        pairs.append((key, value))
    return pairs


def _endpoints(listing: Listing) -> tuple[Endpoints, Endpoint[Doctor] | None]:
    """Return the paths of slots and patients, and the endpoint of doctors where `--path` replaces the published one."""
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
