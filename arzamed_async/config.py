"""Policies and limits: frozen values, passed as a whole. The names of their fields contain the units."""

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
    """Which failed requests are retried, and after how long. Connection errors are always retried.

    The delay before attempt n + 1 is random, between 0 and
    min(max_backoff_seconds, initial_backoff_seconds * 2**(n - 1)) ("full jitter"). If the response has a Retry-After
    header, the delay is at least that long, plus a random part, so that callers do not all return at once.

    The budget keeps retries from making an outage worse. A retry costs 1. A call that succeeds after a retry refunds 1;
    any other success refunds 0.1. One clinic can use up at most a quarter of the budget. If a call is not retried
    because the budget is spent, its error states that. Two kinds of retry are free: those of token requests, and those
    after an idle connection turned out to be closed. The budget is the session's: `with_options` does not change it.
    """

    max_attempts: int = field(default=4, validator=at_least_one)
    """The maximum number of attempts of a call, the first one included. Token requests are counted separately."""
    initial_backoff_seconds: float = field(default=0.25, validator=positive)
    """The maximum delay before the second attempt. It doubles for each further attempt."""
    max_backoff_seconds: float = field(default=8.0, validator=positive)
    """The maximum delay between two attempts, unless the server requires a longer one."""
    max_retry_after_seconds: float = field(default=20.0, validator=zero_or_more)
    """The longest Retry-After to wait for. With a longer one the call fails at once, and its error has the delay as
    `retry_after_seconds`."""
    budget: float = field(default=100, validator=zero_or_more)
    """How many retries a session may make, plus those that successful calls refund. `math.inf`: no limit."""
    statuses: frozenset[int] = field(
        default=frozenset({429, 502, 503, 504}), converter=_frozen_statuses, validator=_statuses
    )
    """The HTTP statuses after which a GET request is retried."""
    token_statuses: frozenset[int] = field(
        default=frozenset({429, 500, 502, 503, 504}), converter=_frozen_statuses, validator=_statuses
    )
    """The HTTP statuses after which a token request is retried."""

    @classmethod
    def none(cls) -> RetryPolicy:
        """Return a policy of one attempt. (The request is still repeated once after a 401, with a new token.)"""
        return cls(max_attempts=1)


@frozen(kw_only=True)
class Timeouts:
    """How long a call, an attempt and a read may take, in seconds."""

    total_seconds: float = field(default=30.0, validator=positive)
    """The deadline of a whole call: it covers the token, the wait for a connection, all attempts, the delays between them,
    and the body. For a stream it applies until the first record."""
    connect_seconds: float = field(default=5.0, validator=positive)
    """How long one attempt may take to connect: DNS, TCP, the proxy and TLS."""
    read_seconds: float = field(default=15.0, validator=positive)
    """How long an attempt may wait for data: for the first byte of the response, and between two reads of it."""
    record_seconds: float = field(default=30.0, validator=positive)
    """How long a stream may wait for its next records. The time that your own code takes does not count."""


@frozen(kw_only=True)
class Limits:
    """The maximum sizes of records, lists and bodies, after decompression.

    A response over a limit raises a LimitExceededError, which names the limit. Two limits are fixed: at most 64 KiB of an
    error response or a token response are read, and nesting deeper than 1,024 levels raises a DecodeError.
    """

    record_bytes: int = field(default=1_048_576, validator=at_least_one)
    """The maximum size of one record."""
    list_bytes: int = field(default=268_435_456, validator=at_least_one)
    """The maximum size of a list, also of one that is streamed. For a list that is read as a whole, it also limits the
    memory (estimated) that the records take."""
    body_bytes: int = field(default=16_777_216, validator=at_least_one)
    """The maximum size of a body that `clinic.get` or `one()` reads."""
    list_records: int | None = field(default=None, validator=attrs.validators.optional(at_least_one))
    """The maximum number of records in a list that is read as a whole. None: 1,000,000, or 200,000 for a class that
    accepts any JSON (OpenRecord, or a field of type Any). With None, a second rule protects against decompression
    bombs: above 3 MiB, the records may take at most 256 times the bytes received."""
    buffered_bytes: int = field(default=67_108_864, validator=at_least_one)
    """The maximum size of data that is received and not yet decoded, for all connections of a session together. The
    first 16 to 64 KiB of each connection do not count. At the limit, a connection stops reading until there is room, or
    until its call's deadline. The limit is the session's: `with_options` does not change it."""


@frozen(kw_only=True)
class PoolLimits:
    """The maximum number of open connections of a session, and of requests in flight to one clinic.

    A request waits in a fair queue, first for a slot of its clinic, then for a connection. It holds neither while it waits
    for a token or for the next attempt. An open stream holds both until it ends or is closed. A token request needs a
    connection, and no slot. Keep `connections_per_clinic` well below `connections`: if one clinic hangs, the difference
    is what the other clinics can use.
    """

    connections: int = field(default=100, validator=at_least_one)
    """The maximum number of open connections of a session. Those to token endpoints count."""
    connections_per_clinic: int = field(default=16, validator=at_least_one)
    """The maximum number of requests in flight to one clinic."""


@frozen(kw_only=True)
class BreakerPolicy:
    """When to stop sending requests for a clinic that keeps failing. Its calls then raise CircuitOpenError at once.

    Token requests do not count.
    """

    failure_threshold: int = field(default=5, validator=at_least_one)
    """The circuit opens after this number of consecutive requests that got no response, or a 5xx status."""
    open_seconds: float = field(default=30.0, validator=positive)
    """After this time (by the session's `clock`), one request is sent as a probe. If it succeeds, the circuit closes. If
    it fails, the circuit stays open for the same time again."""


def _positive_or_none(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        positive(instance, attribute, value)


@frozen(kw_only=True)
class PacingPolicy:
    """How requests are slowed down if the API limits their rate.

    The allowed rate is learned from responses with HTTP 429 or 503. It is learned separately for the API, for each
    clinic, and for the host of each token endpoint. A refused request waits for its turn and is repeated. This does not
    count as a retry. A session with `pacing=None` does not limit its rate, and retries refused requests.
    """

    max_requests_per_second: float | None = field(default=None, validator=_positive_or_none)
    """A known rate limit of the API, for all clinics together. It is never exceeded in any second. None: not known."""


@frozen(kw_only=True)
class TokenPolicy:
    """When a token is refreshed, and how long a rejection is remembered."""

    refresh_ahead_seconds: float = field(default=300.0, validator=zero_or_more)
    """How long before its expiry a token is refreshed in the background. Meanwhile, callers use the valid token."""
    jitter_seconds: float = field(default=60.0, validator=zero_or_more)
    """A refresh starts earlier by a random time up to this one, so that processes do not all refresh at once."""
    margin_seconds: float = field(default=30.0, validator=zero_or_more)
    """If a token expires within this time, callers wait for the new one."""
    refresh_retry_seconds: float = field(default=30.0, validator=zero_or_more)
    """The delay before the next attempt if a background refresh fails."""
    rejected_seconds: float = field(default=60.0, validator=zero_or_more)
    """How long a rejection is remembered, of credentials or of a new token. Within this time, at most two tokens are
    replaced after HTTP 401."""


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
    """The paths of the two endpoints that the vendor names but has not published.

    With None, the path is a guess that follows the published one: `equipe/slots`, `equipe/patients`. Its first use then
    issues an UnpublishedEndpointWarning.
    """

    slots: str | None = field(default=None, validator=_optional_path)
    """The path of appointment slots below the base URL."""
    patients: str | None = field(default=None, validator=_optional_path)
    """The path of patient records below the base URL."""
