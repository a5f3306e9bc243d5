"""The steps of a script: one fault, or none, for each of the next requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from attrs import field

from arzamed_async import ConfigurationError
from arzamed_async._extras import frozen

from ._script import Refusal

__all__ = ["Answer", "Fault", "Step", "Word", "fault", "refusal"]

Word = Literal["ok", "cut", "garbage", "reset", "hang"]

#: Stands for no JSON; None is JSON's null.
_NOTHING: Any = object()
_WORDS: dict[object, Word] = {word: word for word in get_args(Word)}


def _status(_instance: object, _attribute: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise ConfigurationError("status must be one of 200 to 599")


def _one_of_both(instance: Answer, _attribute: object, body: bytes) -> None:
    if instance.json is not _NOTHING and body:
        raise ConfigurationError("Answer(...) takes json or body, not both")


@frozen
class Answer:
    """A response of your own: a status, a body as bytes or as a JSON value, and headers.

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


Step = int | Word | Answer
Fault = Refusal | Answer | Word


def seconds_or_date(retry_after: float | str) -> str:
    """Return the value of a Retry-After header: seconds, or an HTTP date unchanged."""
    return retry_after if isinstance(retry_after, str) else f"{retry_after:g}"


def refusal(
    status: int, on: str, base_url: str, *, retry_after: float | str | None = None, message: str = ""
) -> Refusal:
    """Return an error response as the API, or the token endpoint, would send it."""
    if isinstance(status, bool) or not isinstance(status, int) or not 300 <= status <= 599:
        raise ConfigurationError("status must be one of 300 to 599")
    headers: list[tuple[str, str]] = []
    if retry_after is not None:
        headers.append(("Retry-After", seconds_or_date(retry_after)))
    if status < 400:
        headers.append(("Location", f"{base_url}/redirected"))
    if on == "token" and not message:
        message = {400: "invalid_request", 401: "invalid_client"}.get(status, "temporarily_unavailable")
    return Refusal(status, message, headers=tuple(headers))


def fault(step: object, on: str, base_url: str) -> Fault:
    """Return the fault for a step of a script. Raises ConfigurationError for an invalid step."""
    if isinstance(step, Answer):
        return step
    if isinstance(step, int):
        return refusal(step, on, base_url)
    word = _WORDS.get(step) if isinstance(step, str) else None
    if word is None:
        words = ", ".join(repr(word) for word in _WORDS)
        raise ConfigurationError(
            f"a step of a script is a status, an Answer(...), or one of {words}; not {type(step).__name__}"
        )
    return word
