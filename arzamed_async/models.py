"""Values that the API sends and that calls return: frozen, without serialisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, Literal, NoReturn, TypeVar, cast, final

import attrs
import orjson
from attrs import field

from ._frozen import frozen
from ._json import loads
from ._masked import as_masked
from .config import BreakerState
from .errors import ArzamedError, DecodeError

__all__ = [
    "ClinicStats",
    "Doctor",
    "Failure",
    "Finished",
    "Headers",
    "OpenRecord",
    "Outcome",
    "Patient",
    "PoolStats",
    "Record",
    "Response",
    "Slot",
    "Stats",
    "Success",
    "Token",
]

T = TypeVar("T")


@attrs.frozen  # its own methods: many doctors are compared and hashed
class Doctor:
    """An active practitioner, as `GET equipe/doctors` sends them (vendor's page "Doctors").

    `name` is the display name, ready-made; `profile_image` the public URL of a photo, which needs no
    credentials and may be cached, or None. The API sends no identifier.
    """

    name: str
    profile_image: str | None


#: The classes of values that need not be frozen.
_ATOMS = frozenset({str, int, float, bool, type(None)})


class FrozenMapping(Mapping[str, object]):
    """A JSON object that cannot change: nested objects are FrozenMappings, arrays tuples. Its repr shows no values."""

    __slots__ = ("_items",)
    _items: dict[str, object]

    def __init__(self, items: Mapping[str, object]) -> None:
        frozen_items = {
            key: value if value.__class__ in _ATOMS else _freeze(value)  # no call for most of the values
            for key, value in items.items()
        }
        object.__setattr__(self, "_items", frozen_items)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a FrozenMapping cannot be changed")

    __delattr__ = __setattr__  # type: ignore[assignment]

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
        return tuple([each if each.__class__ in _ATOMS else _freeze(each) for each in cast("list[object]", value)])
    return value


@frozen
class OpenRecord:
    """A record whose fields are unpublished: `data` is the JSON object as sent, deeply immutable.

    Nested objects are read-only mappings, arrays are tuples. The repr shows no values.
    """

    data: Mapping[str, object] = field(converter=FrozenMapping)


@frozen
class Slot(OpenRecord):
    """An appointment slot. Its fields are unpublished: they are in `data`."""


@frozen
class Patient(OpenRecord):
    """A patient's record. Its fields are unpublished: they are in `data`."""


@frozen
class Token:
    """An access token, valid until `expires_at` (aware, UTC). The repr of `access_token` is masked, too."""

    access_token: str = field(converter=as_masked)
    expires_at: datetime


class Headers(Mapping[str, str]):
    """Response headers. Names are case-insensitive; the values of a repeated header are joined by ', '."""

    __slots__ = ("_values",)

    def __init__(self, items: Mapping[str, str] | list[tuple[str, str]]) -> None:
        values: dict[str, str] = {}
        for name, value in items.items() if isinstance(items, Mapping) else items:
            key = name.lower()
            values[key] = f"{values[key]}, {value}" if key in values else value
        self._values = values

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
    """The response to `clinic.get`: `body` is decompressed; `clinic` and `path` are for errors."""

    status: int
    headers: Headers
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")
    clinic: str = ""
    path: str = ""

    def json(self) -> Any:
        """Return the body decoded as JSON. Raises DecodeError if it is not JSON."""
        try:
            return loads(self.body.removeprefix(b"\xef\xbb\xbf"))  # a byte order mark, as in a list
        except orjson.JSONDecodeError:
            pass  # its `doc` holds the body: nothing may chain to it
        raise DecodeError("the body is not JSON", clinic=self.clinic, method="GET" if self.path else "", path=self.path)


@final
@frozen
class Success(Generic[T]):
    """The result of one clinic in a fan-out: `clinic` is its name, `seconds` the duration of its fetch."""

    clinic: str
    value: T
    seconds: float

    @property
    def ok(self) -> Literal[True]:
        """True."""
        return True

    def unwrap(self) -> T:
        """Return the value."""
        return self.value


@final
@frozen
class Failure:
    """The failure of one clinic in a fan-out: `clinic` is its name, `seconds` the time until it failed."""

    clinic: str
    error: ArzamedError
    seconds: float

    @property
    def ok(self) -> Literal[False]:
        """False."""
        return False

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        raise self.error


Outcome = Success[T] | Failure


@final
@frozen
class Record(Generic[T]):
    """One record of a merge: `clinic` is the name of the clinic that sent it."""

    clinic: str
    value: T


@final
@frozen
class Finished:
    """The end of a clinic's stream in a merge, after all of its `count` records."""

    clinic: str
    count: int


@frozen(kw_only=True)
class ClinicStats:
    """The requests of one clinic so far, and its state now.

    `requests` sent to the API (`retries` of them were retries), `token_requests` sent to its token endpoint,
    `failures`: calls that ended in an error (one that callers share counts once); `in_flight` requests hold a
    slot now, `queued` wait for one. `breaker` is None if the session has no circuit breaker.
    """

    requests: int = 0
    retries: int = 0
    token_requests: int = 0
    failures: int = 0
    in_flight: int = 0
    queued: int = 0
    breaker: BreakerState | None = None


@frozen(kw_only=True)
class PoolStats:
    """Connections: the limit, those in use, those open (in use and idle), and the requests that wait for one.

    All numbers but the limit are None if the caller owns the pool (`http=`); then the limit has no effect. `lane` is
    "direct", or "aiohttp: " and the reason why requests go through aiohttp's own session; empty before the first request.
    """

    connections: int
    in_use: int | None
    open: int | None
    queued: int | None
    lane: str = ""


def _read_only(clinics: Mapping[str, ClinicStats]) -> Mapping[str, ClinicStats]:
    return MappingProxyType(dict(clinics))


@frozen(kw_only=True)
class Stats:
    """A snapshot of a session: `clinics` by name (with the client id, where two share a name), pool, and the retry budget left."""

    clinics: Mapping[str, ClinicStats] = field(converter=_read_only)
    pool: PoolStats
    retry_budget_remaining: float

    def __reduce__(self) -> tuple[Any, ...]:
        return _stats, (dict(self.clinics), self.pool, self.retry_budget_remaining)


def _stats(clinics: Mapping[str, ClinicStats], pool: PoolStats, retry_budget_remaining: float) -> Stats:
    return Stats(clinics=clinics, pool=pool, retry_budget_remaining=retry_budget_remaining)
