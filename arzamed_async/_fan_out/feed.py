"""The clinics of a fan-out, drawn one by one from the caller's iterable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from typing import Any, Generic, Protocol, TypeVar

from ..errors import ConfigurationError

__all__ = ["ClinicFeed", "Named"]

S = TypeVar("S")


class Named(Protocol):
    """A clinic, as far as a fan-out knows it."""

    @property
    def name(self) -> str:
        """The name under which its results are reported."""
        ...


H = TypeVar("H", bound=Named)


class _End:
    """Marks the end of the iterable. (None does not: a None in the iterable is a caller's mistake, to be reported.)"""


_END = _End()


class ClinicFeed(Generic[H]):
    """Draws clinics from an iterable or an async iterable, numbers them, and makes a handle of each."""

    def __init__(self, clinics: Iterable[S] | AsyncIterable[S], handle: Callable[[S], H]) -> None:
        self._handle: Callable[[Any], H] = handle
        self._sync: Iterator[Any] | None = None
        self._async: AsyncIterator[Any] | None = None
        if isinstance(clinics, AsyncIterable):
            self._async = aiter(clinics)
        elif isinstance(clinics, Iterable):
            self._sync = iter(clinics)
        else:
            raise ConfigurationError(f"clinics must be an iterable or async iterable, not {type(clinics).__name__}")
        self.total: int | None = None
        if isinstance(clinics, Sized):
            with contextlib.suppress(TypeError):  # a wrapper (tqdm around a generator) has the method, not the number
                self.total = len(clinics)
        self._lock = asyncio.Lock()
        self._count = 0
        self._ended = False

    async def draw(self) -> tuple[int, H] | None:
        """Return the next clinic and its number; None at the end."""
        if self._async is not None:
            async with self._lock:  # an async generator runs one step at a time
                return self._number(_END if self._ended else await anext(self._async, _END))
        assert self._sync is not None
        return self._number(_END if self._ended else next(self._sync, _END))

    def _number(self, drawn: object) -> tuple[int, H] | None:
        if isinstance(drawn, _End):
            self._ended = True
            return None
        self._count += 1
        return self._count - 1, self._handle(drawn)
