"""One coroutine over many clinics: results as they finish, failures included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .._calls.engine import Engine
from ..clinic import Clinic
from ..errors import ArzamedError
from ..models import Failure, Outcome, Success
from .results import Outcomes
from .workers import Clinics, Crew, Plan, Progress

__all__ = ["FanOut", "gather"]

T = TypeVar("T")


class FanOut(Outcomes[Outcome[T]], Generic[T]):
    """Outcomes as they finish: an async iterator and an async context manager, to be used once.

        async with session.fan_out(clinics, lambda clinic: clinic.doctors.list()) as outcomes:
            async for outcome in outcomes:
                match outcome:
                    case Success(clinic, doctors): ...
                    case Failure(clinic, error): ...

    Nothing starts before the first step. Behind the `async with` nothing is left running; a plain
    `async for` promises that when it comes to the end, or at `aclose()`.
    """

    def __init__(
        self,
        engine: Engine,
        clinics: Clinics,
        fetch: Callable[[Clinic], Awaitable[T]],
        *,
        concurrency: int,
        deadline_seconds: float | None,
        on_progress: Progress | None,
    ) -> None:
        async def serve(crew: Crew[Outcome[T]], clinic: Clinic) -> Outcome[T]:
            late = crew.late(clinic)
            if late is not None:
                return Failure(clinic.name, late, 0.0)
            started = crew.time()
            failure: ArzamedError | None = None
            with crew.scope():
                try:
                    value = await fetch(clinic)
                except ArzamedError as error:
                    failure = error
                else:
                    return Success(clinic.name, value, crew.time() - started)
            return Failure(clinic.name, failure or crew.too_late(clinic), crew.time() - started)

        plan = Plan(
            engine,
            clinics,
            serve,
            concurrency=concurrency,
            deadline_seconds=deadline_seconds,
            on_progress=on_progress,
        )
        super().__init__(plan)


async def gather(outcomes: FanOut[T]) -> list[Outcome[T]]:
    """Return every outcome, in the order in which the clinics were drawn."""
    numbered: dict[int, Outcome[T]] = {}
    step: tuple[int, Outcome[T]] | None = None
    try:
        async with outcomes:
            while (step := await outcomes.numbered()) is not None:
                numbered[step[0]] = step[1]
    except BaseException:
        step = None  # a traceback of this frame would show all clinics' results
        numbered.clear()
        raise
    return [numbered[index] for index in sorted(numbered)]
