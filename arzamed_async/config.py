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
    """Which failed attempts are retried, and after how long.

    The delay before attempt n + 1 is random, between 0 and
    min(max_backoff_seconds, initial_backoff_seconds * 2**(n - 1)) ("full jitter"). With a Retry-After header it is at
    least what that requests, and a random part longer, which spreads callers; one that exceeds `max_retry_after_seconds`
    or the deadline fails the call at once, and the error reports the delay. `statuses` are retried for reads,
    `token_statuses` for the token request; connection errors always are.

    `budget` bounds the retries of a whole session, so that retries never multiply an outage. (The session's own
    policy sets it, not that of `with_options`.) A retry costs 1, a call that succeeds after such a retry refunds 1, any
    other success refunds 0.1, and one clinic can owe at most a quarter. The error of a call that was not retried
    because the budget is spent reports that. Retries of token requests are free, and so is one after a connection that
    had been idle was found closed; `math.inf` sets no bound.
    """

    max_attempts: int = field(default=4, validator=at_least_one)
    initial_backoff_seconds: float = field(default=0.25, validator=positive)
    max_backoff_seconds: float = field(default=8.0, validator=positive)
    max_retry_after_seconds: float = field(default=20.0, validator=zero_or_more)
    budget: float = field(default=100, validator=zero_or_more)
    statuses: frozenset[int] = field(
        default=frozenset({429, 502, 503, 504}), converter=_frozen_statuses, validator=_statuses
    )
    token_statuses: frozenset[int] = field(
        default=frozenset({429, 500, 502, 503, 504}), converter=_frozen_statuses, validator=_statuses
    )

    @classmethod
    def none(cls) -> RetryPolicy:
        """Return a policy of one attempt. (The request is still repeated once after a 401, with a new token.)"""
        return cls(max_attempts=1)


@frozen(kw_only=True)
class Timeouts:
    """How long a call, an attempt and a read may take, in seconds.

    `total_seconds` is one deadline for the whole call: token, pool, attempts, delays and body; for a
    stream, until its first record. After that `record_seconds` limits each wait for more records;
    the consumer's own time does not count. `connect_seconds` and `read_seconds` limit one attempt: all
    that comes before its request (the look-up of the host, TCP, a proxy, TLS), and each single read.
    """

    total_seconds: float = field(default=30.0, validator=positive)
    connect_seconds: float = field(default=5.0, validator=positive)
    read_seconds: float = field(default=15.0, validator=positive)
    record_seconds: float = field(default=30.0, validator=positive)


@frozen(kw_only=True)
class Limits:
    """The maximum size of a record, a list and a body of `clinic.get` or `one()`, in bytes after decompression.

    `list_bytes` applies to streams too: raise it for a longer one. A list read as a whole has two limits more: the memory of its
    records, estimated, is at most `list_bytes`, and their number `list_records`. None stands for 1,000,000 records, or 200,000 of a
    class that keeps JSON of any shape (OpenRecord, a field of type Any). Above 3 MiB that memory is also at most 256 times the bytes
    received, so that a small response cannot fill the memory; a number in `list_records` lifts this.
    At most 64 KiB of an error or token body are read. Nesting deeper than 1,024 levels is a DecodeError.

    `buffered_bytes` is one budget for a whole session: the bytes that all its connections have received, beyond 16 to 64 KiB
    each, and that are not yet records or a response. Where it is spent a connection waits for room, within its call's
    deadline, and its server has to wait. (The session's own limits set it, not those of `with_options`.)
    """

    record_bytes: int = field(default=1_048_576, validator=at_least_one)
    list_bytes: int = field(default=268_435_456, validator=at_least_one)
    body_bytes: int = field(default=16_777_216, validator=at_least_one)
    list_records: int | None = field(default=None, validator=attrs.validators.optional(at_least_one))
    buffered_bytes: int = field(default=67_108_864, validator=at_least_one)


@frozen(kw_only=True)
class PoolLimits:
    """The maximum number of open connections of a session, and of requests in flight to one clinic.

    A request without a free slot waits in a fair queue, first for a slot of its clinic, then for a connection. Neither
    is held while the call waits for a token, or between two attempts. An open stream holds both until it ends or is
    closed. Token requests need only a connection. Keep `connections_per_clinic` well below `connections`: the
    difference is what remains for other clinics when one hangs.
    """

    connections: int = field(default=100, validator=at_least_one)
    connections_per_clinic: int = field(default=16, validator=at_least_one)


@frozen(kw_only=True)
class BreakerPolicy:
    """When requests to a clinic whose API keeps failing are no longer sent.

    After `failure_threshold` consecutive requests without a response, or with a 5xx, calls fail at once with
    CircuitOpenError. After `open_seconds` (by the session's `clock`) one request is sent as a probe: if it
    succeeds the circuit closes, if it fails the circuit stays open for as long again. Token requests do not count.
    """

    failure_threshold: int = field(default=5, validator=at_least_one)
    open_seconds: float = field(default=30.0, validator=positive)


def _positive_or_none(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        positive(instance, attribute, value)


@frozen(kw_only=True)
class PacingPolicy:
    """How requests are paced where the API limits their rate.

    The rate is learned from responses with 429 or 503, for the API's origin, for each token endpoint's origin and for
    each clinic: a refused request waits for its turn and is repeated, which costs no retry. `max_requests_per_second`
    is a known limit of the API's origin; it is never exceeded, in any second. A session with `pacing=None` sends
    requests at any rate, and refused ones are retried.
    """

    max_requests_per_second: float | None = field(default=None, validator=_positive_or_none)


@frozen(kw_only=True)
class TokenPolicy:
    """When a token is replaced, and how long a rejection is remembered.

    `refresh_ahead_seconds` before a token expires (plus a random part of `jitter_seconds`), one refresh
    starts in the background while callers keep using the valid token. If it fails, the next one starts
    after `refresh_retry_seconds`. Within `margin_seconds` of expiry callers wait for the new token.
    Rejected credentials, and new tokens that the API rejects, are remembered for `rejected_seconds`, within which no more
    than two tokens are replaced after a 401.
    """

    refresh_ahead_seconds: float = field(default=300.0, validator=zero_or_more)
    jitter_seconds: float = field(default=60.0, validator=zero_or_more)
    margin_seconds: float = field(default=30.0, validator=zero_or_more)
    refresh_retry_seconds: float = field(default=30.0, validator=zero_or_more)
    rejected_seconds: float = field(default=60.0, validator=zero_or_more)


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
    patients: str | None = field(default=None, validator=_optional_path)
