"""Each clinic of a fan-out or merge has a context of its own; the caller's iterator has one, too."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from support import settle

from arzamed_async import ArzamedSession, Clinic, ClinicCredentials, Finished

pytestmark = pytest.mark.asyncio

tenant: ContextVar[str] = ContextVar("tenant", default="none")


def credentials(count: int) -> list[ClinicCredentials]:
    return [ClinicCredentials(f"id{n}", "invented", "http://127.0.0.1:9/token", name=f"c{n}") for n in range(count)]


class Seen:
    """Notes what each clinic sees of the variable, then sets it to the clinic's name."""

    def __init__(self) -> None:
        self.by_clinic: dict[str, list[str]] = {}

    def note(self, clinic: Clinic) -> None:
        self.by_clinic.setdefault(clinic.name, []).append(tenant.get())
        tenant.set(clinic.name)

    async def fetch(self, clinic: Clinic) -> None:
        self.note(clinic)
        await asyncio.sleep(0)
        self.note(clinic)

    async def stream(self, clinic: Clinic) -> AsyncIterator[int]:
        for number in range(3):
            self.note(clinic)
            await asyncio.sleep(0)
            yield number

    def opened(self, clinic: Clinic) -> AsyncIterator[int]:
        self.note(clinic)
        return self.stream(clinic)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_fetch_sees_the_callers_context_and_no_other_clinics(concurrency: int) -> None:
    """A variable set in one fetch is not seen in another one, nor by the caller; that of the caller is seen in all."""
    seen = Seen()
    tenant.set("caller")
    async with ArzamedSession() as session:
        await session.gather(credentials(7), seen.fetch, concurrency=concurrency)
    assert seen.by_clinic == {f"c{n}": ["caller", f"c{n}"] for n in range(7)}
    assert tenant.get() == "caller"


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_every_step_of_a_stream_is_in_its_clinics_context(concurrency: int) -> None:
    """In a merge, open_stream and each step of its stream share one context, which is that clinic's own."""
    seen = Seen()
    tenant.set("caller")
    async with ArzamedSession() as session, session.merge(credentials(7), seen.opened, concurrency=concurrency) as got:
        finished = [each for each in [each async for each in got] if isinstance(each, Finished)]
    assert len(finished) == 7
    assert seen.by_clinic == {f"c{n}": ["caller"] + [f"c{n}"] * 3 for n in range(7)}
    assert tenant.get() == "caller"


async def test_the_context_is_that_of_the_start() -> None:
    """What the consumer sets between two outcomes is not seen by clinics that are drawn after it."""
    seen = Seen()
    tenant.set("start")
    async with ArzamedSession() as session, session.fan_out(credentials(4), seen.fetch, concurrency=1) as outcomes:
        async for _ in outcomes:
            tenant.set("later")
    assert {first for first, _ in seen.by_clinic.values()} == {"start"}


class Rows:
    """A generator of clinics that holds a context variable, and where async a timeout, across each `yield`."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def plain(self) -> Iterator[ClinicCredentials]:
        token = tenant.set("rows")
        try:
            for each in credentials(6):
                self.log.append(tenant.get())
                yield each
        finally:
            tenant.reset(token)  # a ValueError in another context
            self.log.append("closed")

    async def asynchronous(self) -> AsyncIterator[ClinicCredentials]:
        token = tenant.set("rows")
        try:
            async with asyncio.timeout(60):  # a RuntimeError in another task
                for each in credentials(6):
                    self.log.append(tenant.get())
                    await asyncio.sleep(0)
                    yield each
        finally:
            await asyncio.sleep(0)
            tenant.reset(token)
            self.log.append("closed")


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
@pytest.mark.parametrize("early", [False, True])
async def test_a_generator_of_clinics_runs_in_one_context(kind: str, *, early: bool) -> None:
    """A generator's steps and its end share one context, which neither the fetches nor the caller see or change."""
    rows, seen = Rows(), Seen()
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    async with ArzamedSession() as session:
        async with session.fan_out(getattr(rows, kind)(), seen.fetch, concurrency=2) as outcomes:
            async for _ in outcomes:
                if early:
                    break
    assert rows.log[-1] == "closed"
    assert set(rows.log[:-1]) == {"rows"}
    assert {first for first, *_ in seen.by_clinic.values()} == {"none"}
    assert tenant.get() == "none"
    assert problems == []


def opened(session: ArzamedSession, what: str, source: Any, fetch: Any) -> Any:
    async def stream(clinic: Clinic) -> AsyncIterator[int]:
        await fetch(clinic)
        yield 1

    return session.merge(source, stream, concurrency=2) if what == "merge" else session.fan_out(source, fetch)


async def succeed(clinic: Clinic) -> None:
    """Return at once."""


async def hang(clinic: Clinic) -> None:
    """Never return."""
    await asyncio.Event().wait()


async def fail(clinic: Clinic) -> None:
    """Have a bug."""
    raise ZeroDivisionError


async def count_slowly(steps: list[int]) -> None:
    """Take five turns of the event loop, and note each."""
    for step in range(5):
        await asyncio.sleep(0)
        steps.append(step)


async def use(results: Any, how: str) -> None:
    if how == "dropped":
        async for _ in results:
            return
    async with results:
        async for _ in results:
            if how == "exception":
                raise LookupError
            break
        if how == "aclose":
            await results.aclose()


@pytest.mark.filterwarnings("ignore:.*dropped half-way:ResourceWarning")
@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
@pytest.mark.parametrize("what", ["fan_out", "merge"])
@pytest.mark.parametrize("how", ["break", "exception", "aclose", "bug", "cancelled", "dropped"])
async def test_a_generator_of_clinics_is_closed_when_a_fan_out_is_left(how: str, what: str, kind: str) -> None:
    """However a fan-out is left, its generator has ended by then, although the caller still holds it."""
    rows = Rows()
    source = getattr(rows, kind)()
    fetch = {"bug": fail, "cancelled": hang}.get(how, succeed)
    async with ArzamedSession() as session:
        work = asyncio.create_task(use(opened(session, what, source, fetch), how))
        await settle()
        work.cancel()
        await asyncio.wait([work])
        if how == "dropped":  # whose finalizer cannot wait
            await settle()
    assert rows.log[-1] == "closed"
    if not work.cancelled():
        assert isinstance(work.exception(), {"exception": LookupError, "bug": ZeroDivisionError}.get(how, type(None)))


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_a_generator_that_was_never_started_is_closed_too(kind: str) -> None:
    """After an `async with` without a step, the generator of clinics yields nothing any more."""
    source: Any = getattr(Rows(), kind)()
    async with ArzamedSession() as session, session.fan_out(source, succeed):
        pass
    assert list(source) == [] if kind == "plain" else [each async for each in source] == []


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_a_generator_that_fails_at_its_end_is_reported(kind: str) -> None:
    """An exception raised while a generator of clinics is closed goes to the event loop's exception handler."""
    problems: list[dict[str, Any]] = []

    def plain() -> Iterator[ClinicCredentials]:
        try:
            yield from credentials(3)
        finally:
            raise LookupError

    async def asynchronous() -> AsyncIterator[ClinicCredentials]:
        try:
            for each in credentials(3):
                yield each
        finally:
            raise LookupError

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    async with ArzamedSession() as session:
        async with session.fan_out(plain() if kind == "plain" else asynchronous(), succeed, concurrency=1) as outcomes:
            await anext(outcomes)
    assert [type(each["exception"]) for each in problems] == [LookupError]


async def test_the_end_of_a_generator_is_not_interrupted() -> None:
    """What an async generator awaits in its `finally` comes to its end, although a bug and aclose both end the fan-out."""
    steps: list[int] = []

    async def rows() -> AsyncIterator[ClinicCredentials]:
        try:
            for each in credentials(3):
                yield each
        finally:
            await count_slowly(steps)

    async with ArzamedSession() as session:
        with pytest.raises(ZeroDivisionError):
            await session.gather(rows(), fail, concurrency=2)
    assert steps == [0, 1, 2, 3, 4]


class SlowToClose:
    """An iterator of two clinics whose `aclose` takes a while."""

    def __init__(self) -> None:
        self.left = credentials(2)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[ClinicCredentials]:
        return self

    async def __anext__(self) -> ClinicCredentials:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()

    async def aclose(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.closed = True


@pytest.mark.parametrize("turns", [0, 5, 40])
async def test_an_iterator_that_is_slow_to_close_is_no_bug(turns: int) -> None:
    """At the end of a plain `async for` such an iterator is closed, however long the consumer took for the last outcome."""
    source = SlowToClose()
    seen = 0
    async with ArzamedSession() as session:
        async for outcome in session.fan_out(source, succeed):
            outcome.unwrap()
            seen += 1
            for _ in range(turns):
                await asyncio.sleep(0)
    assert seen == 2
    assert source.closed


async def test_the_end_of_a_fetch_is_not_interrupted() -> None:
    """What a fetch awaits in its `finally` comes to its end, although a bug and aclose both end the fan-out."""
    steps: list[int] = []

    async def fetch(clinic: Clinic) -> None:
        if clinic.name == "c1":
            await asyncio.sleep(0)
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
        finally:
            await count_slowly(steps)

    async with ArzamedSession() as session:
        with pytest.raises(ZeroDivisionError):
            await session.gather(credentials(2), fetch)
    assert steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("what", ["fan_out", "merge"])
@pytest.mark.parametrize("around", ["nothing", "a task group", "a timeout", "a deadline"])
async def test_a_cancellation_that_nobody_asked_for_is_raised(around: str, what: str) -> None:
    """A fetch that awaits what others have cancelled is a bug that is raised, also through task groups and timeouts."""

    async def fetch(clinic: Clinic) -> None:
        if clinic.name == "c3":
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled

    async def consume(session: ArzamedSession) -> None:
        results = opened(session, what, credentials(5), fetch)
        if around == "a deadline" and what == "fan_out":
            results = session.fan_out(credentials(5), fetch, deadline_seconds=60)
        async with results:
            async for _ in results:
                pass

    async with ArzamedSession() as session:
        if around == "a task group":
            with pytest.raises(ExceptionGroup) as group:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(consume(session))
            (bug,) = group.value.exceptions
        else:
            with pytest.raises(RuntimeError) as caught:
                async with asyncio.timeout(60 if around == "a timeout" else None):
                    await consume(session)
            bug = caught.value
    assert str(bug).startswith("CancelledError was raised here")
    assert "fetch" in [frame.name for frame in traceback.extract_tb(bug.__traceback__)]


@pytest.mark.parametrize("where", ["its own task", "on_progress", "the generator", "the async generator"])
async def test_other_cancellations_that_nobody_asked_for(where: str) -> None:
    """So is a CancelledError out of a cancelled task, on_progress or a generator of clinics: no outcome is missing silently."""

    async def fetch(clinic: Clinic) -> None:
        if where == "its own task":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    def progress(done: int, failed: int, total: int | None) -> None:
        if where == "on_progress":
            raise asyncio.CancelledError

    def rows() -> Iterator[ClinicCredentials]:
        yield from credentials(2)
        if where == "the generator":
            raise asyncio.CancelledError

    async def async_rows() -> AsyncIterator[ClinicCredentials]:
        for each in credentials(2):
            yield each
        raise asyncio.CancelledError

    source: Any = async_rows() if where == "the async generator" else rows()
    async with ArzamedSession() as session:
        with pytest.raises(RuntimeError, match="CancelledError was raised here"):
            await session.gather(source, fetch, on_progress=progress)


async def test_the_end_of_a_program_cancels_without_noise() -> None:
    """Where all tasks of a loop are cancelled, as asyncio.run does at its end, nothing is reported as a bug."""

    async def consume() -> None:
        async with ArzamedSession() as session, session.fan_out(credentials(3), hang) as outcomes:
            async for _ in outcomes:
                pass

    before = asyncio.all_tasks()
    consumer = asyncio.create_task(consume())
    await settle()
    tasks = asyncio.all_tasks() - before
    assert len(tasks) == 4
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert consumer.cancelled()
    assert all(task.cancelled() for task in tasks)


@pytest.mark.parametrize("kind", ["list", "plain", "asynchronous"])
async def test_eager_tasks(kind: str) -> None:
    """With asyncio.eager_task_factory (Python 3.12), each clinic has one outcome and a context of its own all the same."""

    async def at_once(clinic: Clinic) -> str:
        seen.note(clinic)
        return clinic.name

    loop, seen, rows = asyncio.get_running_loop(), Seen(), Rows()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory", None))
    source: Any = credentials(6) if kind == "list" else getattr(rows, kind)()
    async with ArzamedSession() as session:
        got = await session.gather(source, at_once, concurrency=2)
    assert [outcome.unwrap() for outcome in got] == [f"c{n}" for n in range(6)]
    assert seen.by_clinic == {f"c{n}": ["none"] for n in range(6)}
    assert kind == "list" or rows.log[-1] == "closed"
