"""Attempts made again, with backoff between them. The only importer of backoff."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, Protocol, TypeVar

import backoff

from .config import RetryPolicy
from .errors import ArzamedError

__all__ = ["Attempts", "Retrier"]

R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Attempts(Protocol[R_co]):
    """Work that can be tried more than once."""

    async def attempt(self) -> R_co:
        """Try once."""
        ...

    def wait_for(self, error: ArzamedError) -> float | None:
        """Return how long the server asks to wait before the next try, None if it says nothing.

        Raises the error itself where another try would not help.
        """
        ...

    def waiting(self, error: ArzamedError, seconds: float) -> None:
        """Take note that the next try starts in so many seconds."""
        ...


class _FailedError(Exception, Generic[S]):
    """Carries a failure worth another try through backoff; never leaves this module."""

    def __init__(self, error: ArzamedError, asked_seconds: float | None, work: Attempts[S]) -> None:
        super().__init__()
        self.error = error
        self.asked_seconds = asked_seconds
        self.work = work


class _Series(Generic[S]):
    """The attempts of work whose first has failed already."""

    def __init__(self, work: Attempts[S], failure: ArzamedError) -> None:
        self.work = work
        self.failure: ArzamedError | None = failure


async def _attempt(series: _Series[S]) -> S:
    failure, series.failure = series.failure, None
    if failure is None:
        try:
            return await series.work.attempt()
        except ArzamedError as error:
            failure = error
    asked_seconds = series.work.wait_for(failure)
    raise _FailedError(failure, asked_seconds, series.work)


def _announce(details: Any) -> None:
    failed: _FailedError[Any] = details["exception"]
    failed.work.waiting(failed.error, details["wait"])


class Retrier:
    """Runs work under a RetryPolicy: up to max_attempts tries, full jitter, a Retry-After instead where there is one."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._loop: Callable[[_Series[Any]], Awaitable[Any]] = backoff.on_exception(
            self._waits,
            _FailedError,
            max_tries=policy.max_attempts,
            jitter=None,  # it would apply to a Retry-After as well
            logger=None,  # it would log the texts of exceptions
            on_backoff=_announce,
        )(_attempt)

    def _waits(self) -> Generator[float, Any, None]:
        ceilings = backoff.expo(base=2, factor=self._policy.base_seconds, max_value=self._policy.cap_seconds)
        next(ceilings)
        failed: _FailedError[Any] = yield 0.0
        for ceiling in ceilings:
            asked = failed.asked_seconds
            failed = yield backoff.full_jitter(ceiling) if asked is None else asked

    async def again(self, work: Attempts[S], failure: ArzamedError) -> S:
        """Go on after the first attempt, which the caller has made: backoff has no part in what succeeds at once.

        Returns what the first successful attempt returns, or raises the ArzamedError of the last.
        """
        try:
            result: S = await self._loop(_Series(work, failure))
        except _FailedError as failed:  # pyright: ignore[reportUnknownVariableType] - a class cannot be caught by its argument
            error = failed.error
        else:
            return result
        raise error
