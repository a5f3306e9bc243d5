"""The figures of a session: frozen values. Imported with the first snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import field

from ._frozen import frozen
from .config import BreakerState

__all__ = ["ClinicStats", "PacingStats", "PoolStats", "Stats"]


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


@frozen(kw_only=True)
class PacingStats:
    """How requests are paced now: `requests_per_second` to the API (None: not paced), and `waiting` for their turn.

    `max_in_flight` is the limit of concurrency that was found, if there is one. `clinics` holds the clinics with a limit
    of their own (0: the server requires a long pause), `token_endpoints` the origins that are paced, each with its
    requests a second.
    """

    requests_per_second: float | None = None
    max_in_flight: int | None = None
    waiting: int = 0
    clinics: Mapping[str, float] = field(factory=dict[str, float])
    token_endpoints: Mapping[str, float] = field(factory=dict[str, float])


def _read_only(clinics: Mapping[str, ClinicStats]) -> Mapping[str, ClinicStats]:
    return MappingProxyType(dict(clinics))


@frozen(kw_only=True)
class Stats:
    """A snapshot of a session: `clinics` by name (with the client id, where two share a name), pool, and the retry budget left.

    `pacing` is None if the session has no pacing.
    """

    clinics: Mapping[str, ClinicStats] = field(converter=_read_only)
    pool: PoolStats
    retry_budget_remaining: float
    pacing: PacingStats | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__getstate__()
        return partial(Stats, **{**state, "clinics": dict(state["clinics"])}), ()  # a mapping proxy cannot be pickled

    if TYPE_CHECKING:

        def __getstate__(self) -> dict[str, Any]:
            """Return the fields; `frozen` adds this method."""
            raise NotImplementedError
