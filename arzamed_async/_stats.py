"""The statistics of a session: frozen values. Imported when the first snapshot is taken."""

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
    """The requests of one clinic so far, and its state now."""

    requests: int = 0
    """Requests sent to the API, retries included."""
    retries: int = 0
    """How many of them were retries."""
    token_requests: int = 0
    """Requests sent to the clinic's token endpoint."""
    failures: int = 0
    """Calls that raised an error. A call that several callers share counts once."""
    in_flight: int = 0
    """Requests in flight now."""
    queued: int = 0
    """Requests that wait for a slot of the clinic now (see `PoolLimits.connections_per_clinic`)."""
    breaker: BreakerState | None = None
    """The state of the circuit breaker; None if the session has none."""


@frozen(kw_only=True)
class PoolStats:
    """The connections of a session. With `http=`, the pool is your own, and all numbers except the limit are None."""

    connections: int
    """The maximum number of connections (`PoolLimits.connections`). It has no effect with `http=`."""
    in_use: int | None
    """Connections that carry a request now."""
    open: int | None
    """Open connections, in use and idle."""
    queued: int | None
    """Requests that wait for a connection."""
    lane: str = ""
    """How requests are sent: "direct" (over this library's own connections), or "aiohttp: " and the reason why an
    aiohttp session is used. Empty before the first request."""


@frozen(kw_only=True)
class PacingStats:
    """How requests are paced now."""

    requests_per_second: float | None = None
    """The current rate limit for requests to the API; None: there is none."""
    max_in_flight: int | None = None
    """The limit of concurrent requests that was learned; None: there is none."""
    waiting: int = 0
    """Requests that wait for their turn."""
    clinics: Mapping[str, float] = field(factory=dict[str, float])
    """The rate limit of each clinic that has its own, by name. 0: the server requires a long pause."""
    token_endpoints: Mapping[str, float] = field(factory=dict[str, float])
    """The rate limit of each token endpoint that has one, by its origin."""


def _read_only(clinics: Mapping[str, ClinicStats]) -> Mapping[str, ClinicStats]:
    return MappingProxyType(dict(clinics))


@frozen(kw_only=True)
class Stats:
    """A snapshot of a session: counters for each clinic, and the work in progress."""

    clinics: Mapping[str, ClinicStats] = field(converter=_read_only)
    """The statistics of each clinic, by its name (with the client id added if two clinics have the same name)."""
    pool: PoolStats
    """The use of the connections."""
    retry_budget_remaining: float
    """The rest of the retry budget."""
    pacing: PacingStats | None = None
    """How requests are paced; None if the session has no pacing."""

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__getstate__()
        return partial(Stats, **{**state, "clinics": dict(state["clinics"])}), ()  # a mapping proxy cannot be pickled

    if TYPE_CHECKING:

        def __getstate__(self) -> dict[str, Any]:
            """Return the fields; `frozen` adds this method."""
            raise NotImplementedError
