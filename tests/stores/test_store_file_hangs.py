"""FileTokenStore in a folder that hangs: what it takes from the program, and what its callers leave behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import RawServer, until

import arzamed_async
from arzamed_async import ArzamedSession, Lease, StoredToken
from arzamed_async.stores import FileTokenStore
from arzamed_async.stores._worker_pool import MOST_THREADS

KEY, OTHER_KEY = "a" * 64, "b" * 64
TOKEN = StoredToken("invented-token", 0.0, 600.0)


def threads() -> list[threading.Thread]:
    """Return the threads of all stores."""
    return [each for each in threading.enumerate() if each.name == "arzamed-store"]


async def text_of(store: FileTokenStore) -> str:
    kept = await store.load(KEY)
    assert isinstance(kept, StoredToken)
    return kept.access_token


class Mount:
    """A folder of tokens on a mount that hangs while `dead` is set: nothing below it can be opened by a store's calls.

    The thread that removes old files is left out: it may come at any time, and nobody waits for it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dead = False
        self.alive = threading.Event()
        self.entered = 0
        self.open = os.open

    def __call__(self, path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(self.folder)) and threading.current_thread().name == "arzamed-store":
            self.entered += 1
            if self.dead:
                self.alive.wait(300)
        return self.open(path, *arguments, **options)


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    mount = Mount(tmp_path / "tokens")
    asyncio.run(FileTokenStore(mount.folder).save(KEY, TOKEN, None))
    monkeypatch.setattr(os, "open", mount)
    yield mount
    mount.alive.set()
    for each in threads():
        each.join(60)
        assert not each.is_alive()


def test_a_folder_that_hangs_holds_up_neither_calls_nor_other_threads_nor_the_end(mount: Mount) -> None:
    """Twenty clinics are served, asyncio's executor stays free, six daemon threads are left, and asyncio.run returns."""

    async def read() -> float:
        store = FileTokenStore(mount.folder)
        assert await store.acquire(KEY, 60) is not None  # so that there is something to close
        mount.dead = True
        async with (
            RawServer() as server,
            ArzamedSession(base_url=server.base_url, token_store=store) as session,
        ):
            clinics = [session.clinic(server.credentials(f"clinic-{number}")) for number in range(20)]
            results = await asyncio.gather(*(clinic.doctors.list() for clinic in clinics))
            assert [len(each) for each in results] == [3] * 20
            began = time.monotonic()
            assert await asyncio.to_thread(int) == 0
            assert time.monotonic() - began < 60  # and not only when the folder answers
        await store.aclose()
        return time.monotonic()

    ended = asyncio.run(read())
    assert time.monotonic() - ended < 60
    assert not mount.alive.is_set()
    assert 0 < len(threads()) <= MOST_THREADS
    assert all(each.daemon for each in threads())


def test_callers_that_leave_a_folder_that_hangs_leave_nothing_behind(mount: Mount) -> None:
    """Calls that no thread has begun are dropped with their callers; a store can be closed, and serves again when the folder does."""

    async def read() -> None:
        store = FileTokenStore(mount.folder)
        mount.dead = True
        tasks = [asyncio.create_task(store.load(KEY)) for _ in range(MOST_THREADS + 20)]
        await until(lambda: mount.entered == MOST_THREADS)
        async with asyncio.timeout(60):
            await store.aclose()
        for each in tasks:
            each.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*tasks, return_exceptions=True)
        )
        mount.dead = False
        mount.alive.set()
        assert await text_of(store) == TOKEN.access_token
        await until(lambda: not threads())
        assert mount.entered == MOST_THREADS + 1

    asyncio.run(read())


@pytest.mark.parametrize("when", ["hanging", "ended", "loop closed"])
def test_a_lease_whose_caller_left_is_released(mount: Mount, when: str) -> None:
    """It is, whether its caller left before the thread had it, after that, or with the whole event loop."""
    store, other = FileTokenStore(mount.folder), FileTokenStore(mount.folder)
    tasks: list[asyncio.Task[Lease | None]] = []

    async def leave() -> None:
        assert await store.acquire(OTHER_KEY, 60) is not None
        await until(lambda: not threads())
        mount.dead = when != "ended"
        before = mount.entered
        task = asyncio.create_task(store.acquire(KEY, 60))
        await asyncio.sleep(0)
        if when == "ended":
            for each in threads():
                each.join(60)  # the event loop has not heard of it yet
        else:
            await until(lambda: mount.entered > before)
        if when == "loop closed":
            tasks.append(task)
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            return
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def acquire() -> bool:
        lease = await other.acquire(KEY, 60)
        await other.aclose()
        return lease is not None

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    mount.dead = False
    mount.alive.set()
    for each in threads():
        each.join(60)
    assert asyncio.run(acquire())
    asyncio.run(store.aclose())


FORK = """
import asyncio, os, sys, threading, time
from pathlib import Path
from arzamed_async.stores import FileTokenStore
from arzamed_async.stores._worker_pool import MOST_THREADS

store, parent, entered = FileTokenStore(sys.argv[1]), os.getpid(), []
lstat = Path.lstat

def hangs(path):
    if os.getpid() == parent:
        entered.append(path)
        time.sleep(600)
    return lstat(path)

async def main():
    tasks = [asyncio.create_task(store.load("a" * 64)) for _ in range(MOST_THREADS + 1)]
    while len(entered) < MOST_THREADS:
        await asyncio.sleep(0.002)
    if os.fork() == 0:
        asyncio.events._set_running_loop(None)
        kept = asyncio.run(asyncio.wait_for(store.load("a" * 64), 60))
        os._exit(0 if kept.access_token == "invented-token" else 3)
    print(os.waitstatus_to_exitcode(os.wait()[1]))

Path.lstat = hangs
asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_starts_with_no_threads_and_the_parent_ends_at_once(mount: Mount) -> None:
    """While all threads of the parent hang, the child's own load works; neither process waits for a thread at its end."""
    root = str(Path(arzamed_async.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(mount.folder)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)


@pytest.mark.asyncio
async def test_a_store_can_be_sent_to_another_process(mount: Mount) -> None:
    """A pickled store comes back with threads of its own."""
    store: FileTokenStore = pickle.loads(pickle.dumps(FileTokenStore(mount.folder)))
    assert await text_of(store) == TOKEN.access_token


@pytest.mark.asyncio
async def test_a_system_that_starts_no_more_threads(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call fails as an outage, a caller that leaves is cancelled as ever, and the store works again later."""
    store = FileTokenStore(mount.folder)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    task = asyncio.create_task(store.acquire(OTHER_KEY, 60))
    await asyncio.sleep(0)
    for each in threads():
        each.join(60)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="no thread can be started"):
            await store.load(KEY)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await text_of(store) == TOKEN.access_token
    await store.aclose()
