"""`arzamed doctors`, `slots`, `patients`: the records of many clinics, written as they arrive."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack

from arzamed_async import Clinic, Failure, Limits, Record, UnpublishedEndpointWarning
from arzamed_async._counted import counted

from .destination import OutputError
from .ending import Code
from .failures import FailureLines
from .formats import Format, Writer, writer_for
from .interrupts import interrupts
from .messages import StderrReporter, is_terminal
from .output import StdoutQueue, stdout_writer
from .progress import Counter
from .request import Request
from .results import Results, write_report
from .running import code_of, run
from .selection import Listing, Selection
from .session import open_session
from .spool import Spool
from .streams import UnwrittenError
from .table import TableWriter

__all__ = ["list_records"]

#: Memory does not grow with the list, so its length needs no limit.
_UNLIMITED = Limits(list_bytes=2**50)
_FINAL_WRITE_SECONDS = 1.0
#: After Ctrl-C a table has at most this many rows: about as many as are laid out in a second.
_FINAL_ROWS = 2_000


def list_records(listing: Listing, request: Request, reporter: StderrReporter) -> int:
    """Write the records to standard output or a file; return the exit code."""
    return _Reading(Selection(listing), request, reporter).run()


class _Reading:
    def __init__(self, selection: Selection, request: Request, reporter: StderrReporter) -> None:
        self._selection = selection
        self._request = request
        self._reporter = reporter
        self._table = selection.format is Format.table
        self._writer: Writer = writer_for(
            selection.format,
            open_records=selection.kind != "doctors",
            terminal=selection.terminal,
            encoding="utf-8" if selection.output else sys.stdout.encoding,  # a table on a terminal: the terminal's own
        )
        self._results = Results(clinic.display_name for clinic in request.clinics)
        self._counter = Counter(
            reporter, len(request.clinics), lambda: self._received, quiet=selection.terminal and not self._table
        )
        self._received = 0
        self._lines = FailureLines(reporter, each=request.verbose)
        self._guessed = selection.guessed
        self._complete = False
        self._reported = 0
        self._file = selection.output
        self._stdout = StdoutQueue(stdout_writer())
        self._out = self._file or self._stdout
        self._spool: Spool | None = None

    def run(self) -> int:
        code = interrupted = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnpublishedEndpointWarning)  # it is meant for Python code
                run(self._read())
            code = code_of(self._results.complete, len(self._results.failures))
            self._report_failures(last=True)
            if isinstance(self._writer, TableWriter) and (notice := self._writer.notice()):
                self._reporter.message(notice)
        except OutputError as error:
            self._report_failures(last=True)
            self._reporter.message(str(error))
            code = Code.UNWRITTEN
        except UnwrittenError:
            self._write_report(Code.UNWRITTEN)
            raise
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
            self._end_interrupted()
        finally:
            self._stdout.close(0)
        code = self._write_report(code)
        if interrupted is not None:
            raise interrupted
        if self._wants_summary():
            self._reporter.message(f"{self._results.summary()}{self._places()}")
        return code

    async def _read(self) -> None:
        writer, file = self._writer, self._file
        with ExitStack() as stack:
            if file is not None:
                stack.callback(file.discard)  # nothing of it is left, unless it was renamed
                file.open()
            if self._selection.complete_only and not self._table:
                folder = None if file is None else file.target.parent
                self._spool = stack.enter_context(Spool(folder))
            await self._out.put(writer.head())
            with self._counter.shown():
                await self._read_clinics()
            # A long table takes a while: it is laid out in a thread, so that Ctrl-C works meanwhile.
            tail = await asyncio.to_thread(writer.tail)
            self._complete = True  # a signal must not close the array a second time
            await self._out.put(tail)
            if file is None:
                await self._stdout.drain()
            elif self._results.complete or not self._results.failures:
                file.commit()

    async def _read_clinics(self) -> None:
        request, selection, results = self._request, self._selection, self._results
        async with open_session(
            request, self._reporter, endpoints=selection.endpoints, limits=_UNLIMITED, observers=[results]
        ) as session:
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
                        results.clinics[each.clinic].written += 1
                        await self._out.put(self._writer.piece(each.value))
                    elif isinstance(each, Failure):
                        self._fail(each)
                    else:
                        results.finish(each.clinic)
                        await self._write_kept(each.clinic)

    async def _encoded(self, clinic: Clinic) -> AsyncIterator[bytes]:
        """Encode within the clinic's own stream: a record that cannot be encoded fails this clinic alone.

        With a spool the records are kept there, and written when the clinic is complete.
        """
        encode, name, spool = self._writer.encode, clinic.name, self._spool
        result = self._results.begin(name)
        async with self._selection.resource(clinic).stream(self._selection.params) as stream:
            async for record in stream:
                piece = encode(name, record)
                result.received += 1
                self._received += 1
                if spool is None:
                    yield piece
                else:
                    spool.add(name, piece)

    async def _write_kept(self, name: str) -> None:
        if self._spool is not None:
            clinic = self._results.clinics[name]
            for piece in self._spool.take(name):
                clinic.written += 1
                await self._out.put(self._writer.piece(piece))

    def _fail(self, failure: Failure) -> None:
        self._results.fail(failure)
        if self._selection.complete_only:
            self._results.clinics[failure.clinic].written = 0
            self._writer.drop(failure.clinic)
            if self._spool is not None:
                self._spool.drop(failure.clinic)
        if not self._table:
            self._report_failures()

    def _end_interrupted(self) -> None:
        if self._file is None:
            if not self._complete:
                self._stdout.add(self._writer.tail(_FINAL_ROWS))
            self._stdout.close(_FINAL_WRITE_SECONDS)
        self._report_failures(last=True)
        records = self._results.written
        if self._table:
            records = min(records, _FINAL_ROWS)
        if self._file is None:
            self._reporter.message(f"interrupted: the output is incomplete ({counted(records, 'record')})")
        else:
            state = "is written" if self._file.committed else "is not written"
            self._reporter.message(f"interrupted: {self._file.path} {state}")

    def _report_guess(self) -> None:
        """Report once that the path is a guess. After the first output, because a broken pipe must stay silent."""
        if self._guessed:
            self._guessed = False
            self._reporter.message(
                f"the path equipe/{self._selection.kind} is a guess: the vendor has not published it."
                " If you know the right one, give it with --path"
            )

    def _report_failures(self, *, last: bool = False) -> None:
        """Report the failures that have not been reported yet; the last time with the counts."""
        failures = self._results.failures
        if last or self._reported < len(failures):
            self._report_guess()
        for failure in failures[self._reported :]:
            self._lines.add(failure.clinic, failure.error, self._note(failure.clinic))
        self._reported = len(failures)
        if last:
            self._lines.finish()

    def _note(self, name: str) -> str:
        clinic = self._results.clinics[name]
        received = counted(clinic.received, "record")
        if self._selection.complete_only and clinic.received:
            return f"The {received} received before the failure {'is' if clinic.received == 1 else 'are'} left out"
        if clinic.received:
            return f"Its list is incomplete: {received} {'was' if clinic.received == 1 else 'were'} received before the failure"
        return ""

    def _wants_summary(self) -> bool:
        """Return whether the totals are of use: silence is success for a command that writes to a pipe."""
        several = len(self._request.clinics) > 1
        notable = bool(self._results.failures) or self._request.verbose or is_terminal(sys.stderr)
        return self._file is not None or self._selection.report is not None or (several and notable)

    def _places(self) -> str:
        """Return where the records and the report are."""
        report, text = self._selection.report, ""
        if self._file is not None:
            text = f", written to {self._file.path}" if self._file.committed else f"; {self._file.path} is not written"
        return f"{text}; report in {report.path}" if report is not None and report.committed else text

    def _write_report(self, code: int | None) -> int:
        """Write the report, and return the exit code: another one if the report cannot be written."""
        report, file, selection = self._selection.report, self._file, self._selection
        final = Code.UNWRITTEN if code is None else code
        if report is None:
            return final
        content = self._results.report(
            self._request,
            interrupts.code if code is None else code,
            records_of=selection.kind,
            format=selection.format.value,
            complete_only=selection.complete_only,
            output=None if file is None else str(file.path),
            output_written=None if file is None else file.committed,
        )
        try:
            write_report(report, content)
        except OutputError as error:
            self._reporter.message(str(error))
            return Code.UNWRITTEN
        return final
