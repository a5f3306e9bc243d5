"""`arzamed model`: learns what the records of an endpoint are, and writes a class for them.

No value of a record is in what it writes: not in the file, a message, the log or a temporary file.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ConfigurationError,
    Endpoint,
    Failure,
    Limits,
    OpenRecord,
    Resource,
    Success,
    UnpublishedEndpointWarning,
)
from arzamed_async._inference.inferred import InferredModel, infer_model

from .destination import OutputError
from .ending import Code
from .failures import FailureLines
from .messages import StderrReporter
from .model_source import SourceFile
from .progress import Counter
from .request import Request
from .results import Results
from .running import code_of, run
from .selection import pairs
from .session import open_session

__all__ = ["Modelling", "model_records"]

#: Memory does not grow with the list, so its length needs no limit.
_UNLIMITED = Limits(list_bytes=2**50)
_DOCTORS = "equipe/doctors"
#: Endpoints whose records are about people, and whose paths the vendor has not published.
_PERSONAL, _UNPUBLISHED = {"patients"}, {"slots", "patients"}


@frozen(kw_only=True)
class Modelling:
    """The options of the command. `output` None or "-" is standard output."""

    name: str
    path: str | None = None
    path_params: Sequence[str] = field(factory=list[str])
    params: Sequence[str] = field(factory=list[str])
    output: Path | None = None
    records: int | None = None
    enums: bool = False
    decimals: bool = False
    personal: bool = False
    clinics_file: Path | None = None


class Purpose(Protocol):
    """What the model of all clinics is for."""

    undone: str  # for the message where there is none

    def note(self, clinic: str, model: InferredModel) -> None:
        """Use a clinic's model."""
        ...

    def end(self, model: InferredModel, results: Results, reporter: StderrReporter) -> int:
        """Do what the command is for; return the exit code. Raises OutputError."""
        ...


def model_records(options: Modelling, request: Request, reporter: StderrReporter) -> int:
    """Write a module; return the exit code."""
    target = _target(options)
    file = SourceFile(options.output, options.clinics_file)
    file.check(options.name, target.endpoint.path)
    return _Reading(options, target, file, request, reporter).run()


@frozen
class _Target:
    """Which endpoint to read. Its path is `guessed` where the vendor has not published it and the user did not give it."""

    endpoint: Endpoint[OpenRecord]
    guessed: bool


def _target(options: Modelling) -> _Target:
    name, path = options.name, options.path
    personal = options.personal or name in _PERSONAL
    if options.enums and personal:
        raise ConfigurationError("--enums writes values of records into the file: none of personal records are written")
    guessed = path is None and name in _UNPUBLISHED
    if path is None:
        if name not in {"doctors", *_UNPUBLISHED}:
            raise ConfigurationError(f"the package knows no endpoint {name}: give its path with --path")
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
            self._resource(ArzamedSession(base_url=request.base_url).clinic(request.clinics[0]))
        self._results = Results(clinic.display_name for clinic in request.clinics)
        self._lines = FailureLines(reporter, each=request.verbose)
        self._received = 0
        self._model: InferredModel | None = None

    def run(self) -> int:
        try:
            run(self._read())
            self._report_failures()
            if self._model is None:
                self._reporter.message(f"no clinic's records could be read: {self._purpose.undone}")
                return code_of(0, len(self._results.failures))
            return self._purpose.end(self._model, self._results, self._reporter)
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
                    self._infer,
                    concurrency=request.concurrency,
                    deadline_seconds=request.deadline_seconds,
                    on_progress=counter.step,
                ) as outcomes,
            ):
                async for outcome in outcomes:
                    if isinstance(outcome, Failure):
                        results.fail(outcome)
                    else:
                        self._add(outcome)

    async def _infer(self, clinic: Clinic) -> InferredModel:
        options, endpoint = self._options, self._target.endpoint
        self._results.begin(clinic.name)
        async with self._resource(clinic).stream(self._params) as stream:
            model = await infer_model(
                stream,
                name=options.name,
                path=endpoint.path,
                personal=endpoint.personal,
                decimals=options.decimals,
                enums=options.enums,
                max_records=options.records,
            )
        self._received += model.records
        return model

    def _resource(self, clinic: Clinic) -> Resource[Any]:
        if not self._target.guessed:
            return clinic.resource(self._target.endpoint, **self._path_params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnpublishedEndpointWarning)  # it is meant for Python code
            return clinic.slots if self._options.name == "slots" else clinic.patients

    def _add(self, outcome: Success[InferredModel]) -> None:
        """Merge a clinic's model. One that goes over the bounds together with the others fails this clinic alone."""
        name, model, results = outcome.clinic, outcome.value, self._results
        try:
            self._model = model if self._model is None else self._model.merge(model)
        except ArzamedError as error:
            results.fail(Failure(name, error, outcome.seconds, outcome.index))
            return
        self._purpose.note(name, model)
        results.finish(name)
        results.clinics[name].received = results.clinics[name].written = model.records

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
