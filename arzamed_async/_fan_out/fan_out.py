"""One coroutine for each of many clinics: outcomes as they finish, failures included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import CoroutineType
from typing import Generic, TypeVar

from .._merged import Outcome, Success
from ..errors import ConfigurationError
from .feed import Named
from .results import Results
from .workers import FanOutPlan, MisuseError, WorkerPool

__all__ = ["FanOut", "gather"]

H = TypeVar("H", bound=Named)
T = TypeVar("T")

_HINT = "a coroutine function such as `lambda clinic: clinic.doctors.list()`; merge takes streams"


class FanOut(Results[Success[T]], Generic[T]):
    """Outcomes as they finish: an async iterator and an async context manager, to be used once.

        async with session.fan_out(clinics, lambda clinic: clinic.doctors.list()) as outcomes:
            async for outcome in outcomes:
                match outcome:
                    case Success(clinic, doctors): ...
                    case Failure(clinic, error): ...

    Nothing starts before the first step. After the `async with`, nothing is left running. With a plain `async for`,
    this holds only if it reaches the end, or after `aclose()`.
    """

    def __init__(self, plan: FanOutPlan[H], fetch: Callable[[H], Awaitable[T]]) -> None:
        async def serve(pool: WorkerPool[Success[T]], clinic: H, index: int) -> Success[T]:
            started = pool.time()
            work = fetch(clinic)
            _check(work)
            value = await work
            return Success(clinic.name, value, pool.time() - started, index)

        super().__init__(plan, serve)


def _check(work: object) -> None:
    if type(work) is not CoroutineType and not isawaitable(work):
        raise MisuseError(ConfigurationError(f"fetch must return an awaitable, not {type(work).__name__}: {_HINT}"))


async def gather(outcomes: FanOut[T]) -> list[Outcome[T]]:
    """Return every outcome, in the order in which the clinics were drawn."""
    numbered: dict[int, Outcome[T]] = {}
    step: tuple[int, Outcome[T]] | None = None
    try:
        async with outcomes:
            while (step := await outcomes.numbered()) is not None:
                numbered.update((step,))
    except BaseException:
        step = None  # a traceback of this frame would show all clinics' results
        numbered.clear()
        raise
    return [numbered[index] for index in sorted(numbered)]
