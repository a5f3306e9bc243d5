"""What a session owns ends with it: scopes, tasks, and the responses it holds open."""

from __future__ import annotations

import asyncio

import pytest
from support import settle

from arzamed_async import SessionClosedError
from arzamed_async._concurrency import lifetime as module
from arzamed_async._concurrency.lifetime import Lifetime


class Held:
    """A response that counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


async def work(lifetime: Lifetime, end: asyncio.Event) -> str | None:
    """Wait within a scope, take a turn to end, and return what ended it."""
    scope = lifetime.scope(1000.0)
    with scope:
        await asyncio.Event().wait()
    await settle()
    end.set()
    return scope.cancelled_by


@pytest.mark.asyncio
async def test_the_end_waits_for_the_tasks_of_the_session() -> None:
    """Close ends the work of a task by its scope, and `ended` returns after the task has."""
    lifetime, end = Lifetime(), asyncio.Event()
    lifetime.enter()
    task = lifetime.spawn(work(lifetime, end))
    await settle()
    lifetime.close()
    assert not end.is_set()
    await lifetime.ended()
    assert end.is_set()
    assert task.result() == "closed"


@pytest.mark.asyncio
async def test_a_task_that_had_no_step_yet_is_waited_for() -> None:
    """A task that was spawned in the very tick of the close finds the session closed, and is not left behind."""
    lifetime = Lifetime()
    lifetime.enter()
    task = lifetime.spawn(work(lifetime, asyncio.Event()))
    lifetime.close()
    await lifetime.ended()
    assert task.done()
    assert isinstance(task.exception(), SessionClosedError)


@pytest.mark.asyncio
async def test_a_task_that_may_outlive_the_session_gets_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits a moment for a task that may outlive the session, and neither cancels it nor waits for longer."""
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.01)
    lifetime, gate = Lifetime(), asyncio.Event()
    lifetime.enter()
    quick, slow = lifetime.spawn_outliving(settle()), lifetime.spawn_outliving(gate.wait())
    lifetime.close()
    await lifetime.ended()
    assert (quick.done(), slow.done()) == (True, False)
    gate.set()
    assert await slow


@pytest.mark.asyncio
async def test_nothing_is_logged_of_a_task_that_outlives_and_fails() -> None:
    """The exception of a task that nobody waits for is not reported to the event loop."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    async def fail() -> None:
        raise ZeroDivisionError

    lifetime = Lifetime()
    lifetime.enter()
    lifetime.spawn_outliving(fail())
    await settle()
    lifetime.close()
    await lifetime.ended()
    assert reported == []


@pytest.mark.asyncio
async def test_what_is_held_open_is_closed_with_the_session_and_once() -> None:
    """A response that is held open is closed at the end; one that was let go is closed then, and not again."""
    lifetime, kept, gone = Lifetime(), Held(), Held()
    lifetime.enter()
    lifetime.hold_open(kept)
    lifetime.hold_open(gone)
    lifetime.let_go(gone)
    lifetime.close()
    lifetime.close()
    assert (kept.closed, gone.closed) == (1, 1)
    with pytest.raises(SessionClosedError):
        lifetime.enter()


def test_parts_leave_a_loop_that_no_longer_runs() -> None:
    """Each part is asked once for each new loop to drop what belongs to the former; tasks left there are not awaited."""
    lifetime = Lifetime()
    left: list[str] = []
    lifetime.on_new_loop(lambda: left.append("left"))
    former = asyncio.new_event_loop()

    async def start() -> None:
        lifetime.enter()
        lifetime.enter()
        tasks.append(lifetime.spawn(asyncio.Event().wait()))

    async def end() -> None:
        lifetime.enter()
        lifetime.close()
        async with asyncio.timeout(60):
            await lifetime.ended()

    tasks: list[asyncio.Task[bool]] = []
    former.run_until_complete(start())
    asyncio.run(end())
    assert left == ["left", "left"]
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        former.run_until_complete(tasks[0])
    former.close()
