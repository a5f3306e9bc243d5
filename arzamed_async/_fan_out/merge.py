"""The streams of many clinics as one: records as they arrive, and one completion item for each clinic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import ClassVar, Generic, TypeVar

from .._concurrency.metering import METER, Meter
from .._concurrency.queueing import QUEUE_TIME_COUNTS
from .._merged import Finished, Record
from ..errors import ConfigurationError
from .feed import Named
from .results import Results
from .workers import FanOutPlan, WorkerPool

__all__ = ["Merge"]

H = TypeVar("H", bound=Named)
T = TypeVar("T")


class Merge(Results[Record[T] | Finished], Generic[T]):
    """Records of many clinics as they arrive: an async iterator and an async context manager, to be used once.

        async with session.merge(clinics, lambda clinic: clinic.doctors.stream()) as merged:
            async for each in merged:
                match each:
                    case Record(clinic, doctor): ...
                    case Finished(clinic, count): ...  # this clinic is complete, with count records
                    case Failure(clinic, error): ...  # this clinic is incomplete

    Each clinic yields its records in their order, then exactly one completion item, Finished or Failure. At most `buffer`
    records of all clinics together are held, or fewer if they take more than 16 MiB. If the buffer is full, the streams wait.
    """

    _what: ClassVar[str] = "a merge"

    def __init__(self, plan: FanOutPlan[H], open_stream: Callable[[H], AsyncIterable[T]]) -> None:
        async def serve(pool: _Pool[T], clinic: H, _index: int) -> Finished:
            QUEUE_TIME_COUNTS.set(False)
            return Finished(clinic.name, await _pump(pool, clinic.name, _checked(open_stream(clinic))))

        super().__init__(plan, serve)


_Pool = WorkerPool[Record[T] | Finished]


async def _pump(pool: _Pool[T], clinic: str, stream: AsyncIterable[T]) -> int:
    """Move one clinic's records into the shared buffer and return their number. Closes the stream in any case."""
    buffer, share = pool.buffer, pool.fair_share
    meter = Meter()
    METER.set(meter)
    count = 0
    try:
        async for value in stream:
            record, size = Record(clinic, value), meter.value_bytes
            if not buffer.enter_nowait(size):
                try:
                    await buffer.enter(size)
                except asyncio.CancelledError:
                    pool.put(record)  # the deadline: this record has arrived, and is not lost
                    raise
            pool.put(record, size)
            del value, record  # they are the consumer's now; see Call.run
            count += 1
            if count % share == 0:
                await asyncio.sleep(0)  # a clinic with much data at hand does not fill the buffer alone
    finally:
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()
    return count


def _checked(stream: AsyncIterable[T]) -> AsyncIterable[T]:
    if hasattr(stream, "__aiter__"):
        return (
            stream if hasattr(stream, "aclose") else aiter(stream)
        )  # a Resource makes a stream, which is to be closed
    if asyncio.iscoroutine(stream):
        stream.close()  # never awaited otherwise, which is another warning
    raise ConfigurationError(f"open_stream must return an async iterable, not {type(stream).__name__}")
