"""Blocking calls in a session's own threads: who gets one, what hangs, and what the end of the program waits for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import until

from arzamed_async import ConfigurationError
from arzamed_async._concurrency import threads as threads_module
from arzamed_async._concurrency.threads import MOST_THREADS, BlockingCall, Threads

pytestmark = pytest.mark.asyncio


class Place:
    """Where calls hang until they are let go; it counts the threads inside."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.began: list[object] = []

    def hang(self, key: object) -> Callable[[], object]:
        def work() -> object:
            self.began.append(key)
            self.gate.wait(30)
            return key

        return work

    def quick(self, key: object) -> Callable[[], object]:
        def work() -> object:
            self.began.append(key)
            return key

        return work


def ours() -> int:
    """Return how many threads of ours there are."""
    return sum(each.name == "arzamed-blocking" for each in threading.enumerate())


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(threads_module, "SLOW_SECONDS", 0.02)
    place = Place()
    yield place
    place.gate.set()
    for each in threading.enumerate():
        if each.name == "arzamed-blocking":
            each.join(60)


def hanging(threads: Threads, place: Place, keys: list[str], family: str = "") -> list[asyncio.Task[object]]:
    return [asyncio.create_task(threads.call(key, family or key, place.hang(key)).wait()) for key in keys]


async def leave(tasks: list[asyncio.Task[object]]) -> None:
    """Cancel callers, as their deadlines do."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_callers_of_a_key_share_one_call(place: Place) -> None:
    """While a call is under way no second one is started under its key; all its callers get what it returns."""
    threads = Threads()
    callers = hanging(threads, place, ["a"] * 50)
    await until(lambda: place.began == ["a"])
    late = hanging(threads, place, ["a"])
    await asyncio.sleep(0)
    place.gate.set()
    assert await asyncio.gather(*callers, *late) == ["a"] * 51
    assert place.began == ["a"]
    await until(lambda: ours() == 0)


async def test_a_caller_that_leaves_disturbs_no_other(place: Place) -> None:
    """The call goes on for those that still wait; and also if nobody does, so that the next caller joins it."""
    threads = Threads()
    first, second = hanging(threads, place, ["a", "a"])
    await until(lambda: place.began == ["a"])
    await leave([first, second])
    third = hanging(threads, place, ["a"])[0]
    await asyncio.sleep(0)
    place.gate.set()
    assert await third == "a"
    assert place.began == ["a"]


async def test_each_caller_gets_an_error_of_its_own(place: Place) -> None:
    """What the call raises is copied for each caller: they add facts to it."""

    def fail() -> object:
        place.gate.wait(30)
        raise ConfigurationError("an invented fault")

    threads = Threads()
    callers = [asyncio.create_task(threads.call("a", "", fail).wait()) for _ in range(2)]
    await asyncio.sleep(0.01)
    place.gate.set()
    first, second = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(first, ConfigurationError)
    assert str(first) == str(second) == "an invented fault"
    assert first is not second


async def test_a_call_that_ends_before_it_is_awaited_is_not_waited_for(place: Place) -> None:
    """A caller that joins a call in the moment in which it ends gets its value."""
    threads = Threads()
    first = asyncio.create_task(threads.call("a", "", place.hang("a")).wait())
    await until(lambda: place.began == ["a"])
    joined: BlockingCall[object] = threads.call("a", "", place.hang("a"))
    place.gate.set()
    await until(lambda: joined.ended)
    async with asyncio.timeout(60):
        assert await joined.wait() == "a"
    assert await first == "a"


DEAD, GOOD = [f"dead{n}" for n in range(12)], [f"good{n}" for n in range(30)]
MIXED = [key for n in range(12) for key in (DEAD[n], *GOOD[2 * n : 2 * n + 2])] + GOOD[24:]


@pytest.mark.parametrize(
    ("keys", "families"),
    [(DEAD + GOOD, False), (GOOD + DEAD, False), (MIXED, True)],
    ids=["hanging first", "hanging last", "mixed, in families"],
)
async def test_a_dozen_keys_that_hang_do_not_starve_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, keys: list[str], families: bool
) -> None:
    """Of 42 new keys 12 hang: the other 30 are served, and there are never more than twelve threads.

    Time passes only where all threads hang: else a quick call would hang, too, on a machine that is busy for a moment.
    """
    threads, most, now = Threads(), 0, 0.0
    monkeypatch.setattr(threads_module, "time", SimpleNamespace(monotonic=lambda: now))

    def time_passes() -> None:
        nonlocal now
        with threads._lock:
            if all(key in DEAD and key in place.began for key in threads._running):
                now += 1.0

    served: set[asyncio.Task[object]] = set()
    bad: list[asyncio.Task[object]] = []
    for key in keys:
        work = place.hang(key) if key in DEAD else place.quick(key)
        task = asyncio.create_task(threads.call(key, key[:4] if families else key, work).wait())
        bad.append(task) if key in DEAD else served.add(task)
    async with asyncio.timeout(60):
        while served:
            _, served = await asyncio.wait(served, timeout=0.002)
            most = max(most, ours())
            time_passes()

    def all_but_two_began() -> bool:
        time_passes()
        return len(set(place.began) & set(DEAD)) >= MOST_THREADS - 2  # the others wait

    await until(all_but_two_began)
    await asyncio.sleep(0.1)
    assert max(most, ours()) <= MOST_THREADS
    await leave(bad)


async def test_what_was_quick_always_finds_a_thread(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many new keys hang, one thread is kept for those whose last call was quick."""
    threads = Threads()
    with monkeypatch.context() as patch:
        patch.setattr(threads_module, "SLOW_SECONDS", 600.0)  # it is quick on a busy machine, too
        await threads.call("known", "", place.quick("known")).wait()
    bad = hanging(threads, place, [f"dead{n}" for n in range(40)])
    await until(lambda: ours() == MOST_THREADS - 1)
    await asyncio.sleep(0.2)
    assert ours() == MOST_THREADS - 1
    async with asyncio.timeout(60):
        assert await threads.call("known", "", place.quick("known")).wait() == "known"
    await leave(bad)


async def test_keys_that_hung_last_time_leave_threads_for_new_ones(place: Place) -> None:
    """At most eight threads go to keys whose last call hung: new ones find one in the next round."""
    threads, keys = Threads(), [f"dead{n}" for n in range(10)]
    bad = hanging(threads, place, keys)
    await until(lambda: len(place.began) == 10)
    await leave(bad)
    place.gate.set()
    await until(lambda: ours() == 0)
    place.gate.clear()
    place.began.clear()
    bad = hanging(threads, place, keys)
    await until(lambda: ours() == 8)
    await asyncio.sleep(0.2)
    assert ours() == 8
    async with asyncio.timeout(60):
        assert await threads.call("new", "", place.quick("new")).wait() == "new"
    await leave(bad)


async def test_what_several_callers_wait_for_goes_first(place: Place) -> None:
    """A new key with two callers overtakes those with one, as the API's host does among those of tokens."""
    threads = Threads()
    bad = hanging(threads, place, [f"dead{n}" for n in range(8)])
    await until(lambda: len(place.began) == 8)
    queued = hanging(threads, place, ["other0", "other1"])
    await asyncio.sleep(0)
    wanted = [asyncio.create_task(threads.call("wanted", "", place.quick("wanted")).wait()) for _ in range(2)]
    async with asyncio.timeout(60):
        await asyncio.gather(*wanted)
    assert place.began.index("wanted") <= 9
    await leave(bad + queued)


async def test_a_call_that_nobody_waits_for_any_more_never_starts(place: Place) -> None:
    """A caller whose time is up before there was a thread takes its call with it."""
    threads = Threads()
    bad = hanging(threads, place, [f"dead{n}" for n in range(20)])
    await until(lambda: ours() == MOST_THREADS - 1)
    started = set(place.began)
    await leave(bad)
    place.gate.set()
    await until(lambda: ours() == 0)
    assert set(place.began) == started


async def test_a_forked_child_starts_with_no_threads(place: Place) -> None:
    """A call that is under way in the parent is none of the child's: there the same key begins anew."""
    threads = Threads()
    bad = hanging(threads, place, [f"dead{n}" for n in range(12)])
    await until(lambda: ours() == MOST_THREADS - 1)
    kept = threads.leave_process()  # as it is called in the child
    async with asyncio.timeout(60):
        assert await threads.call("dead0", "", place.quick("quick")).wait() == "quick"
    for task in bad:
        task.cancel()
    await asyncio.wait(bad)
    assert kept


async def test_where_no_thread_can_be_started_the_call_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that allows no more threads is an OSError for the caller, and no hang."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    async with asyncio.timeout(60):
        with pytest.raises(OSError, match="no thread can be started"):
            await Threads().call("a", "", place.quick("a")).wait()


PROGRAM = """
import asyncio, os, socket, sys, threading, time
from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials, RetryPolicy, SecretFromFile, Timeouts

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()

async def main():
    timeouts = Timeouts(connect_seconds=0.2)
    async with ArzamedSession(base_url="https://api.invalid", timeouts=timeouts, retry=RetryPolicy.none()) as session:
        for secret in ("invented", SecretFromFile(sys.argv[1])):
            clinic = session.clinic(ClinicCredentials("id", secret, "https://auth.invalid/token"))
            try:
                await clinic.doctors.list()
            except ArzamedError as error:
                print(error)
    print([each.name for each in threading.enumerate() if each.name.startswith("asyncio")])

started = time.monotonic()
asyncio.run(main())
print(time.monotonic() - started < 60)
"""


async def test_the_program_ends_though_threads_hang(tmp_path: Path) -> None:
    """With a name server and a secret's file that hang, asyncio.run returns, the program ends, and asyncio has no thread."""
    pipe = tmp_path / "secret"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", PROGRAM, str(pipe)]
    ended = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with asyncio.timeout(60):
        out, err = await ended.communicate()
    lines = out.decode().splitlines()
    assert err == b""
    assert "the look-up of auth.invalid has not ended" in lines[0]
    assert f"the secret file {pipe} cannot be read within connect_seconds (it hangs)" in lines[1]
    assert lines[2:] == ["[]", "True"]
