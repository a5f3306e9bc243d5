"""A response that a test defines, and the fake sends unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import field

from arzamed_async import ConfigurationError
from arzamed_async._extras import frozen

__all__ = ["Answer", "seconds_or_date"]

#: Stands for no JSON; None is JSON's null.
_NOTHING: Any = object()


def _status(_instance: object, _attribute: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise ConfigurationError("status must be one of 200 to 599")


def _one_of_both(instance: Answer, _attribute: object, body: bytes) -> None:
    if instance.json is not _NOTHING and body:
        raise ConfigurationError("Answer(...) takes json or body, not both")


@frozen
class Answer:
    """A response that the fake sends unchanged: status, body (bytes, or a value to encode as JSON) and headers.

    Answer(429, retry_after=2)        # a rate limit, with Retry-After
    Answer(json=[{"name": 1}])        # JSON, but not what the API promises
    Answer(body=b'[{"name": "Dr')     # no JSON
    Answer()                          # 200 and nothing
    """

    status: int = field(default=200, validator=_status)
    """The status, 200 to 599."""
    json: Any = field(default=_NOTHING, kw_only=True)
    """The body as a JSON value; not with `body`."""
    body: bytes = field(default=b"", kw_only=True, validator=_one_of_both)
    """The body as bytes."""
    headers: Mapping[str, str] = field(factory=dict[str, str], kw_only=True)
    """Headers in addition to Content-Type."""
    retry_after: float | str | None = field(default=None, kw_only=True)
    """The value of a Retry-After header."""

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        """Return the body and headers to send."""
        body = self.body if self.json is _NOTHING else json.dumps(self.json).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **self.headers}
        if self.retry_after is not None:
            headers["Retry-After"] = seconds_or_date(self.retry_after)
        return body, headers


def seconds_or_date(retry_after: float | str) -> str:
    """Return the value of a Retry-After header: seconds, or an HTTP date unchanged."""
    return retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
