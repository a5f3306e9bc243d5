"""Policies and limits: frozen values, passed as a whole. Their names carry the units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs
from attrs import field

from ._arguments import described
from ._frozen import frozen
from ._validation import at_least_one, positive, relative_path, zero_or_more
from .errors import ConfigurationError

__all__ = [
    "PRODUCTION",
    "SANDBOX",
    "BreakerPolicy",
    "BreakerState",
    "Endpoints",
    "Limits",
    "PacingPolicy",
    "PoolLimits",
    "RetryPolicy",
    "Timeouts",
    "TokenPolicy",
]

BreakerState = Literal["closed", "open", "half_open"]

#: Base URLs as the vendor publishes them (developers' pages, "Environments").
PRODUCTION = "https://api.nextgen.arzamed.com/api/v1"
SANDBOX = "https://api-uat.nextgen.arzamed.com/api/v1"


def _statuses(_instance: object, attribute: attrs.Attribute[Any], value: frozenset[int]) -> None:
    if not all(isinstance(status, int) and 400 <= status <= 599 for status in value):
        raise ConfigurationError(f"{attribute.name} must contain HTTP statuses from 400 to 599 only")
    if 401 in value or 403 in value:
        raise ConfigurationError(f"{attribute.name} must not contain 401 or 403: a retry never helps there")


def _frozen_statuses(values: Iterable[int]) -> frozenset[int]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ConfigurationError(f"statuses and token_statuses must contain HTTP statuses, not {described(values)}")
    return frozenset(values)


@frozen(kw_only=True)
class RetryPolicy:
    """Which failed attempts are retried, and after how long. Connection errors always are.

    The delay before attempt n + 1 is random, between 0 and
    min(max_backoff_seconds, initial_backoff_seconds * 2**(n - 1)) ("full jitter"). With a Retry-After header it is at
    least what that requests, and a random part longer, which spreads callers.

    The budget ensures that retries never multiply an outage. (The session's own policy sets it, not that of
    `with_options`.) A retry costs 1, a call that succeeds after such a retry refunds 1, any other success refunds 0.1, and one
    clinic can owe at most a quarter. The error of a call that was not retried because the budget is spent reports that.
    Retries of token requests are free, and so is one after a connection that had been idle was found closed.
    """

    max_attempts: int = field(default=4, validator=at_least_one)
    """The most attempts of a call, the first one included; those of a token request are counted on their own."""
    initial_backoff_seconds: float = field(default=0.25, validator=positive)
    """The longest delay before the second attempt. It doubles with each further one."""
    max_backoff_seconds: float = field(default=8.0, validator=positive)
    """The longest delay between two attempts, if the server does not require a longer one."""
    max_retry_after_seconds: float = field(default=20.0, validator=zero_or_more)
    """The longest Retry-After that is obeyed. With a longer one the call fails at once, and the error reports the
    delay."""
    budget: float = field(default=100, validator=zero_or_more)
    """How many retries all calls of a session may make beyond those that successes refund; `math.inf` sets no bound."""
    statuses: frozenset[int] = field(
        default=frozenset({429, 502, 503, 504}), converter=_frozen_statuses, validator=_statuses
    )
    """The statuses after which a read is retried."""
    token_statuses: frozenset[int] = field(
        default=frozenset({429, 500, 502, 503, 504}), converter=_frozen_statuses, validator=_statuses
    )
    """The statuses after which a token request is retried."""

    @classmethod
    def none(cls) -> RetryPolicy:
        """Return a policy of one attempt. (The request is still repeated once after a 401, with a new token.)"""
        return cls(max_attempts=1)


@frozen(kw_only=True)
class Timeouts:
    """How long a call, an attempt and a read may take, in seconds."""

    total_seconds: float = field(default=30.0, validator=positive)
    """The deadline of a whole call: token, pool, attempts, delays and body; for a stream, until its first record."""
    connect_seconds: float = field(default=5.0, validator=positive)
    """How long an attempt may take before its request is sent: the look-up of the host, TCP, a proxy, TLS."""
    read_seconds: float = field(default=15.0, validator=positive)
    """How long each single read of the response may take."""
    record_seconds: float = field(default=30.0, validator=positive)
    """How long each wait for more records of a stream may take. The consumer's own time does not count."""


@frozen(kw_only=True)
class Limits:
    """The maximum size of a record, a list and a body of `clinic.get` or `one()`, after decompression.

    At most 64 KiB of an error or token body are read. Nesting deeper than 1,024 levels is a DecodeError. A response over a limit is
    a LimitExceededError, which names the limit.
    """

    record_bytes: int = field(default=1_048_576, validator=at_least_one)
    """The most bytes of one record."""
    list_bytes: int = field(default=268_435_456, validator=at_least_one)
    """The most bytes of a list, streams included: raise it for a longer one. A list that is read as a whole may also
    take at most this much memory, estimated."""
    body_bytes: int = field(default=16_777_216, validator=at_least_one)
    """The most bytes of the body that `clinic.get` returns."""
    list_records: int | None = field(default=None, validator=attrs.validators.optional(at_least_one))
    """The most records of a list that is read as a whole. None stands for 1,000,000, or 200,000 of a class that keeps
    JSON of any shape (OpenRecord, a field of type Any); above 3 MiB their memory is then also at most 256 times the
    bytes received, so that a small response cannot fill the memory."""
    buffered_bytes: int = field(default=67_108_864, validator=at_least_one)
    """What all connections of a session may have received beyond 16 to 64 KiB each that is not yet records or a
    response. Where it is spent a connection waits for room, within its call's deadline. (The session's own limits
    set it, not those of `with_options`.)"""


@frozen(kw_only=True)
class PoolLimits:
    """The maximum number of open connections of a session, and of requests in flight to one clinic.

    A request without a free slot waits in a fair queue, first for a slot of its clinic, then for a connection. Neither
    is held while the call waits for a token, or between two attempts. An open stream holds both until it ends or is
    closed. Token requests need only a connection. Keep `connections_per_clinic` well below `connections`: the
    difference is what remains for other clinics when one hangs.
    """

    connections: int = field(default=100, validator=at_least_one)
    """The most open connections of a session, those to token endpoints included."""
    connections_per_clinic: int = field(default=16, validator=at_least_one)
    """The most requests in flight to one clinic."""


@frozen(kw_only=True)
class BreakerPolicy:
    """When requests to a clinic whose API keeps failing are no longer sent: calls fail at once with CircuitOpenError.

    Token requests do not count.
    """

    failure_threshold: int = field(default=5, validator=at_least_one)
    """The circuit opens after this many consecutive requests without a response, or with a 5xx."""
    open_seconds: float = field(default=30.0, validator=positive)
    """After this time, by the session's `clock`, one request is sent as a probe: if it succeeds the circuit closes, if
    it fails the circuit stays open for as long again."""


def _positive_or_none(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        positive(instance, attribute, value)


@frozen(kw_only=True)
class PacingPolicy:
    """How requests are paced where the API limits their rate.

    The rate is learned from responses with 429 or 503, for the API's origin, for each token endpoint's origin and for
    each clinic: a refused request waits for its turn and is repeated, which costs no retry. A session with `pacing=None` sends
    requests at any rate, and refused ones are retried.
    """

    max_requests_per_second: float | None = field(default=None, validator=_positive_or_none)
    """A known limit of the API's origin. It is never exceeded, in any second; None: only what is learned applies."""


@frozen(kw_only=True)
class TokenPolicy:
    """When a token is replaced, and how long a rejection is remembered."""

    refresh_ahead_seconds: float = field(default=300.0, validator=zero_or_more)
    """How long before a token expires one refresh starts in the background, while callers keep using the valid token."""
    jitter_seconds: float = field(default=60.0, validator=zero_or_more)
    """The most that a refresh starts earlier still, at random, so that processes do not refresh at the same instant."""
    margin_seconds: float = field(default=30.0, validator=zero_or_more)
    """Within this time before the expiry callers wait for the new token."""
    refresh_retry_seconds: float = field(default=30.0, validator=zero_or_more)
    """The delay before the next refresh if one in the background fails."""
    rejected_seconds: float = field(default=60.0, validator=zero_or_more)
    """How long rejected credentials, and new tokens that the API rejects, are remembered. Within it no more than two
    tokens are replaced after a 401."""


def _optional_path(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    name = f"Endpoints.{attribute.name}"
    text = relative_path(name, value)
    if "{" in text or "}" in text:
        raise ConfigurationError(
            f"{name} must be a path without parameters: give an Endpoint to clinic.resource instead"
        )
    if text is not value:  # of a subclass of str
        object.__setattr__(instance, attribute.name, text)


@frozen(kw_only=True)
class Endpoints:
    """Paths of the two endpoints that the vendor names but has not published.

    With None the path is guessed from the pattern of the published one (`equipe/slots`,
    `equipe/patients`), and a warning is issued when the endpoint is first used.
    """

    slots: str | None = field(default=None, validator=_optional_path)
    """The path of appointment slots below the base URL."""
    patients: str | None = field(default=None, validator=_optional_path)
    """The path of patient records below the base URL."""
