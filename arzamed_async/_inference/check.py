"""Checks records against a class: `check_model`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

import attrs

from .._arguments import described
from .._records.decoder import decoder_for
from .._tracebacks import drop_frames, hides_arguments
from .._validation import whole_number
from ..errors import ConfigurationError
from ..models import OpenRecord
from .compared import ComparedObjects
from .reading import Records, check_records, read_windows
from .report import DriftKind, ModelReport

__all__ = ["Comparison", "check_model"]


class Comparison:
    """Compares the records of any number of clinics with one class."""

    def __init__(self, model: type[Any]) -> None:
        self._compared = _compared(model)

    def add(self, window: list[dict[str, Any]]) -> None:
        """Compare JSON objects."""
        self._compared.add(window)

    async def read(
        self,
        records: Records,
        most: int | None = None,
        on_records: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        """Compare records as they are read. `on_records` is called with the JSON objects of each window."""

        def use(window: list[dict[str, Any]]) -> None:
            self.add(window)
            if on_records is not None:
                on_records(window)

        try:
            await read_windows(records, most, use)
        finally:
            records = ()  # no traceback may show them

    def report(self) -> ModelReport:
        """Return what differs so far."""
        order = {kind: n for n, kind in enumerate(get_args(DriftKind))}
        found = sorted(self._compared.findings(), key=lambda each: (order[each.kind], each.path, each.found))
        return ModelReport(self._compared.count, tuple(found))


def _compared(model: Any) -> ComparedObjects:
    kind = get_origin(model) or model
    if not isinstance(kind, type) or not attrs.has(kind):
        raise ConfigurationError(f"the model must be an attrs class, not {described(model)}")
    if issubclass(kind, OpenRecord):
        raise ConfigurationError(f"{kind.__name__} has no fields to check: pass a class with those of the records")
    decoder_for(model)  # which raises for a class that cannot be read
    return ComparedObjects(model, "", {})


@hides_arguments
def _checked(records: Records, model: type[Any], max_records: int | None) -> Comparison:
    check_records(records)
    if max_records is not None:
        whole_number("max_records", max_records)
    return Comparison(model)


async def check_model(records: Records, model: type[Any], *, max_records: int | None = None) -> ModelReport:
    """Compare records with a class; report fields that are new, missing or null, other types, and other differences.

        report = await check_model(clinic.slots.stream(), Slot)
        for drift in report.findings:
            print(drift.kind, drift.path, f"{drift.share:.0%}: expected {drift.expected}, found {drift.found}")

    Values are compared with the types of the fields, by the rules for decoding. Converters and validators of the class are
    not called. The report contains no value of a record. Raises ConfigurationError, and what reading the stream raises.

    Args:
        records: A stream, or any iterable of OpenRecords or JSON objects.
        model: The attrs class to compare with.
        max_records: The maximum number of records to read. None: all.
    """
    handled = sys.exception()
    try:
        comparison = _checked(records, model, max_records)
        await comparison.read(records, max_records)
        return comparison.report()
    except BaseException as error:
        drop_frames(error, handled)
        raise
    finally:
        records, handled = (), None  # see hides_arguments
