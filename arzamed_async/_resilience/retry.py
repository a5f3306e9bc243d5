"""The retry loop: attempts after the first, with backoff between them. The only importer of backoff.

`delay_asked_for` decides which failures are retried: that of `_calls.call` for a read, and that of `_tokens.request` for a
token. The statuses are those of `RetryPolicy`.
"""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from ..config import RetryPolicy
from ..errors import ArzamedError, TransportError

__all__ = ["Retries", "Retryable", "delay_seconds", "load", "retry", "too_long"]

R = TypeVar("R")

#: Callers with the same Retry-After are spread over this share of it, so that they do not all retry at once.
SPREAD = 0.25


class Retryable(Protocol):
    """The work that the loop retries."""

    @property
    def deadline(self) -> float | None:
        """The end of the work in loop time, None without one."""
        ...

    def delay_asked_for(self, error: ArzamedError) -> float | None:
        """Return the delay that the server requests, None without one. Raises the error if it must not be retried."""
        ...

    def retry_scheduled(self, error: ArzamedError, seconds: float) -> None:
        """Report that the next attempt starts after this delay."""
        ...


class Retries:
    """The number of retries that a policy still allows. A stream uses one object for its whole life.

    `charged`: at least one of the retries was charged to the retry budget.
    """

    __slots__ = ("charged", "left", "policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.left = policy.max_attempts - 1
        self.charged = False


def load() -> None:
    """Import backoff. A session does it when it is created, so that the first retry reads no file."""
    importlib.import_module("backoff")


async def retry(attempt: Callable[[], Awaitable[R]], failure: ArzamedError, work: Retryable, retries: Retries) -> R:
    """Retry after a failed first attempt, with full jitter, and not before the delay that the server requests.

    The caller makes the first attempt itself, so that a call which succeeds at once pays nothing for retries.
    Returns the result of the first attempt that succeeds, or raises the ArzamedError of the last one.
    """
    import backoff

    policy = retries.policy
    ceilings = backoff.expo(base=2, factor=policy.initial_backoff_seconds, max_value=policy.max_backoff_seconds)
    next(ceilings)  # generators of backoff yield nothing at first: they wait for a value to be sent
    while retries.left > 0:
        asked, deadline = work.delay_asked_for(failure), work.deadline
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        stale = isinstance(failure, TransportError) and failure.stale  # the next attempt has a new connection
        seconds = 0.0 if stale else delay_seconds(asked, next(ceilings), left)
        retries.left -= 1
        retries.charged = retries.charged or not stale
        work.retry_scheduled(failure, seconds)
        await asyncio.sleep(seconds)
        try:
            return await attempt()
        except ArzamedError as error:
            failure = error.with_traceback(None)  # the traceback would refer to this frame, which refers to the error
    raise failure


def delay_seconds(
    asked: float | None, ceiling: float, left: float | None, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Return the delay before the next attempt. Without a Retry-After, it is random up to `ceiling` ("full jitter").

    With a Retry-After of `asked` seconds, it is at least that long, and at least the random backoff, since a server in
    trouble may request 0. A random part is added, which spreads callers with the same Retry-After. It takes at most half of
    the time that would then be left before the deadline (`left`).
    """
    own = uniform(0.0, ceiling)
    if asked is None:
        return own
    seconds, width = max(asked, own), max(ceiling, asked * SPREAD)
    if left is not None:
        width = max(0.0, min(width, (left - seconds) / 2))
    return seconds + uniform(0.0, width)


def too_long(asked_seconds: float | None, policy: RetryPolicy, deadline: float | None) -> bool:
    """Return whether the delay that a server requests is longer than the policy allows, or ends after the deadline."""
    if asked_seconds is None:
        return False
    late = deadline is not None and asyncio.get_running_loop().time() + asked_seconds >= deadline
    return late or asked_seconds > policy.max_retry_after_seconds
