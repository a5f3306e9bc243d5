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
    """The requests of one clinic so far, and its state now."""

    requests: int = 0
    """Requests sent to the API, retries included."""
    retries: int = 0
    """How many of them were retries."""
    token_requests: int = 0
    """Requests sent to the clinic's token endpoint."""
    failures: int = 0
    """Calls that ended in an error; one that callers share counts once."""
    in_flight: int = 0
    """Requests that hold a slot now."""
    queued: int = 0
    """Requests that wait for a slot now."""
    breaker: BreakerState | None = None
    """The state of the circuit, None if the session has no circuit breaker."""


@frozen(kw_only=True)
class PoolStats:
    """The connections of a session. All numbers but the limit are None if the caller owns the pool (`http=`)."""

    connections: int
    """The limit; it has no effect if the caller owns the pool."""
    in_use: int | None
    """Connections that carry a request now."""
    open: int | None
    """Open connections, in use and idle."""
    queued: int | None
    """Requests that wait for a connection."""
    lane: str = ""
    """"direct", or "aiohttp: " and the reason why requests go through aiohttp's own session; empty before the first
    request."""


@frozen(kw_only=True)
class PacingStats:
    """How requests are paced now."""

    requests_per_second: float | None = None
    """The rate of requests to the API; None: not paced."""
    max_in_flight: int | None = None
    """The limit of concurrency that was found, if there is one."""
    waiting: int = 0
    """Requests that wait for their turn."""
    clinics: Mapping[str, float] = field(factory=dict[str, float])
    """The rate of each clinic with a limit of its own, by name; 0: the server requires a long pause."""
    token_endpoints: Mapping[str, float] = field(factory=dict[str, float])
    """The rate of each token endpoint that is paced, by its origin."""


def _read_only(clinics: Mapping[str, ClinicStats]) -> Mapping[str, ClinicStats]:
    return MappingProxyType(dict(clinics))


@frozen(kw_only=True)
class Stats:
    """A snapshot of a session: what each clinic has cost, and what is going on now."""

    clinics: Mapping[str, ClinicStats] = field(converter=_read_only)
    """The figures of each clinic by its name (with the client id, where two share a name)."""
    pool: PoolStats
    """The use of the connections."""
    retry_budget_remaining: float
    """What is left of the retry budget."""
    pacing: PacingStats | None = None
    """How requests are paced; None if the session has no pacing."""

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__getstate__()
        return partial(Stats, **{**state, "clinics": dict(state["clinics"])}), ()  # a mapping proxy cannot be pickled

    if TYPE_CHECKING:

        def __getstate__(self) -> dict[str, Any]:
            """Return the fields; `frozen` adds this method."""
            raise NotImplementedError
