"""The module that `arzamed model` writes: a file, which is widened where it exists, or standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from arzamed_async import ConfigurationError, InferredModel, OpenRecord, RecordStream
from arzamed_async._counted import counted
from arzamed_async._inference.inferred import observed
from arzamed_async._inference.schema import Model, ObjectOf
from arzamed_async._inference.source import write

from .destination import FileOutput
from .ending import Code
from .interrupts import interrupts
from .messages import StderrReporter
from .results import Results
from .running import code_of
from .sources import DEFAULT_FILE, exists

__all__ = ["Learning", "SourceFile"]

#: No module that a person reads is longer.
_MOST_BYTES = 4_194_304


class SourceFile:
    """Where the module goes. None or "-" is standard output. Raises ConfigurationError where there can be no such file."""

    def __init__(self, path: Path | None, clinics_file: Path | None) -> None:
        self._file = None if path is None or path == Path("-") else FileOutput(path, "--output")
        self.path = None if self._file is None else self._file.path
        self.undone = f"{'the module' if self._file is None else self._file.path} is not written"
        keys = clinics_file or DEFAULT_FILE
        if self._file is not None and exists(self._file.target) and exists(keys) and self._file.target.samefile(keys):
            raise ConfigurationError(f"--output names the clinics file {keys}, which holds the keys")

    def check(self, name: str, path: str) -> None:
        """Raise ConfigurationError for a name that no class can have, and for a file that cannot be widened, before anything is read."""
        self._source(Model(name, path, personal=False, records=0, object=ObjectOf(())), self._existing())

    def write(self, model: InferredModel) -> bool:
        """Write the module, or widen the one that is there; return whether it has changed. Raises OutputError."""
        existing = self._existing()
        text = self._source(model.schema, existing)
        if self._file is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return True
        if text == existing:
            return False
        try:
            with interrupts.raising():
                self._file.open()
                self._file.write(text.encode())
                self._file.commit()
        finally:
            self._file.discard()
        return True

    def _source(self, model: Model, existing: str | None) -> str:
        try:
            return write(model, existing=existing)
        except ConfigurationError as error:
            problem = str(error) if existing is None or self._file is None else f"{self._file.path}: {error}"
        raise ConfigurationError(problem)

    def _existing(self) -> str | None:
        """Return the text of the file that is there. An empty one is as good as none."""
        if self._file is None or not exists(self._file.target):
            return None
        try:
            with self._file.target.open("rb") as opened:
                data = opened.read(_MOST_BYTES + 1)
            text = data.decode()
        except OSError as error:
            problem = f"cannot be read ({error.strerror or type(error).__name__})"
        except UnicodeDecodeError:
            problem = "is not a Python module in UTF-8: name another file"
        else:
            if len(data) <= _MOST_BYTES:
                return text if text.strip() else None
            problem = "is too long for a module of classes: name another file"
        raise ConfigurationError(f"--output: {self._file.path} {problem}")


class Learning:
    """Learns what the records of all clinics are, and writes the module."""

    def __init__(self, file: SourceFile, name: str, path: str, most: int | None, flags: Mapping[str, bool]) -> None:
        self._file, self._name, self._path, self._most = file, name, path, most
        self._flags = flags
        self._model: InferredModel | None = None
        self.undone = file.undone

    async def read(self, clinic: str, stream: RecordStream[OpenRecord], count: Callable[[int], None]) -> None:
        """Merge a clinic's model. Records that go over the bounds together with those of the others fail this clinic alone."""
        model = await observed(
            stream, name=self._name, path=self._path, max_records=self._most, on_records=count, **self._flags
        )
        self._model = model if self._model is None else self._model.merge(model)

    def end(self, results: Results, reporter: StderrReporter) -> int:
        """Write the module; return the exit code. Raises OutputError."""
        model, failed = self._model, len(results.failures)
        if model is None or not model.records:
            reporter.message(f"the clinics sent no records to make a class from: {self.undone}")
            return Code.NONE_WORKED
        changed = self._file.write(model)
        if self._file.path is not None:
            state = f"written to {self._file.path}" if changed else f"{self._file.path} has them all and is not changed"
            of = f"{counted(model.records, 'record')} of {counted(results.complete, 'clinic')}"
            without = f" ({failed:,} failed)" if failed else ""
            reporter.message(f"{counted(len(model.fields), 'field')} in {of}{without}: {state}")
        return code_of(results.complete, failed)
