"""What a check of records against a class has found."""

from __future__ import annotations

from typing import Any, Literal

from .._frozen import frozen

__all__ = ["Drift", "DriftKind", "ModelReport"]

#: What can differ, in the order in which it is reported.
DriftKind = Literal["new", "gone", "missing", "null", "shape", "type", "fraction", "offset", "choice"]


@frozen
class Drift:
    """One difference between records and their class, at one place of them. It contains no value of a record.

    `kind` is what differs:

    - `"new"`: a field that the class does not have
    - `"gone"`: a field of the class that no object had
    - `"missing"`: a required field that objects did not have
    - `"null"`: null, where the class does not allow it
    - `"shape"`: an array or an object in the place of something else
    - `"type"`: another type of value
    - `"fraction"`: a number with a fraction, for a whole number
    - `"offset"`: a date and time without offset for one with offset, or with one for one without
    - `"choice"`: a value that an enumeration or Literal does not have
    """

    kind: DriftKind
    """What differs, as above."""
    path: str
    """The place, in the API's own names: `doctor.name`, `tags[]` for the items of a list, `rooms{}` for the values of a
    map."""
    share: float
    """The part of what was at that place that differs, over 0 and up to 1."""
    expected: str
    """What the class declares, described."""
    found: str
    """What the records have, described without a value of them."""


@frozen
class ModelReport:
    """How records compare with a class."""

    records: int
    """How many records were read."""
    findings: tuple[Drift, ...] = ()
    """What differs."""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for any serialiser."""
        names = ("kind", "path", "share", "expected", "found")
        findings = [{name: getattr(each, name) for name in names} for each in self.findings]
        return {"ok": self.ok, "records": self.records, "findings": findings}
