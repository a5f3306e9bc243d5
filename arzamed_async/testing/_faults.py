"""The steps of a script: one fault, or none, for each of the next requests."""

from __future__ import annotations

from typing import Literal, get_args

from arzamed_async import ConfigurationError

from ._answer import Answer, seconds_or_date
from ._script import Refusal

__all__ = ["Fault", "Step", "Word", "fault", "refusal"]

Word = Literal["ok", "cut", "garbage", "reset", "hang"]

_WORDS: dict[object, Word] = {word: word for word in get_args(Word)}


Step = int | Word | Answer
Fault = Refusal | Answer | Word


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
