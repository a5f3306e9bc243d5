"""A session that the threads of a program share: results, deadlines, interrupts, forks, its end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    DeadlineExceededError,
    ForbiddenError,
    SessionClosedError,
    SessionThread,
)
from arzamed_async.testing import FakeArzamed

ROOT = Path(__file__).parents[1]
BOUND_SECONDS = 60


@pytest.fixture
def arzamed(fake_arzamed: FakeArzamed) -> Iterator[SessionThread]:
    """A session of the fake, for threads."""
    with SessionThread(lambda: ArzamedSession(base_url=fake_arzamed.base_url)) as thread:
        yield thread


def threads() -> list[threading.Thread]:
    """Return the threads that have a session."""
    return [each for each in threading.enumerate() if each.name == "ArzamedSession"]


def test_400_calls_of_8_threads_succeed_with_one_token(
    arzamed: SessionThread, fake_arzamed: FakeArzamed, arzamed_clinic: ClinicCredentials
) -> None:
    """All calls that threads make at once come back with the records, over one session and its one thread."""

    def view(_: int) -> int:
        doctors = arzamed.run(
            lambda session: session.clinic(arzamed_clinic).doctors.list(), deadline_seconds=BOUND_SECONDS
        )
        return len(doctors)

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(view, range(400))) == [3] * 400
    fake_arzamed.assert_token_requests(arzamed_clinic, 1)
    assert len(threads()) == 1


def test_a_deadline_ends_the_call_before_run_returns(
    arzamed: SessionThread, fake_arzamed: FakeArzamed, arzamed_clinic: ClinicCredentials
) -> None:
    """A call that hangs ends in DeadlineExceededError, which is a TimeoutError, once its coroutine has ended."""
    ended = []

    async def work(session: ArzamedSession) -> None:
        try:
            await session.clinic(arzamed_clinic).doctors.list()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    fake_arzamed.script("hang")
    with pytest.raises(
        DeadlineExceededError, match=r"deadline of 0\.2 s exceeded.*deadline_seconds of the run"
    ) as caught:
        arzamed.run(work, deadline_seconds=0.2)
    assert ended == [True]
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.__context__ is None
    assert len(arzamed.run(lambda session: session.clinic(arzamed_clinic).doctors.list())) == 3


def test_an_interrupt_of_the_waiting_thread_cancels_the_coroutine(arzamed: SessionThread) -> None:
    """An exception of a signal handler comes out of run, after the coroutine has ended; the next run works."""
    ended = []

    async def work(session: ArzamedSession) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        try:
            await asyncio.sleep(BOUND_SECONDS)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            arzamed.run(work)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended == [True]
    assert arzamed.run(lambda session: asyncio.sleep(0, "next")) == "next"


def test_an_interrupt_before_the_start_ends_the_run(arzamed: SessionThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is interrupted before the loop has started the work returns, and the work is not started."""
    started = []

    async def work(session: ArzamedSession) -> None:
        started.append(True)

    arzamed.run(lambda session: asyncio.sleep(0))
    loop: Any = arzamed._worker._loop
    queue = loop.call_soon_threadsafe

    def interrupted(callback: Any, *arguments: object) -> None:
        monkeypatch.setattr(loop, "call_soon_threadsafe", queue)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        arzamed.run(work)
    assert arzamed.run(lambda session: asyncio.sleep(0, "next")) == "next"
    assert started == []


def test_an_error_comes_back_with_the_frames_of_the_work_alone(
    arzamed: SessionThread, fake_arzamed: FakeArzamed, arzamed_clinic: ClinicCredentials
) -> None:
    """The traceback leads from run into the work: no frame of futures, tasks or the thread, and no chain."""

    async def helper(session: ArzamedSession) -> None:
        await session.clinic(arzamed_clinic).doctors.list()

    async def work(session: ArzamedSession) -> None:
        await helper(session)

    fake_arzamed.script(403)
    with pytest.raises(ForbiddenError, match="Milano") as caught:
        arzamed.run(work)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[1:5] == ["run", "result", "work", "helper"]
    assert caught.value.__context__ is None


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_the_work_raises_is_raised_here_and_the_thread_goes_on(
    arzamed: SessionThread, error: BaseException
) -> None:
    """Any exception is the caller's, SystemExit included, and the next run has the same thread."""

    async def work(session: ArzamedSession) -> threading.Thread:
        raise error

    async def current(session: ArzamedSession) -> threading.Thread:
        return threading.current_thread()

    thread = arzamed.run(current)
    with pytest.raises(type(error)) as caught:
        arzamed.run(work)
    assert caught.value is error
    assert arzamed.run(current) is thread


def test_a_stray_cancellation_is_an_error_of_the_program(arzamed: SessionThread) -> None:
    """A CancelledError that nothing has caused is a RuntimeError: threads know no cancellation."""

    async def work(session: ArzamedSession) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="nothing had cancelled it"):
        arzamed.run(work)


def test_the_work_runs_in_a_copy_of_the_callers_context(arzamed: SessionThread) -> None:
    """It sees the context variables of the thread that called, and what it sets stays with it."""
    variable = contextvars.ContextVar("variable", default="default")

    async def work(session: ArzamedSession) -> str:
        seen = variable.get()
        variable.set("of the work")
        return seen

    variable.set("of the caller")
    assert arzamed.run(work) == "of the caller"
    assert variable.get() == "of the caller"


def test_the_session_is_opened_once_and_again_after_an_error(fake_arzamed: FakeArzamed) -> None:
    """What open_session raises or returns in error is raised by run, and the next run calls it again."""
    outcomes: list[Any] = [ZeroDivisionError("x"), 5, ArzamedSession(base_url=fake_arzamed.base_url)]

    def open_session() -> Any:
        assert asyncio.get_running_loop()
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def itself(session: ArzamedSession) -> ArzamedSession:
        return session

    with SessionThread(open_session) as arzamed:
        assert not threads()
        with pytest.raises(ZeroDivisionError):
            arzamed.run(itself)
        with pytest.raises(ConfigurationError, match=r"open_session must be .*: it returned int 5"):
            arzamed.run(itself)
        assert arzamed.run(itself) is arzamed.run(itself)


def test_what_cannot_be_awaited_is_refused(arzamed: SessionThread) -> None:
    """A function that returns no awaitable is a mistake, and the error says so; on the own loop, run would never end."""
    with pytest.raises(ConfigurationError, match=r"work must be a coroutine function .*: it returned"):
        arzamed.run(lambda session: session.stats())  # type: ignore[arg-type, return-value]

    async def nested(session: ArzamedSession) -> None:
        arzamed.run(nested)

    with pytest.raises(ConfigurationError, match="run was called on the event loop of this SessionThread"):
        arzamed.run(nested)


def test_closing_ends_what_runs_and_refuses_what_comes(fake_arzamed: FakeArzamed, arzamed_clinic: Any) -> None:
    """A call in flight, and work that waits for something else, end with SessionClosedError; so does a later run."""
    arzamed = SessionThread(lambda: ArzamedSession(base_url=fake_arzamed.base_url))
    fake_arzamed.script("hang")
    running = threading.Barrier(3)

    async def call(session: ArzamedSession) -> object:
        await asyncio.to_thread(running.wait, BOUND_SECONDS)
        return await session.clinic(arzamed_clinic).doctors.list()

    async def wait(session: ArzamedSession) -> object:
        await asyncio.to_thread(running.wait, BOUND_SECONDS)
        return await asyncio.Event().wait()

    with ThreadPoolExecutor(2) as executor:
        runs = [executor.submit(arzamed.run, work) for work in (call, wait)]
        running.wait(BOUND_SECONDS)
        arzamed.close()
        assert [type(run.exception()) for run in runs] == [SessionClosedError] * 2
    assert not threads()
    assert repr(arzamed) == "<SessionThread closed>"
    arzamed.close()
    with pytest.raises(SessionClosedError):
        arzamed.run(call)
    with pytest.raises(SessionClosedError), arzamed:
        pass


@pytest.mark.filterwarnings("ignore:Exception in thread:pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_whose_loop_has_failed_is_replaced(arzamed: SessionThread) -> None:
    """An exception that ends the event loop ends the runs, and the next run has a thread again."""

    async def work(session: ArzamedSession) -> None:
        def fail() -> None:
            raise SystemExit

        asyncio.get_running_loop().call_soon(fail)
        await asyncio.Event().wait()

    async def current(session: ArzamedSession) -> threading.Thread:
        return threading.current_thread()

    thread = arzamed.run(current)
    with pytest.raises(RuntimeError, match="nothing had cancelled it"):
        arzamed.run(work)
    assert arzamed.run(current) is not thread
    thread.join(BOUND_SECONDS)


def test_one_that_is_dropped_ends_its_thread() -> None:
    """The thread of a SessionThread that nothing refers to ends; it does not wait for the end of the program."""
    arzamed = SessionThread()
    arzamed.run(lambda session: asyncio.sleep(0))
    (thread,) = threads()
    del arzamed
    gc.collect()
    thread.join(BOUND_SECONDS)
    assert not threads()


def test_a_forked_child_leaves_the_thread_and_keeps_the_session(arzamed: SessionThread) -> None:
    """What a child does first, done here in the same process: the next run has another thread, and the same session."""

    async def both(session: ArzamedSession) -> tuple[threading.Thread, ArzamedSession]:
        return threading.current_thread(), session

    thread, session = arzamed.run(both)
    worker = arzamed._worker
    loop, over = worker._loop, worker._over
    assert loop is not None
    assert loop in worker.leave_process()  # type: ignore[operator]
    other, same = arzamed.run(both)
    assert other is not thread
    assert same is session
    worker._session = None  # the thread that was left closes nothing
    loop.call_soon_threadsafe(over.set)
    thread.join(BOUND_SECONDS)


PROGRAM = """
import asyncio, multiprocessing, os, sys, warnings
from arzamed_async import ArzamedSession, ClinicCredentials, SessionThread

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
base_url, token_url, client_id, secret = sys.argv[1:]
MILANO = ClinicCredentials(client_id, secret, token_url, name="Milano")


class Session(ArzamedSession):
    async def aclose(self):
        print("closing", flush=True)
        await super().aclose()


arzamed = SessionThread(lambda: Session(base_url=base_url))


def read():
    print(len(arzamed.run(lambda session: session.clinic(MILANO).doctors.list(), deadline_seconds=20)), flush=True)


read()
if hasattr(os, "fork"):
    for _ in range(3):
        child = multiprocessing.get_context("fork").Process(target=read)
        child.start()
        child.join()
        assert child.exitcode == 0
read()
"""


def test_a_program_that_forks_and_does_not_close(fake_arzamed: FakeArzamed, arzamed_clinic: ClinicCredentials) -> None:
    """Parent and children read with one token; the session is closed at the exit of the program, without a warning."""
    secret = arzamed_clinic.client_secret
    assert isinstance(secret, str)
    given = (fake_arzamed.base_url, arzamed_clinic.token_url, arzamed_clinic.client_id, secret)
    # Not in the development mode: its loop logs to stderr what a busy machine makes slow.
    program = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *given],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (program.returncode, program.stderr) == (0, "")
    children = 3 if hasattr(os, "fork") else 0
    assert program.stdout.split() == [*["3"] * (2 + children), "closing"]
    fake_arzamed.assert_token_requests(arzamed_clinic, 1)


def test_the_import_of_the_package_does_not_import_it() -> None:
    """SessionThread is imported where it is first read: it costs other programs nothing."""
    code = "import sys, arzamed_async; print('arzamed_async.session_thread' in sys.modules)"
    program = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert program.stdout.strip() == "False"
