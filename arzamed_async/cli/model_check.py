"""What `arzamed model --check` reports: how the records of all clinics differ from a class, for a person or as JSON."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from arzamed_async import Drift, ModelReport, OpenRecord, RecordStream
from arzamed_async._counted import counted
from arzamed_async._inference.check import Comparison
from arzamed_async._inference.compared import UNNAMED

from .ending import Code
from .messages import StderrReporter, StdoutReport
from .results import Results
from .running import code_of

__all__ = ["Checking"]

_MOST_NAMES = 5
_LABELS = {
    "new": "new field",
    "gone": "gone",
    "missing": "missing",
    "null": "null",
    "shape": "other shape",
    "type": "other type",
    "fraction": "fraction",
    "offset": "offset",
    "choice": "other value",
}


class Checking:
    """Compares the records of all clinics with one class, and those of each, to name the clinics that differ."""

    undone = "nothing was compared"

    def __init__(self, model: type[Any], file: Path, name: str, path: str, *, most: int | None, as_json: bool) -> None:
        self._model, self._file, self._name, self._path = model, file, name, path
        self._most, self._as_json = most, as_json
        self._all = Comparison(model)
        self._clinics: dict[tuple[str, str], list[str]] = {}

    async def read(self, clinic: str, stream: RecordStream[OpenRecord], count: Callable[[int], None]) -> None:
        """Compare a clinic's records."""
        one = Comparison(self._model)

        def add(window: list[dict[str, Any]]) -> None:
            self._all.add(window)
            count(len(window))

        await one.read(stream, self._most, add)
        for each in one.report().findings:
            self._clinics.setdefault((each.kind, each.path), []).append(clinic)

    def end(self, results: Results, reporter: StderrReporter) -> int:
        """Write the report; return the exit code: that of drift, even where some clinics failed."""
        report = self._all.report()
        if not report.records:
            reporter.message("the clinics sent no record: nothing was compared")
        if self._as_json:
            content = self._content(report, results)
            sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
            sys.stdout.flush()
        else:
            self._write_lines(report, results)
        return code_of(results.complete, len(results.failures)) if report.ok else Code.DRIFT

    def _content(self, report: ModelReport, results: Results) -> dict[str, Any]:
        found = report.to_dict()
        for content, each in zip(found["findings"], report.findings, strict=True):
            content["clinics"] = self._clinics_of(each)
        failed = [
            {"clinic": each.clinic, "error": type(each.error).__name__, "message": str(each.error)}
            for each in results.failures
        ]
        place = {"file": str(self._file), "class": self._model.__name__, "path": self._path}
        return {**place, **found, "clinics_read": results.complete, "clinics_failed": failed}

    def _clinics_of(self, drift: Drift) -> list[str]:
        clinics = set(self._clinics.get((drift.kind, drift.path), ()))
        if drift.path.endswith(UNNAMED):  # a clinic alone may have had so few that they seemed to be names
            inside = drift.path.removesuffix(UNNAMED)
            reported = {(each.kind, each.path) for each in self._all.report().findings}
            for place, names in self._clinics.items():
                if place[0] == "new" and place[1].startswith(inside) and place not in reported:
                    clinics.update(names)
        return sorted(clinics)

    def _write_lines(self, report: ModelReport, results: Results) -> None:
        lines, name = StdoutReport(), self._model.__name__
        of = f"{counted(report.records, 'record')} of {self._path} from {counted(results.complete, 'clinic')}"
        if report.ok and not report.records:
            return  # a line that begins with ok would be read as a comparison
        if report.ok:
            lines.write(f"ok     {name} in {self._file} matches {of}")
            return
        lines.write(f"drift  {name} in {self._file} does not match {of}:")
        for each in report.findings:
            lines.write(f"  {self._line(each)}")
        if {each.kind for each in report.findings} == {"new"}:
            lines.write(f"Programs still read these records, without the new fields. To add them: {self._remedy}")
        else:
            lines.write(f"Reading such records as {name} raises a DecodeError. To widen the class: {self._remedy}")

    @property
    def _remedy(self) -> str:
        words = ("arzamed", "model", self._name, "--path", self._path, "-o", str(self._file))
        return " ".join(map(shlex.quote, words))

    def _line(self, drift: Drift) -> str:
        clinics = self._clinics_of(drift)
        names = ", ".join(clinics[:_MOST_NAMES])
        more = f" and {len(clinics) - _MOST_NAMES} more" if len(clinics) > _MOST_NAMES else ""
        where = f" ({names}{more})" if clinics else ""
        found = {"new": f": {drift.found}", "missing": "", "gone": ""}.get(
            drift.kind, f": {drift.found}, not {drift.expected}"
        )
        return f"{_LABELS[drift.kind]}: {drift.path}, {_share(drift.share)}{found}{where}"


def _share(share: float) -> str:
    """Return a share in percent: one that is not 0 or all is not shown as that."""
    return f"{share:.0%}" if share == 1 or 0.01 <= share < 0.995 else "over 99%" if share > 0.5 else "under 1%"
