"""Values that the API sends and that calls return: frozen, without serialisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar, cast, final

import orjson
from attrs import field

from ._frozen import frozen
from ._json import ATOMS, loads
from ._lazy import lazy
from ._masked import as_plain, masked_repr
from ._memory import excess, most_memory
from ._tracebacks import hides_arguments
from .errors import ArzamedError, DecodeError, LimitExceededError

if TYPE_CHECKING:
    from ._merged import Finished, Record
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
            **dict.fromkeys(("Finished", "Record"), "._merged"),
            **dict.fromkeys(("ClinicStats", "PacingStats", "PoolStats", "Stats"), "._stats"),
        },
    )

T = TypeVar("T")


@frozen
class Doctor:
    """An active practitioner, as `GET equipe/doctors` sends them (vendor's page "Doctors").

    `name` is the display name, ready-made; `profile_image` the public URL of a photo, which needs no
    credentials and may be cached, or None. The API sends no identifier.
    """

    name: str
    profile_image: str | None

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


def _empty(self: object, name: str) -> dict[str, Any]:
    """Return the content of a mapping whose constructor has raised (as its `__getattr__`, called for what is not set)."""
    if name in ("_items", "_values"):
        return {}
    raise AttributeError(f"{type(self).__qualname__!r} object has no attribute {name!r}")


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
        __getattr__ = _empty

    def __getitem__(self, key: str) -> object:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"<{len(self._items)} fields>"

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
    """A record whose fields are unpublished: `data` is the JSON object as sent, deeply immutable.

    Nested objects are read-only mappings, arrays are tuples. The repr shows no values. Serialise what `to_dict` returns.
    """

    data: Mapping[str, object] = field(converter=FrozenMapping)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of `data` that is yours to change: dicts and lists at every depth, as `json.loads` returns."""
        return _thaw(self.data)  # type: ignore[no-any-return]


class Slot(OpenRecord):
    """An appointment slot. Its fields are unpublished: they are in `data`."""

    __slots__ = ()


class Patient(OpenRecord):
    """A patient's record. Its fields are unpublished: they are in `data`."""

    __slots__ = ()


@frozen
class Token:
    """An access token, valid until `expires_at` (aware, UTC). The repr does not show `access_token`, a plain str."""

    access_token: str = field(converter=as_plain, repr=masked_repr)
    expires_at: datetime


class Headers(Mapping[str, str]):
    """Response headers. Names are case-insensitive; the values of a repeated header are joined by ', '."""

    __slots__ = ("_values",)

    @hides_arguments
    def __init__(self, items: Mapping[str, str] | list[tuple[str, str]]) -> None:
        values: dict[str, str] = {}
        for name, value in items.items() if isinstance(items, Mapping) else items:
            key = name.lower()
            values[key] = f"{values[key]}, {value}" if key in values else value
        self._values = values

    if not TYPE_CHECKING:
        __getattr__ = _empty

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self._values)} headers>"


@frozen
class Response:
    """The response to `clinic.get`: `body` is decompressed; `clinic` and `path` are for errors.

    `received_bytes` is the number of bytes that a compressed body was received as (0: it was not compressed).
    """

    status: int
    headers: Headers
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")
    clinic: str = ""
    path: str = ""
    received_bytes: int = field(default=0, repr=False, eq=False)

    def json(self) -> Any:
        """Return the body decoded as JSON. Raises DecodeError if it is not JSON.

        Raises LimitExceededError, before it is decoded, if the values take over 3 MiB of memory and 256 times the bytes received.
        """
        if sizes := excess(self.body, self.received_bytes or len(self.body)):
            raise self._too_large(sizes)
        try:
            return loads(self.body.removeprefix(b"\xef\xbb\xbf"))  # a byte order mark, as in a list
        except orjson.JSONDecodeError:
            pass  # its `doc` holds the body: nothing may chain to it
        raise DecodeError("the body is not JSON", clinic=self.clinic, method="GET" if self.path else "", path=self.path)

    def _too_large(self, sizes: dict[str, int]) -> LimitExceededError:
        what, hint, method = "the body expands to too much memory", "Its bytes are in .body", "GET" if self.path else ""
        most = most_memory(sizes["received_bytes"])
        error = LimitExceededError(
            what, limit="body_bytes", limit_bytes=most, hint=hint, clinic=self.clinic, method=method
        )
        error.path = self.path
        error.add_sizes(**sizes)
        return error


@final
@frozen
class Success(Generic[T]):
    """The result of one clinic in a fan-out: `clinic` is its name, `seconds` the duration of its fetch.

    `index` is the clinic's place among those drawn, from 0: names may repeat. `ok` is True, and `error` None.
    """

    clinic: str
    value: T
    seconds: float
    index: int = 0
    ok: ClassVar[Literal[True]] = True
    error: ClassVar[None] = None

    def unwrap(self) -> T:
        """Return the value."""
        return self.value


@final
@frozen
class Failure:
    """The failure of one clinic in a fan-out: `clinic` is its name, `seconds` the time until it failed.

    `index` is the clinic's place among those drawn, from 0: names may repeat. `ok` is False, and `value` None.
    """

    clinic: str
    error: ArzamedError
    seconds: float
    index: int = 0
    ok: ClassVar[Literal[False]] = False
    value: ClassVar[None] = None

    def unwrap(self) -> NoReturn:
        """Raise the error. Its traceback is no longer after the second call than after the first."""
        raise self.error.with_traceback(_before_unwrap(self.error.__traceback__))


def _before_unwrap(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that earlier calls of `unwrap`, and what called it, have not added."""
    step = traceback
    while step is not None:
        if step.tb_frame.f_code is Failure.unwrap.__code__:
            traceback = step.tb_next
        step = step.tb_next
    return traceback


Outcome = Success[T] | Failure
