"""Errors of an API response: by its status, or by its body."""

from __future__ import annotations

from typing import Any, Literal

from .._counted import counted
from .base import ArzamedError, retry_after

__all__ = [
    "DecodeError",
    "ForbiddenError",
    "LimitExceededError",
    "NotFoundError",
    "RateLimitedError",
    "ResponseError",
    "ServiceUnavailableError",
    "StatusError",
    "StreamInterruptedError",
    "UnauthorizedError",
]


#: Remedies for statuses without a class of their own.
_REDIRECT = "Check base_url: it must be the address that the redirect leads to"
_PROXY_LOGIN = "Check user and password in the URL of the proxy"
_SERVER = "The server has failed: retry later, and report it to the server's operator"


class StatusError(ArzamedError):
    """The API responded with a status above 299. Redirects are included: none is followed.

    Attributes:
        status: The HTTP status.
        message: The `error` text of the API's response, sanitized.
        request_id: The API's id of the request, if it sent one.
        retry_after_seconds: The delay that the Retry-After header requires, even if it is too long to wait for.
    """

    remedy = "Check the path and the parameters of the request"

    def __init__(
        self,
        status: int = 0,
        message: str = "",
        *,
        request_id: str = "",
        retry_after_seconds: float | None = None,
        **facts: Any,
    ) -> None:
        what = f"HTTP {status}"
        if not isinstance(status, int):  # `type(error)("a text")`, which all other errors take
            what, status = str(status), 0
        super().__init__(what, **facts)
        self.status = status
        self.message = message
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        if type(self) is StatusError and (status >= 500 or 300 <= status <= 399 or status == 407):
            self.remedy = _SERVER if status >= 500 else _PROXY_LOGIN if status == 407 else _REDIRECT

    def _details(self) -> str:
        message = f" ({self.message})" if self.message else ""
        request = f" [request {self.request_id}]" if self.request_id else ""
        return message + retry_after(self.retry_after_seconds) + request


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
    """HTTP 404: the API has no such path, or no object for the values of its parameters."""

    remedy = "Check the path, the values of its parameters, and the API version in base_url"


class RateLimitedError(StatusError):
    """HTTP 429 to every attempt. Or the request was not sent, because an earlier HTTP 429 requires a pause.

    Attributes:
        scope: Which limit was reached, as far as known: that of one "clinic", or that of the "origin" (the whole API).
        not_sent: Why the request was not sent; empty if it was sent.
    """

    remedy = "Send requests at a lower rate, or lower the concurrency"
    scope: Literal["clinic", "origin"] = "clinic"

    def __init__(self, status: int = 0, message: str = "", *, not_sent: str = "", **facts: Any) -> None:
        super().__init__(status, message, **facts)
        self.not_sent = not_sent

    def _what(self) -> str:
        return f"request not sent: {self.not_sent}" if self.not_sent else super()._what()


class ServiceUnavailableError(StatusError):
    """HTTP 503 to every attempt: a service of the API is temporarily unavailable."""

    remedy = "A service of the API is temporarily unavailable: retry later"


class ResponseError(ArzamedError):
    """A 2xx response whose body is not what the API documents."""

    remedy = "Check the path and base_url: the response is not what this endpoint is documented to send"


class DecodeError(ResponseError):
    """The body is not what the class describes: a JSON array of its records, or one JSON object for `one()`.

    The error never contains the value.

    Attributes:
        record_index: The index of the invalid record, from 0. None: the error is about the body, or the object of `one()`.
        field: The invalid field of the class, with dots if it is nested. None: the error is about the whole record.
    """

    remedy = "Check the path: the response is not a list of such records, or the class declares other fields than the API sends"

    def __init__(
        self,
        what: str = "the response body is invalid",
        *,
        record_index: int | None = None,
        field: str | None = None,
        remedy: str = "",
        **facts: Any,
    ) -> None:
        super().__init__(what, **facts)
        if remedy:
            self.remedy = remedy
        self.record_index = record_index
        self.field = field

    def _what(self) -> str:
        field = f"field {self.field}" if self.field else ""
        record = "" if self.record_index is None else f"record {self.record_index}"
        place = ", ".join(part for part in (record, field) if part)
        return f"{place}: {super()._what()}" if place else super()._what()


class LimitExceededError(ResponseError):
    """The response exceeds a limit. If the limit is one of memory, the last four attributes show what had been read.

    Attributes:
        limit: The field of `Limits` that sets the limit.
        limit_bytes: The limit, after decompression or in memory. 0: the limit is a number of records.
        limit_records: The limit as a number of records. 0: the limit is a number of bytes.
        records: The number of records read.
        received_bytes: The number of bytes received.
        json_bytes: The number of bytes of JSON that they expand to.
        memory_bytes: The memory that the records take, estimated.
    """

    remedy = "If this size is expected, raise that limit of Limits"
    records = received_bytes = json_bytes = memory_bytes = 0

    def __init__(
        self, what: str = "", *, limit: str = "", limit_bytes: int = 0, limit_records: int = 0, **facts: Any
    ) -> None:
        most = counted(limit_records, "record") if limit_records else counted(limit_bytes, "byte")
        super().__init__(what or f"the response exceeds the limit {limit} ({most})", **facts)
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.limit_records = limit_records
        if self.hint:  # it is more specific than the remedy, and replaces it
            self.remedy, self.hint = self.hint, ""
        elif limit:
            self.remedy = f"If this size is expected, raise Limits.{limit}"

    def add_sizes(self, *, records: int = 0, received_bytes: int, json_bytes: int, memory_bytes: int) -> None:
        """Record how much had been read when the limit was reached.

        Args:
            records: The number of records read.
            received_bytes: The number of bytes received.
            json_bytes: The number of bytes of JSON that they expand to.
            memory_bytes: The memory that the records take, estimated.
        """
        self.records, self.received_bytes = records, received_bytes
        self.json_bytes, self.memory_bytes = json_bytes, memory_bytes

    def _details(self) -> str:
        if not self.memory_bytes:
            return ""
        records = f"{counted(self.records, 'record')}, " if self.records else ""
        expanded = (
            f"{counted(self.json_bytes, 'byte')} of JSON and about {counted(self.memory_bytes, 'byte')} of memory"
        )
        return f": {records}{counted(self.received_bytes, 'byte')} received, which expand to {expanded}"


class StreamInterruptedError(ResponseError):
    """A stream was interrupted after its first record, and could not be resumed.

    Attributes:
        reason: Why the last attempt failed.
        delivered: The number of records delivered. They are correct, but not the whole list.
    """

    remedy = "The records received so far are correct, but the list is incomplete: read it again"

    def __init__(self, reason: str = "the stream was interrupted", *, delivered: int = 0, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.reason = reason
        self.delivered = delivered

    def _what(self) -> str:
        return f"stream interrupted after {counted(self.delivered, 'record')} ({self.reason})"
