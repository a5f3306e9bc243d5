"""The values that calls return: records, results and statistics. All are frozen, and none serialises itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import field

from ._counted import counted
from ._frozen import empty_mapping, frozen
from ._json import ATOMS
from ._lazy import lazy

if TYPE_CHECKING:
    from ._merged import Failure, Finished, Outcome, Record, Success
    from ._responses import Headers, Response, Token
    from ._stats import ClinicStats, PacingStats, PoolStats, Stats

__all__ = [
    "ClinicStats",
    "Doctor",
    "Failure",
    "Finished",
    "Headers",
    "OpenRecord",
    "Outcome",
    "PacingStats",
    "Patient",
    "PoolStats",
    "Record",
    "Response",
    "Slot",
    "Stats",
    "Success",
    "Token",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            **dict.fromkeys(("Failure", "Finished", "Outcome", "Record", "Success"), "._merged"),
            **dict.fromkeys(("Headers", "Response", "Token"), "._responses"),
            **dict.fromkeys(("ClinicStats", "PacingStats", "PoolStats", "Stats"), "._stats"),
        },
    )


@frozen
class Doctor:
    """An active practitioner, from `GET equipe/doctors` (the vendor's page "Doctors"). The API sends no identifier."""

    name: str
    """The name as it is to be displayed."""
    profile_image: str | None
    """The URL of a public photo, None if there is none. It needs no credentials and may be cached."""

    # Many doctors are compared and hashed: these are faster than the shared methods.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Doctor) or other.__class__ is not self.__class__:
            return NotImplemented
        try:
            return self.name == other.name and self.profile_image == other.profile_image
        except AttributeError:  # one whose constructor was not run
            return self is other

    def __hash__(self) -> int:
        try:
            return hash((self.name, self.profile_image))
        except AttributeError:
            return hash(Doctor)


class FrozenMapping(Mapping[str, object]):
    """A JSON object that cannot change: nested objects are FrozenMappings, arrays tuples. Its repr shows no values."""

    __slots__ = ("_items",)
    _items: dict[str, object]

    def __init__(self, items: Mapping[str, object]) -> None:
        frozen_items = {
            key: value if value.__class__ in ATOMS else _freeze(value)  # no call for most of the values
            for key, value in items.items()
        }
        object.__setattr__(self, "_items", frozen_items)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a FrozenMapping cannot be changed")

    __delattr__ = __setattr__  # type: ignore[assignment]
    if not TYPE_CHECKING:
        __getattr__ = empty_mapping

    def __getitem__(self, key: str) -> object:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"<{counted(len(self._items), 'field')}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenMapping, (self._items,)


def _freeze(value: Any) -> object:
    if isinstance(value, dict):
        return FrozenMapping(cast("dict[str, object]", value))
    if isinstance(value, (list, tuple)):
        return tuple([each if each.__class__ in ATOMS else _freeze(each) for each in cast("list[object]", value)])
    return value


def _thaw(value: Any) -> Any:
    if isinstance(value, FrozenMapping):
        return {key: each if each.__class__ in ATOMS else _thaw(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [each if each.__class__ in ATOMS else _thaw(each) for each in cast("tuple[object, ...]", value)]
    return value


@frozen
class OpenRecord:
    """A record of an endpoint whose fields the vendor has not published. The repr shows no values."""

    data: Mapping[str, object] = field(converter=FrozenMapping)
    """The JSON object as sent, deeply immutable: nested objects are read-only mappings, arrays are tuples."""

    def to_dict(self) -> dict[str, Any]:
        """Return a deep copy of `data` as plain dicts and lists, as `json.loads` would return it. Use it to serialise."""
        return _thaw(self.data)  # type: ignore[no-any-return]


class Slot(OpenRecord):
    """An appointment slot. The vendor has not published its fields: they are in `data`, as sent."""

    __slots__ = ()


class Patient(OpenRecord):
    """A patient's record. The vendor has not published its fields: they are in `data`, as sent."""

    __slots__ = ()
