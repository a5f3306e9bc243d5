"""What a check of records against a class has found."""

from __future__ import annotations

from typing import Any, Literal

from .._frozen import frozen

__all__ = ["Drift", "DriftKind", "ModelReport"]

#: What can differ, in the order in which it is reported.
DriftKind = Literal["new", "gone", "missing", "null", "shape", "type", "fraction", "offset", "choice"]


@frozen
class Drift:
    """One difference between records and their class. It contains no value of a record.

    `kind` is the kind of difference:

    - `"new"`: a field that the class does not declare
    - `"gone"`: a field of the class that no object had
    - `"missing"`: a required field that some objects did not have
    - `"null"`: null, which the class does not allow there
    - `"shape"`: an array or object instead of a single value, or the reverse
    - `"type"`: a value of another type
    - `"fraction"`: a number with a fraction instead of a whole number
    - `"offset"`: a date and time without an offset instead of one with it, or the reverse
    - `"choice"`: a value that the enumeration or Literal does not have
    """

    kind: DriftKind
    """The kind of difference, as above."""
    path: str
    """The place in the JSON record: `doctor.name`, `tags[]` for the items of a list, `rooms{}` for the values of a map."""
    share: float
    """The share of the values at that place that differ: over 0, up to 1."""
    expected: str
    """A description of what the class declares."""
    found: str
    """A description of what the records contain, without their values."""


@frozen
class ModelReport:
    """The result of `check_model`: the differences between records and a class."""

    records: int
    """The number of records read."""
    findings: tuple[Drift, ...] = ()
    """The differences found."""

    @property
    def ok(self) -> bool:
        """True if there is no difference."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dict of plain values, which any serialiser accepts."""
        names = ("kind", "path", "share", "expected", "found")
        findings = [{name: getattr(each, name) for name in names} for each in self.findings]
        return {"ok": self.ok, "records": self.records, "findings": findings}
