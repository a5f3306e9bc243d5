"""Every exception this package raises, in one tree with one root.

ArzamedError
├── ConfigurationError
├── SessionClosedError
├── TransportError
│   ├── CircuitOpenError
│   └── DeadlineExceededError
├── TokenError
│   ├── CredentialsRejectedError
│   └── TokenUnavailableError
├── StatusError
│   ├── UnauthorizedError
│   ├── ForbiddenError
│   ├── NotFoundError
│   ├── RateLimitedError
│   └── ServiceUnavailableError
└── ResponseError
    ├── DecodeError
    ├── LimitExceededError
    └── StreamInterruptedError

An error is made of facts: what happened, at which clinic, in which call, after how many
attempts, and what to do about it. It holds no body, token, secret or patient's value, and no
other exception is chained to it. The only foreign text is the server's `error` and
`error_description`, cleaned by the module that reads them. Errors pickle.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "ArzamedError",
    "CircuitOpenError",
    "ConfigurationError",
    "CredentialsRejectedError",
    "DeadlineExceededError",
    "DecodeError",
    "ForbiddenError",
    "LimitExceededError",
    "NotFoundError",
    "RateLimitedError",
    "ResponseError",
    "ServiceUnavailableError",
    "SessionClosedError",
    "StatusError",
    "StreamInterruptedError",
    "TokenError",
    "TokenUnavailableError",
    "TransportError",
    "UnauthorizedError",
]


def _rebuild(cls: type[ArzamedError], args: tuple[Any, ...], facts: dict[str, Any]) -> ArzamedError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


class ArzamedError(Exception):
    """The root of the tree: `except ArzamedError` catches all that this package raises.

    `clinic` is the clinic's name, `method` and `path` the call (`path` is the endpoint's, never a
    URL; the token request has none), `attempts` the requests sent for it, `hint` one more sentence
    for the reader. Each is empty (or 0) where it does not apply.
    """

    remedy: ClassVar[str] = ""

    def __init__(
        self,
        what: str = "",
        *,
        clinic: str = "",
        method: str = "",
        path: str = "",
        attempts: int = 0,
        hint: str = "",
    ) -> None:
        super().__init__(what)
        self.clinic = clinic
        self.method = method
        self.path = path
        self.attempts = attempts
        self.hint = hint

    def _what(self) -> str:
        """What happened, without the where and how often; subclasses build it from their facts."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        call = f"{self.method} {self.path}".strip()
        what = self._what()
        if self.attempts > 1:
            what = f"{what} after {self.attempts} attempts"
        first = ": ".join(part for part in (self.clinic, call, what) if part)
        return ". ".join(part.rstrip(".") for part in (first, self.hint, self.remedy) if part)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(ArzamedError, ValueError):
    """What the caller gave cannot work: a bad URL, a control character in a secret, a bad clinics file."""


class SessionClosedError(ArzamedError):
    """The session was closed before or during this call."""

    def __init__(self, what: str = "the session is closed", **facts: Any) -> None:
        super().__init__(what, **facts)


class TransportError(ArzamedError):
    """No usable HTTP answer: DNS, refused, reset, timeout of one attempt, TLS, not HTTP, cut body.

    `reason` says which. `transient` is False where a repeat cannot help (a certificate that does
    not verify).
    """

    def __init__(self, reason: str = "no usable HTTP answer", *, transient: bool = True, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.reason = reason
        self.transient = transient


class CircuitOpenError(TransportError):
    """The request was not sent: the circuit breaker is open, since the clinic's requests keep failing.

    `retry_after_seconds` is the time until the next probe (0: a probe is under way, and its outcome decides).
    `last_failure` describes this call's last failed attempt, if there was one.
    """

    def __init__(self, *, retry_after_seconds: float = 0.0, last_failure: str = "", **facts: Any) -> None:
        super().__init__("the clinic's circuit is open", transient=False, **facts)
        self.retry_after_seconds = retry_after_seconds
        self.last_failure = last_failure

    def _what(self) -> str:
        left = self.retry_after_seconds
        when = f"to be asked again in {left:.1f} s" if left else "until the request that is out now has an answer"
        what = f"not asked, since its requests keep failing (circuit open), {when}"
        return f"{what} (last failure: {self.last_failure})" if self.last_failure else what


class DeadlineExceededError(TransportError, TimeoutError):
    """The deadline of the whole call has passed.

    `seconds` is that deadline. `last_failure` describes the last failed attempt, if there was one.
    """

    def __init__(self, *, seconds: float = 0.0, last_failure: str = "", **facts: Any) -> None:
        super().__init__("the deadline has passed", **facts)
        self.seconds = seconds
        self.last_failure = last_failure

    def _what(self) -> str:
        what = f"no answer within the deadline of {self.seconds:g} s"
        return f"{what} (last failure: {self.last_failure})" if self.last_failure else what


class TokenError(ArzamedError):
    """The token endpoint gave no token: another 4xx, a redirect, a malformed 200.

    `status` is the HTTP status (None: no answer came), `error` and `description` are the
    endpoint's own words (RFC 6749 section 5.2), cleaned and cut at 200 characters.
    """

    def __init__(
        self,
        what: str = "the token endpoint gave no token",
        *,
        status: int | None = None,
        error: str = "",
        description: str = "",
        retry_after_seconds: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(what, **facts)
        self.status = status
        self.error = error
        self.description = description
        self.retry_after_seconds = retry_after_seconds

    def _what(self) -> str:
        words = ": ".join(part for part in (self.error, self.description) if part)
        status = "" if self.status is None else f"status {self.status}"
        detail = ", ".join(part for part in (status, words) if part)
        return f"{super()._what()} ({detail})" if detail else super()._what()


class CredentialsRejectedError(TokenError):
    """The token endpoint refused the clinic's credentials: 401, `invalid_client` or `unauthorized_client`."""

    remedy = (
        "Check client_id, client_secret and token_url; a new key is made by the clinic's administrator"
        " (Equipe Settings, API Keys). It is not tried again for a while"
    )


class TokenUnavailableError(TokenError):
    """The token endpoint could not be reached, or answered 429 or 5xx to every attempt.

    `transient` is False where a repeat cannot help (a certificate that does not verify).
    """

    remedy = "The credentials may well be right: try again later"
    transient = True


class StatusError(ArzamedError):
    """The API answered with a status over 299, a redirect included (none is followed).

    `message` is the API's own `error` text, cleaned; `request_id` the gateway's, if it sent one;
    `retry_after_seconds` what the server asked for, also where it was too long to wait.
    """

    def __init__(
        self,
        status: int = 0,
        message: str = "",
        *,
        request_id: str = "",
        retry_after_seconds: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(f"answered {status}", **facts)
        self.status = status
        self.message = message
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    def _what(self) -> str:
        what = super()._what()
        if self.message:
            what = f"{what} ({self.message})"
        if self.retry_after_seconds is not None:
            what = f"{what}, to be asked again in {self.retry_after_seconds:g} s"
        return f"{what} [request {self.request_id}]" if self.request_id else what


class UnauthorizedError(StatusError):
    """401, to a new token too."""

    remedy = (
        "A new token was refused as well, or one was refused a moment ago: check that the key belongs to"
        " this environment (production or sandbox) and is still valid"
    )


class ForbiddenError(StatusError):
    """403: wrong equipe, revoked or expired key, key not registered. Never repeated."""

    remedy = (
        "The key is revoked, expired, not registered or of another equipe: ask the clinic's administrator"
        " (Equipe Settings, API Keys)"
    )


class NotFoundError(StatusError):
    """404."""

    remedy = "Check the path and the API version in base_url"


class RateLimitedError(StatusError):
    """429, to every attempt."""

    remedy = "Ask less often, or lower the concurrency"


class ServiceUnavailableError(StatusError):
    """503, to every attempt: a service behind the API is unreachable for the moment."""

    remedy = "Try again later"


class ResponseError(ArzamedError):
    """A 2xx answer that is not what the API promises."""


class DecodeError(ResponseError):
    """The body is not a JSON array of such records.

    `record_index` counts from 0; None means the body as a whole. `field` is the attribute of the
    class at fault, dotted where it is nested; the value itself is never kept.
    """

    def __init__(
        self,
        what: str = "the body is not what the API promises",
        *,
        record_index: int | None = None,
        field: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(what, **facts)
        self.record_index = record_index
        self.field = field

    def _what(self) -> str:
        field = f"field {self.field}" if self.field else ""
        record = "" if self.record_index is None else f"record {self.record_index}"
        place = ", ".join(part for part in (record, field) if part)
        return f"{place}: {super()._what()}" if place else super()._what()


class LimitExceededError(ResponseError):
    """The answer is larger than `limit` (a field of `Limits`) allows: `limit_bytes`, after decompression."""

    def __init__(self, *, limit: str = "", limit_bytes: int = 0, **facts: Any) -> None:
        super().__init__(f"the answer is larger than {limit} allows ({limit_bytes:,} bytes)", **facts)
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.hint = self.hint or f"If that is to be expected, raise Limits.{limit}"


class StreamInterruptedError(ResponseError):
    """A stream broke off behind its first record and could not be taken up again.

    `delivered` is how many records you already hold: they are right, and the list goes on behind them.
    `reason` is what the last attempt met.
    """

    remedy = "What you hold is the beginning of the list, and not all of it"

    def __init__(self, reason: str = "the stream broke off", *, delivered: int = 0, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.reason = reason
        self.delivered = delivered

    def _what(self) -> str:
        return f"the list broke off behind {self.delivered:,} records ({self.reason})"
