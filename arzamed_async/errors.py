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

An error consists of facts: what failed, at which clinic, in which call, after how many
attempts, and what to do about it. It holds no body, token, secret or patient's value, and no
other exception is chained to it. The only foreign text is the server's `error` and
`error_description`, sanitized by the module that reads them. Errors can be pickled.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

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
    """The root of the tree: `except ArzamedError` catches everything that this package raises.

    `clinic` is the clinic's name. `method` and `path` name the call; `path` is the endpoint's, never a
    URL, and empty for a token request. `attempts` is the number of requests sent for the call, `hint` an
    additional sentence on this one failure. Each is empty (or 0) where it does not apply. `remedy` is what to do
    about any error of the class; the text ends with both.
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

    def add_hint(self, sentence: str) -> None:
        """Append a sentence to `hint`; an empty one changes nothing."""
        if sentence:
            self.hint = f"{self.hint}. {sentence}" if self.hint else sentence

    def _what(self) -> str:
        """Return what failed, without place and number of attempts; subclasses build it from their facts."""
        return str(self.args[0]) if self.args else ""

    def _details(self) -> str:
        """Return what follows the number of attempts."""
        return ""

    def __str__(self) -> str:
        call = f"{self.method} {self.path}".strip()
        what = self._what()
        if self.attempts > 1:
            what = f"{what} after {self.attempts} attempts"
        first = ": ".join(part for part in (self.clinic, call, what) if part) + self._details()
        return ". ".join(part.rstrip(".") for part in (first, self.hint, self.remedy) if part)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(ArzamedError, ValueError):
    """An argument, a setting or a file of the caller is invalid: a URL, a secret, a clinics file."""


class SessionClosedError(ArzamedError):
    """The session was closed, either before the call or while it was running."""

    def __init__(self, what: str = "the session is closed", **facts: Any) -> None:
        super().__init__(what, **facts)


class TransportError(ArzamedError):
    """No usable HTTP response: DNS, refused, reset, timeout of one attempt, TLS, not HTTP, incomplete body.

    `reason` names the cause. `transient` is False where a retry cannot help (a certificate that does
    not verify). `stale` is True where a connection that had been idle was found closed: the server has not processed
    the request.
    """

    stale = False

    def __init__(self, reason: str = "no usable HTTP response", *, transient: bool = True, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.reason = reason
        self.transient = transient


class CircuitOpenError(TransportError):
    """The request was not sent: the circuit breaker is open, since the clinic's requests keep failing.

    `retry_after_seconds` is the time until the next probe (0: a probe is under way, and its outcome decides).
    `last_failure` describes this call's last failed attempt, if there was one.
    """

    def __init__(self, *, retry_after_seconds: float = 0.0, last_failure: str = "", **facts: Any) -> None:
        super().__init__("circuit breaker is open", transient=False, **facts)
        self.retry_after_seconds = retry_after_seconds
        self.last_failure = last_failure

    def _what(self) -> str:
        return f"request not sent: circuit breaker is {'open' if self.retry_after_seconds else 'half-open'}"

    def _details(self) -> str:
        left = self.retry_after_seconds
        when = f", retry after {left:.1f} s" if left else ", a probe is under way"
        return when + _last_failure(self.last_failure)


class DeadlineExceededError(TransportError, TimeoutError):
    """The deadline of the whole call has passed.

    `seconds` is that deadline. `phase` is what the call was doing then, such as "waiting for a token from
    login.example". `last_failure` describes the last failed attempt, if there was one.
    """

    def __init__(self, *, seconds: float = 0.0, phase: str = "", last_failure: str = "", **facts: Any) -> None:
        super().__init__("deadline exceeded", **facts)
        self.seconds = seconds
        self.phase = phase
        self.last_failure = last_failure

    def _what(self) -> str:
        return f"deadline of {self.seconds:g} s exceeded"

    def _details(self) -> str:
        phase = f" while {self.phase}" if self.phase else ""
        return phase + _last_failure(self.last_failure)


def _retry_after(seconds: float | None) -> str:
    return "" if seconds is None else f", retry after {seconds:.1f}".removesuffix(".0") + " s"


def _last_failure(reason: str) -> str:
    return f" (last failure: {reason})" if reason else ""


class TokenError(ArzamedError):
    """The token endpoint returned no token: another 4xx, a redirect, a malformed 200.

    `status` is the HTTP status (None: no response). `error` and `description` are the parameters of the error
    response (RFC 6749 section 5.2), sanitized and truncated to 200 characters.
    """

    def __init__(
        self,
        what: str = "the token endpoint returned no token",
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

    def _details(self) -> str:
        server = ": ".join(part for part in (self.error, self.description) if part)
        status = "" if self.status is None else f"HTTP {self.status}"
        facts = ", ".join(part for part in (status, server) if part)
        return (f" ({facts})" if facts else "") + _retry_after(self.retry_after_seconds)


class CredentialsRejectedError(TokenError):
    """The token endpoint rejected the clinic's credentials: 401, `invalid_client` or `unauthorized_client`."""

    remedy = (
        "Check client_id, client_secret and token_url; the clinic's administrator can create a new key"
        " (Equipe Settings, API Keys). No token request is sent with these credentials for a while"
    )


class TokenUnavailableError(TokenError):
    """The token endpoint could not be reached, or responded with 429 or 5xx to every attempt.

    The credentials were neither accepted nor rejected. `transient` is False where a retry cannot help (a
    certificate that does not verify). A Retry-After is remembered, for up to an hour: until then calls raise this error
    without a request, and `retry_after_seconds` is the time left. `session.forget` lifts that.
    """

    remedy = "Check token_url, or retry later"
    transient = True

    def not_sent(self, seconds_left: float) -> TokenUnavailableError:
        """Return the error of a later call: the endpoint requires a pause, so that no request is sent for `seconds_left`."""
        return TokenUnavailableError(
            "token request not sent: the token endpoint requires a pause",
            status=self.status,
            error=self.error,
            description=self.description,
            retry_after_seconds=seconds_left,
        )


class StatusError(ArzamedError):
    """The API responded with a status above 299; redirects are included, since none is followed.

    `message` is the API's own `error` text, sanitized. `request_id` is the gateway's, if it sent one.
    `retry_after_seconds` is the delay of the Retry-After header, even if it was too long to wait.
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
        super().__init__(f"HTTP {status}", **facts)
        self.status = status
        self.message = message
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    def _details(self) -> str:
        message = f" ({self.message})" if self.message else ""
        request = f" [request {self.request_id}]" if self.request_id else ""
        return message + _retry_after(self.retry_after_seconds) + request


class UnauthorizedError(StatusError):
    """HTTP 401 even with a new token."""

    remedy = "Check that the key is still valid and belongs to this environment (production or sandbox)"


class ForbiddenError(StatusError):
    """HTTP 403: wrong equipe, revoked or expired key, key not registered. Never retried."""

    remedy = (
        "The key is revoked, expired, not registered, or belongs to another equipe: contact the clinic's administrator"
        " (Equipe Settings, API Keys)"
    )


class NotFoundError(StatusError):
    """HTTP 404: the API has no such path."""

    remedy = "Check the path and the API version in base_url"


class RateLimitedError(StatusError):
    """HTTP 429 to every attempt, or a pause that an earlier HTTP 429 requires: then the request was not sent.

    `scope` is whose limit was reached, as far as that is known: the "clinic"'s or the "origin"'s.
    """

    remedy = "Send requests at a lower rate, or lower the concurrency"
    scope: Literal["clinic", "origin"] = "clinic"


class ServiceUnavailableError(StatusError):
    """HTTP 503 to every attempt: a service of the API is temporarily unavailable."""

    remedy = "A service of the API is temporarily unavailable: retry later"


class ResponseError(ArzamedError):
    """A 2xx response whose body is not what the API documents."""


class DecodeError(ResponseError):
    """The response body is not a JSON array of records of the given class.

    `record_index` counts from 0; None means the body as a whole. `field` is the attribute of the
    class at fault, dotted where it is nested. The value itself is never kept.
    """

    def __init__(
        self,
        what: str = "the response body is invalid",
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
    """The response exceeds `limit_bytes` after decompression; `limit` is the field of `Limits` that sets it."""

    def __init__(self, *, limit: str = "", limit_bytes: int = 0, **facts: Any) -> None:
        super().__init__(f"the response exceeds the limit {limit} ({limit_bytes:,} bytes)", **facts)
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.hint = self.hint or f"If this size is expected, raise Limits.{limit}"


class StreamInterruptedError(ResponseError):
    """A stream was interrupted after its first record, and could not be resumed.

    `delivered` is the number of records already delivered: they are correct, but the list continues after them.
    `reason` describes why the last attempt failed.
    """

    remedy = "The records received so far are correct, but the list is incomplete"

    def __init__(self, reason: str = "the stream was interrupted", *, delivered: int = 0, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.reason = reason
        self.delivered = delivered

    def _what(self) -> str:
        return f"stream interrupted after {self.delivered:,} records ({self.reason})"
