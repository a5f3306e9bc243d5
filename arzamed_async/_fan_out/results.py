"""The results of a fan-out, as an async iterator and async context manager."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from .._merged import Failure
from ..errors import ConfigurationError
from .feed import ClinicFeed, Named
from .workers import FanOutPlan, Serve, WorkerPool

__all__ = ["Results"]

H = TypeVar("H", bound=Named)
Item = TypeVar("Item")


class Results(Generic[Item]):
    """The results of a worker pool: an async iterator and an async context manager, to be used once.

    Nothing starts before the first step. After the `async with`, nothing is left running. With a plain `async for`,
    this holds only if it reaches the end, or after `aclose()`.
    """

    _what: ClassVar[str] = "a fan-out"
    _pool: WorkerPool[Item] | None = None
    _clinics: ClinicFeed[Any] | None = None
    _closed = _complete = False

    def __init__(self, plan: FanOutPlan[H], serve: Serve[Item, H]) -> None:
        self._clinics = plan.clinics
        self._start: Callable[[], WorkerPool[Item]] = partial(WorkerPool[Item], plan, serve)

    def __aiter__(self) -> Self:
        if self._closed:
            raise ConfigurationError(f"the results of {self._what} can be read only once: start a new one")
        return self

    async def __anext__(self) -> Item | Failure:
        pool = self._pool
        step = pool.get_nowait() if pool is not None and not self._closed else None
        if step is None:
            step = await self.numbered()
            if step is None:
                raise StopAsyncIteration
        _, item = step
        return item

    async def numbered(self) -> tuple[int, Item | Failure] | None:
        """Return the next result and its clinic's number in the order of drawing; None at the end."""
        if self._complete:
            return None
        step = None
        if not self._closed:
            if self._pool is None:
                self._pool = self._start()
            step = await self._pool.get()
        if step is None:
            if self._closed and not self._complete:  # closed early, it must not look complete
                raise ConfigurationError(f"{self._what} was closed before its end")
            self._closed = self._complete = True
        return step

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the work and wait for its end, and for that of a generator of clinics. Can be called more than once."""
        self._closed = True
        if self._pool is not None:
            await self._pool.stop()
        elif self._clinics is not None:
            await self._clinics.aclose()

    def __del__(self) -> None:
        if self._pool is not None and not self._closed and self._pool.running:
            self._pool.cancel()
            warnings.warn(
                f"{self._what} was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
