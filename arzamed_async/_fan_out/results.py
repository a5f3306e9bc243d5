"""The results of a fan-out: an async iterator and an async context manager, to be used once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

from ..errors import ConfigurationError
from .workers import Crew, Plan

__all__ = ["Outcomes"]


Item = TypeVar("Item")


class Outcomes(Generic[Item]):
    """What a crew hands out: an async iterator and an async context manager, to be used once.

    Nothing starts before the first step. Behind the `async with` nothing is left running; a plain
    `async for` promises that when it comes to the end, or at `aclose()`.
    """

    what: ClassVar[str] = "a fan-out"
    _crew: Crew[Item] | None = None

    def __init__(self, plan: Plan[Item]) -> None:
        self._left = self._whole = False
        self._start: Callable[[], Crew[Item]] = lambda: Crew(plan)

    def __aiter__(self) -> Self:
        if self._left:
            raise ConfigurationError(f"what comes of {self.what} can be read only once: start a new one")
        return self

    async def __anext__(self) -> Item:
        crew = self._crew
        step = crew.take() if crew is not None and not self._left else None
        if step is None:
            step = await self.numbered()
            if step is None:
                raise StopAsyncIteration
        return step[1]

    async def numbered(self) -> tuple[int, Item] | None:
        """Return what comes next with its clinic's number in the order of drawing; None at the end."""
        if self._whole:
            return None
        step = None
        if not self._left:
            if self._crew is None:
                self._crew = self._start()
            step = await self._crew.next()
        if step is None:
            if self._left and not self._whole:  # what was left never looks as if it were whole
                raise ConfigurationError(f"{self.what} was closed before its end")
            self._left = self._whole = True
        return step

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what runs and wait until it has ended. More than once is fine."""
        self._left = True
        if self._crew is not None:
            await self._crew.stop()

    def __del__(self) -> None:
        if self._crew is not None and not self._left and self._crew.running:
            self._crew.cancel()
            warnings.warn(
                f"{self.what} was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
