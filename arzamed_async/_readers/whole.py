"""One list at one clinic: read as a whole, alone or together with all who ask for the same, or opened as a stream."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic, TypeVar

from attrs import evolve

from .._calls.call import Call
from .._calls.request import Request
from .._http.response import Answer
from .._records.decoder import Decoder
from ..errors import ArzamedError, DeadlineExceededError, DecodeError
from .body import WindowReader, whole_list
from .stream import Windows

__all__ = ["Source"]

T = TypeVar("T")


class Source(Generic[T]):
    """One list at one clinic: what a resource reads from."""

    def __init__(self, request: Request, decoder: Decoder[T]) -> None:
        self._request = request
        self._decoder = decoder

    def read(self) -> Awaitable[list[T]]:
        """Read all records; an attempt that breaks half-way starts over."""
        return Call(self._request).run(self._read_all)

    async def _read_all(self, answer: Answer) -> list[T]:
        data = await answer.read()
        request = self._request
        limits = request.options.limits
        watch = request.engine.notices.field_watcher(request.name, request.path)
        values = whole_list(answer, data, limits)
        if values is not None:
            records = self._decoder.decode(values, 0)
            if watch is not None and (unknown := self._decoder.unknown_fields(values, all_good=True)):
                watch(unknown)
            return records
        reader = WindowReader(answer, self._decoder, limits, watch=watch)
        reader.begin(data)
        records = await reader.next() or []
        while (window := await reader.next()) is not None:
            records += window
        return records

    async def read_together(self) -> list[T]:
        """Return all records out of one request that all who ask for them now have in common.

        It runs under the session's options; the deadline is the caller's own.
        """
        request = self._request
        engine = request.engine
        engine.lifetime.enter(request.name)
        assert engine.reads is not None
        seconds = request.options.timeouts.total_seconds
        try:
            return list(
                await engine.reads.join(
                    (request.clinic, request.url, request.hint, self._decoder), self._read_for_all, seconds
                )
            )
        except ArzamedError as error:
            if isinstance(error, DeadlineExceededError):
                request.clinic.failures += not error.seconds  # the read's own deadline is the session's, and is counted
                error.seconds = error.seconds or seconds
            request.add_facts(error, error.attempts)
            raise

    async def _read_for_all(self) -> list[T]:
        return await Source(evolve(self._request, options=self._request.engine.options), self._decoder).read()

    def open(self, errors: list[DecodeError] | None) -> Windows[T]:
        """Return a reading of the list; it starts at its first step."""
        return Windows(self._request, self._decoder, errors)
