"""Which records a list command reads, and where to: its options, checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from arzamed_async import (
    Clinic,
    ConfigurationError,
    Doctor,
    Endpoint,
    Endpoints,
    Patient,
    Resource,
    Slot,
)

from .destination import FileOutput
from .formats import Format
from .messages import is_terminal
from .sources import DEFAULT_FILE, exists

__all__ = ["Listing", "Selection", "pairs"]

#: The format of a file by the end of its name; any other is ndjson.
_ENDINGS = {".csv": Format.csv, ".json": Format.json, ".parquet": Format.parquet}


@frozen(kw_only=True)
class Listing:
    """The options of a list command: which records, their format, and where they go. `output` "-" is standard output."""

    kind: str
    path: str | None = None
    params: Sequence[str] = field(factory=list[str])
    format: Format | None = None
    output: Path | None = None
    report: Path | None = None
    complete_only: bool = False
    clinics_file: Path | None = None


class Selection:
    """The options of a list command after a check. Raises ConfigurationError."""

    def __init__(self, listing: Listing) -> None:
        self.kind = listing.kind
        self.complete_only = listing.complete_only
        self.params = pairs(listing.params)
        self.endpoints, self._doctors = _endpoints(listing)
        self.guessed = listing.path is None and listing.kind != "doctors"
        output = None if listing.output in {None, Path("-")} else listing.output
        self.output = None if output is None else FileOutput(output, "--output")
        self.report = None if listing.report is None else FileOutput(listing.report, "--report")
        self._check_files(listing.clinics_file or DEFAULT_FILE)
        self.terminal = self.output is None and is_terminal(sys.stdout)
        usual = Format.table if self.terminal else Format.ndjson
        if output is not None:
            usual = _ENDINGS.get(output.suffix.lower(), usual)
        self.format = listing.format or usual
        if self.format is Format.parquet and self.terminal:
            raise ConfigurationError("--format parquet is not text for a terminal: name a file with --output")

    def resource(self, clinic: Clinic) -> Resource[Doctor] | Resource[Slot] | Resource[Patient]:
        """Return the list to read of a clinic."""
        if self.kind == "slots":
            return clinic.slots
        if self.kind == "patients":
            return clinic.patients
        return clinic.doctors if self._doctors is None else clinic.resource(self._doctors)

    def _check_files(self, clinics_file: Path) -> None:
        """Refuse to write two files in one place, or over the keys of the clinics."""
        targets = {name: file.target for name, file in (("--output", self.output), ("--report", self.report)) if file}
        if len(targets) > len(set(targets.values())):
            raise ConfigurationError("--output and --report name the same file")
        for name, target in targets.items():
            if exists(target) and exists(clinics_file) and target.samefile(clinics_file):
                raise ConfigurationError(f"{name} names the clinics file {clinics_file}, which holds the keys")


def pairs(params: Sequence[str], option: str = "--param") -> list[tuple[str, str]]:
    """Return the keys and values of an option that takes key=value. Raises ConfigurationError."""
    pairs: list[tuple[str, str]] = []
    for param in params:
        key, equals, value = param.partition("=")
        if not key or not equals:
            raise ConfigurationError(f"{option} takes key=value, not {param!r}")
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
        if "{" in path:
            raise ConfigurationError("--path has a parameter in braces: write the value in its place")
        if listing.kind == "doctors":
            return Endpoints(), doctors
        return (Endpoints(slots=path) if listing.kind == "slots" else Endpoints(patients=path)), None
    raise ConfigurationError(problem)
