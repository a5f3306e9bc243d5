"""The streams of many clinics as one: records as they arrive, and one last word on each clinic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import ClassVar, Generic, TypeVar

from .._calls.engine import Engine
from ..clinic import Clinic
from ..errors import ArzamedError, ConfigurationError
from ..models import Failure, Finished, Record
from .results import Outcomes
from .workers import Clinics, Crew, Plan, Progress

__all__ = ["Merge"]

T = TypeVar("T")


class Merge(Outcomes[Record[T] | Finished | Failure], Generic[T]):
    """Records of many clinics as they arrive: an async iterator and an async context manager, to be used once.

        async with session.merge(clinics, lambda clinic: clinic.doctors.stream()) as merged:
            async for each in merged:
                match each:
                    case Record(clinic, doctor): ...
                    case Finished(clinic, count): ...  # all of this clinic's, count records
                    case Failure(clinic, error): ...  # not all: what came before this is a part

    Every clinic drawn has exactly one last word, Finished or Failure, after all its records, which keep their
    order. At most `buffer` records of all clinics together are held; a slow reader slows the streams.
    """

    what: ClassVar[str] = "a merge"

    def __init__(
        self,
        engine: Engine,
        clinics: Clinics,
        open_stream: Callable[[Clinic], AsyncIterable[T]],
        *,
        concurrency: int,
        buffer: int,
        deadline_seconds: float | None,
        on_progress: Progress | None,
    ) -> None:
        async def serve(crew: _Crew[T], clinic: Clinic) -> Finished | Failure:
            late = crew.late(clinic)
            if late is not None:
                return Failure(clinic.name, late, 0.0)
            started = crew.time()
            pump = _Pump[T](crew, clinic.name)
            failure: ArzamedError | None = None
            with crew.scope():
                try:
                    await pump.run(_checked(open_stream(clinic)))
                except ArzamedError as error:
                    failure = error
                else:
                    return Finished(clinic.name, pump.count)
            pump.keep_what_is_held()
            return Failure(clinic.name, failure or crew.too_late(clinic), crew.time() - started)

        plan = Plan(
            engine,
            clinics,
            serve,
            concurrency=concurrency,
            deadline_seconds=deadline_seconds,
            on_progress=on_progress,
            buffer=buffer,
        )
        super().__init__(plan)


_Crew = Crew[Record[T] | Finished | Failure]


class _Pump(Generic[T]):
    """Moves one clinic's records into the buffer that all have in common."""

    def __init__(self, crew: _Crew[T], clinic: str) -> None:
        self._crew = crew
        self._clinic = clinic
        self._held: Record[T] | None = None
        self.count = 0

    async def run(self, stream: AsyncIterable[T]) -> None:
        """Move all, and close the stream in any case."""
        crew = self._crew
        buffer, share = crew.buffer, crew.fair_share
        try:
            async for value in stream:
                record = Record(self._clinic, value)
                if not buffer.take():
                    self._held = record
                    await buffer.wait()
                    self._held = None
                crew.hand_out(record)
                del value, record  # they are the consumer's now; see Call.run
                self.count += 1
                if self.count % share == 0:
                    await asyncio.sleep(0)  # one that has much at hand does not fill the buffer alone
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()

    def keep_what_is_held(self) -> None:
        """Hand out the record for which there was no room before the deadline: it has arrived."""
        if self._held is not None:
            self._crew.hand_out(self._held, slot=False)
            self._held = None


def _checked(stream: AsyncIterable[T]) -> AsyncIterable[T]:
    if hasattr(stream, "__aiter__"):
        return stream
    if asyncio.iscoroutine(stream):
        stream.close()  # never awaited otherwise, which is another warning
    raise ConfigurationError(f"open_stream must return an async iterable, not {type(stream).__name__}")
