"""What an observer is told: names, counts and times; never a body, a token, a secret or a value."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

__all__ = [
    "BreakerState",
    "CircuitChanged",
    "Event",
    "RequestFinished",
    "RetryScheduled",
    "TokenRequestFinished",
    "TokenStoreFailed",
    "UnknownField",
]


BreakerState = Literal["closed", "open", "half_open"]


@frozen(kw_only=True)
class RequestFinished:
    """One request to the API has been answered (its body may still be on the way) or has failed.

    `path` is the endpoint's, `attempt` counts from 1, `status` is None where no answer came, `error`
    the class name of what went wrong, or empty.
    """

    clinic: str
    method: str
    path: str
    attempt: int
    status: int | None
    seconds: float
    error: str


@frozen(kw_only=True)
class RetryScheduled:
    """Attempt number `attempt` has failed and will be made again in `delay_seconds`; `reason` is what it met.

    `path` is `<token>` for a token request.
    """

    clinic: str
    method: str
    path: str
    attempt: int
    delay_seconds: float
    reason: str


@frozen(kw_only=True)
class TokenRequestFinished:
    """One request to a clinic's token endpoint has ended; the fields are those of RequestFinished."""

    clinic: str
    attempt: int
    status: int | None
    seconds: float
    error: str


@frozen(kw_only=True)
class CircuitChanged:
    """A clinic's circuit breaker is now `state`: "open" (not asked), "half_open" (one request decides) or "closed"."""

    clinic: str
    state: BreakerState


@frozen(kw_only=True)
class UnknownField:
    """Records of an endpoint hold a field that the class does not know; it is ignored.

    Told once for each endpoint and field in the life of a session, for names that look like names
    (`[A-Za-z_]` and up to 63 word characters), 64 at most for an endpoint, and never for an OpenRecord.
    `clinic` is where it was first seen.
    """

    clinic: str
    path: str
    field: str


@frozen(kw_only=True)
class TokenStoreFailed:
    """The token store gave no answer, or none in time: until it does, each process asks for tokens of its own.

    Told once for each time that it goes. `error` is the class name of what it raised. `clinic` is where it was seen.
    """

    clinic: str
    error: str


Event = RequestFinished | RetryScheduled | TokenRequestFinished | CircuitChanged | UnknownField | TokenStoreFailed
