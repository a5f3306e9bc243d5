"""`arzamed model`: learns what the records of an endpoint are, and writes a class for them, or compares them with one.

No value of a record is in what it writes: not in the file, a message, the log or a temporary file.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ConfigurationError,
    Endpoint,
    Failure,
    Limits,
    OpenRecord,
    RecordStream,
    Resource,
    UnpublishedEndpointWarning,
)
from arzamed_async._inference.naming import is_of_patients

from .destination import OutputError
from .ending import Code
from .failures import FailureLines
from .messages import StderrReporter
from .model_check import Checking
from .model_file import Checked, checked
from .model_source import Learning, SourceFile
from .progress import Counter
from .request import Request
from .results import Results
from .running import code_of, run
from .selection import pairs
from .session import open_session

__all__ = ["Modelling", "checked_name", "model_records"]

#: Memory does not grow with the list, so its length needs no limit.
_UNLIMITED = Limits(list_bytes=2**50)
#: Endpoints whose paths the vendor has not published.
_UNPUBLISHED = {"slots", "patients"}


@frozen(kw_only=True)
class Modelling:
    """The options of the command. `output` None or "-" is standard output."""

    name: str
    path: str | None = None
    path_params: Sequence[str] = field(factory=list[str])
    params: Sequence[str] = field(factory=list[str])
    output: Path | None = None
    check: Path | None = None
    records: int | None = None
    enums: bool = False
    decimals: bool = False
    personal: bool = False
    json: bool = False
    clinics_file: Path | None = None


class Purpose(Protocol):
    """What the records are read for."""

    @property
    def undone(self) -> str:
        """What is reported where no records could be read."""
        ...

    async def read(self, clinic: str, stream: RecordStream[OpenRecord], count: Callable[[int], None]) -> None:
        """Read a clinic's records; report to `count` how many have been read."""
        ...

    def end(self, results: Results, reporter: StderrReporter) -> int:
        """Do what the command is for; return the exit code. Raises OutputError."""
        ...


def checked_name(name: str | None, check: Path | None) -> str:
    """Return the name of the endpoint. Raises ConfigurationError, which shows the whole command, where it was left out."""
    if name is not None:
        return name
    rest = ["-o", "slots.py"] if check is None else ["--check", str(check)]
    example = " ".join(map(shlex.quote, ("arzamed", "model", "slots", *rest)))
    raise ConfigurationError(f"NAME is missing: name the endpoint, as in {example}")


def model_records(options: Modelling, request: Request, reporter: StderrReporter) -> int:
    """Write a module, or report how the records differ from a class; return the exit code."""
    if options.check is not None and options.output is not None:
        raise ConfigurationError("--check writes no module: leave out --output")
    if options.check is None and options.json:
        raise ConfigurationError("--format json is for --check: a module is Python")
    found = None if options.check is None else checked(options.check, options.path)
    target = _target(options, found)
    endpoint = target.endpoint
    purpose: Purpose
    if found is not None and options.check is not None:
        purpose = Checking(
            found.model, options.check, options.name, endpoint.path, most=options.records, as_json=options.json
        )
    else:
        file = SourceFile(options.output, options.clinics_file)
        file.check(options.name, endpoint.path)
        flags = {"personal": endpoint.personal, "decimals": options.decimals, "enums": options.enums}
        purpose = Learning(file, options.name, endpoint.path, options.records, flags)
    return _Reading(options, target, purpose, request, reporter).run()


@frozen
class _Target:
    """Which endpoint to read. Its path is `guessed` where the vendor has not published it and the user did not give it."""

    endpoint: Endpoint[OpenRecord]
    guessed: bool


def _target(options: Modelling, found: Checked | None) -> _Target:
    name, path = options.name, options.path or (found.path if found is not None else None)
    personal = options.personal or is_of_patients(name, path) or (found is not None and found.personal)
    if options.enums and personal:
        raise ConfigurationError(
            "--enums writes values of records into the file, which is not allowed for personal records: leave it out"
        )
    guessed = path is None and name in _UNPUBLISHED
    if path is None:
        if name not in {"doctors", *_UNPUBLISHED}:
            raise ConfigurationError(f"unknown endpoint {name}: give its path with --path")
        path = f"equipe/{name}"
    try:
        return _Target(Endpoint(path, OpenRecord, personal=personal), guessed)
    except ConfigurationError as error:
        problem = str(error).replace("Endpoint.path", "--path", 1)
    raise ConfigurationError(problem)


class _Reading:
    def __init__(
        self, options: Modelling, target: _Target, purpose: Purpose, request: Request, reporter: StderrReporter
    ) -> None:
        self._options = options
        self._target = target
        self._purpose = purpose
        self._request = request
        self._reporter = reporter
        self._params = pairs(options.params)
        self._path_params = dict(pairs(options.path_params, "--path-param"))
        if request.clinics:  # an argument that is missing or too much is one mistake, not a failure of each clinic
            self._check_arguments(ArzamedSession(base_url=request.base_url).clinic(request.clinics[0]))
        self._results = Results(clinic.display_name for clinic in request.clinics)
        self._lines = FailureLines(reporter, each=request.verbose)
        self._received = 0

    def _check_arguments(self, clinic: Clinic) -> None:
        try:
            self._resource(clinic)
        except ConfigurationError as error:  # it shows how Python gives the values
            names = [each[1:-1] for each in self._target.endpoint.path.split("/") if each.startswith("{")]
            missing = [each for each in names if each not in self._path_params]
            python = f"clinic.resource(endpoint, {', '.join(f'{each}=...' for each in missing)})"
            problem = str(error).replace(python, " ".join(f"--path-param {each}=VALUE" for each in missing))
        else:
            return
        raise ConfigurationError(problem)

    def run(self) -> int:
        try:
            run(self._read())
            self._report_failures()
            if not self._results.complete:
                self._reporter.message(f"no records could be read from any clinic: {self._purpose.undone}")
                return code_of(0, len(self._results.failures))
            return self._purpose.end(self._results, self._reporter)
        except OutputError as error:
            self._reporter.message(str(error))
            return Code.UNWRITTEN
        except KeyboardInterrupt:
            self._report_failures()
            self._reporter.message(f"interrupted: {self._purpose.undone}")
            raise

    async def _read(self) -> None:
        request, results = self._request, self._results
        counter = Counter(self._reporter, len(request.clinics), lambda: self._received, quiet=False)
        with counter.shown():
            async with (
                open_session(request, self._reporter, limits=_UNLIMITED, observers=[results]) as session,
                session.fan_out(
                    request.clinics,
                    self._read_clinic,
                    concurrency=request.concurrency,
                    deadline_seconds=request.deadline_seconds,
                    on_progress=counter.step,
                ) as outcomes,
            ):
                async for outcome in outcomes:
                    if isinstance(outcome, Failure):
                        results.fail(outcome)
                    else:
                        results.finish(outcome.clinic)

    async def _read_clinic(self, clinic: Clinic) -> None:
        result = self._results.begin(clinic.name)

        def count(records: int) -> None:
            result.received += records
            self._received += records

        async with self._resource(clinic).stream(self._params) as stream:
            await self._purpose.read(clinic.name, stream, count)

    def _resource(self, clinic: Clinic) -> Resource[Any]:
        if not self._target.guessed:
            return clinic.resource(self._target.endpoint, **self._path_params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnpublishedEndpointWarning)  # it is meant for Python code
            return clinic.slots if self._options.name == "slots" else clinic.patients

    def _report_failures(self) -> None:
        failures = self._results.failures
        if failures and self._target.guessed:
            self._reporter.message(
                f"the path {self._target.endpoint.path} is a guess: the vendor has not published it."
                " If you know the right one, give it with --path"
            )
        for failure in failures:
            self._lines.add(failure.clinic, failure.error)
        self._lines.finish()
