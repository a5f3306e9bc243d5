"""Reads a list as a whole, in a request of its own or in one that concurrent callers share."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Generic, TypeVar

from .._calls.call import Call
from .._calls.request import Request
from .._concurrency.single_flight import Flight
from .._http.response import HttpResponse
from .._http.status import request_id_of
from .._records.decoder import Decoder
from .._telemetry import new_call_id
from ..errors import ArzamedError, DeadlineExceededError, SessionClosedError
from .body import PARTIAL, BodyReader, part_error, small_list
from .kept import KeptRecords, check_small

if TYPE_CHECKING:
    from .._listed import ListResponse

__all__ = ["ListReader"]

T = TypeVar("T")


class ListReader(Generic[T]):
    """Reads the list that a request returns into objects of one class."""

    def __init__(self, request: Request, decoder: Decoder[T]) -> None:
        self.request = request
        self.decoder = decoder
        #: A list of at most this size is within all limits, and is not counted. -1 if list_records is set: each list is counted.
        self._free_bytes = decoder.footprint.free_bytes if request.options.limits.list_records is None else -1

    def read(self) -> Awaitable[list[T]]:
        """Read all records. An attempt after an interrupted one starts from the beginning."""
        return Call(self.request).run(self.read_all)

    async def read_response(self) -> ListResponse[T]:
        """Read all records, and return them with facts of their response."""
        from .._listed import ListResponse

        call = Call(self.request)

        async def read(response: HttpResponse) -> ListResponse[T]:
            records = await self.read_all(response)
            request_id = request_id_of(response.header, lambda: ())
            return ListResponse(records, response.status, response.headers, request_id, call.attempts)

        return await call.run(read)

    async def read_all(self, response: HttpResponse) -> list[T]:
        """Return the records in the body of a response."""
        if response.status == PARTIAL:
            raise part_error()
        data = response.received()
        ended = data is not None
        if data is None:
            data = await response.read()
            ended = response.ended()
        request = self.request
        limits = request.options.limits
        observers = request.engine.observers
        watch = observers.field_watcher(request.name, request.path) if observers.present else None
        values = small_list(data, limits) if ended else None
        if values is not None:
            if len(data) > self._free_bytes:
                check_small(limits, self.decoder.footprint, values, data, response.compressed_bytes or len(data))
            records = self.decoder.decode(values, 0, data)
            if watch is not None and (unknown := self.decoder.unknown_fields(values, all_good=True)):
                watch(unknown)
            return records
        turns = request.engine.list_turns if response.compressed_bytes else None
        kept = KeptRecords(limits, self.decoder.footprint, turns)
        reader = BodyReader(response, self.decoder, limits, watch=watch, kept=kept)
        reader.begin(data)
        del data
        try:
            records = await reader.next() or []
            while (window := await reader.next()) is not None:
                records += window
        finally:
            kept.leave_turn()
        return records

    async def read_shared(self) -> list[T]:
        """Read all records in one request that all concurrent callers share.

        The request runs under the session's options; each caller waits within its own deadline.
        """
        request = self.request
        engine = request.engine
        assert engine.reads is not None
        seconds = request.options.timeouts.total_seconds
        scope = engine.lifetime.scope(seconds, request.name)
        try:
            with scope:
                scope.set_phase("waiting for a response that several callers share")
                records = await engine.reads.join(
                    (type(self), request.clinic, request.url, request.hint, self.decoder), self._read_once_for_all
                )
                return records.copy()
            if scope.cancelled_by == "closed":
                raise SessionClosedError("the session was closed during this call")
            late = DeadlineExceededError(seconds=seconds, phase=scope.phase)
            request.add_facts(late, 0, new_call_id())
            engine.note_failure(request.clinic, late)  # a deadline of the shared read is noted there
            raise late
        except ArzamedError as error:
            request.add_facts(error, error.attempts, error.call_id)
            raise

    async def _read_once_for_all(self, flight: Flight[list[T]]) -> list[T]:
        reader = type(self)(self.request.under(self.request.engine.options), self.decoder)
        call = Call(reader.request)
        flight.describe(call.phase)
        return await call.run(reader.read_all)
