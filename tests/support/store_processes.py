"""What test_store_file.py runs in processes of its own: `python store_processes.py SCENARIO FOLDER [SEED]`.

Each scenario forks its children before it has any thread, and fails by an AssertionError that `check` raises: an
`assert`, and the call in it, would not be run under PYTHONOPTIMIZE.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import logging
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from arzamed_async import ConfigurationError, Lease, StoredToken
from arzamed_async.stores import FileTokenStore

LONG = 600.0
CAP_DAC_READ_SEARCH = 1 << 2
KEYS = [f"{n:064x}" for n in range(1, 4)]
SHARED = "f" * 64
#: Long enough for a temporary file to be more than one block.
TEXTS = [letter * 8192 for letter in "abcd"]

warnings: list[str] = []


def check(fact: bool, otherwise: str = "not so") -> None:
    if not fact:
        raise AssertionError(otherwise)


class Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warnings.append(record.getMessage())


def token(text: str) -> StoredToken:
    return StoredToken(text, 0.0, LONG)


def fork(child: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Start a child that runs a coroutine; its exit status is 0 where that ended well."""
    end = time.monotonic() + 60
    while len(list(Path("/proc/self/task").iterdir())) > 1 and time.monotonic() < end:
        time.sleep(0.001)  # a store's thread that has made its last call is about to end
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        asyncio.run(child())
        status = 0
    finally:
        os._exit(status)


def end(pid: int, expected: int = 0) -> None:
    """Wait for a child: `expected` is its exit status, or minus the signal."""
    check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == expected)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    end(pid, -signal.SIGKILL)


async def work_until_killed(folder: Path, ready: int) -> None:
    store = FileTokenStore(folder)
    rng = random.Random(os.getpid())
    parent = os.getppid()
    while os.getppid() == parent:  # a test that is killed leaves nobody behind
        for key in KEYS:
            lease = await store.acquire(key, LONG)
            check(lease is not None, "the last holder is dead: its lease is free")
            if ready:
                os.write(ready, b"!")
                ready = 0
            check(await store.save(key, token(rng.choice(TEXTS)), lease))
            if rng.random() < 0.5:
                await store.discard(key, rng.choice(TEXTS))
            await store.renew(lease, LONG)
            await store.release(lease)


def killed(folder: Path, seed: int) -> None:
    """Kill a worker at random instants; after each, all is whole and free."""
    rng = random.Random(seed)
    logging.getLogger("arzamed_async").addHandler(Warnings())
    latest = dict.fromkeys(KEYS, 0)
    held = half_written = 0

    async def look() -> None:
        nonlocal held
        store = FileTokenStore(folder)
        for key in KEYS:
            kept = await store.load(key)
            check(kept is None or (isinstance(kept, StoredToken) and str(kept.access_token) in TEXTS))
            lease = await store.acquire(key, LONG)
            check(lease is not None, "a dead process has a lease")
            check(lease.fence > latest[key])
            latest[key] = lease.fence
            await store.release(lease)
        held += len(list(folder.glob("*.alive"))) == 1
        await store.aclose()

    for _ in range(80):
        end_of_pipe, ready = os.pipe()
        pid = fork(lambda ready=ready: work_until_killed(folder, ready))
        os.close(ready)
        check(os.read(end_of_pipe, 1) == b"!")
        os.close(end_of_pipe)
        time.sleep(rng.random() * 0.03)
        kill(pid)
        half_written += any(folder.glob("*.tmp"))
        asyncio.run(look())
    check(held == 80, "the files of dead processes are swept")
    check(not list(folder.glob("*.alive")))
    check(not list(folder.glob("*.tmp")))
    check(not warnings)
    print(f"seed {seed}: killed 80 times, {half_written} times within a write")  # noqa: T201 - shown where the test fails


def full(folder: Path, seed: int) -> None:
    """Let the disk be full: nothing is lost, nothing half-written stays, and later it works again."""

    async def main() -> None:
        store = FileTokenStore(folder)
        lease = await store.acquire(KEYS[0], LONG)
        check(lease is not None)
        check(await store.save(KEYS[0], token("kept"), lease))
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, unlimited[1]))
        for call in (
            store.save(KEYS[0], token(TEXTS[0]), lease),
            store.save(KEYS[1], token(TEXTS[0]), None),
        ):
            try:
                await call
            except OSError as error:
                check(error.errno == errno.EFBIG, str(error))
            else:
                raise AssertionError("there was no room")
        kept = await store.load(KEYS[0])
        check(isinstance(kept, StoredToken))
        check(kept.access_token == "kept")
        check(await store.load(KEYS[1]) is None)
        check(not list(folder.glob("*.tmp")))
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        check(await store.save(KEYS[1], token(TEXTS[0]), None))

    asyncio.run(main())


def give_up_roots_write_access() -> None:
    """Let permissions hold for root, too, but go on reading: checkout, Python and TMPDIR may be root's alone.

    That is why no other user is taken: the next import would fail, or the folder not be reached. Linux keeps
    capabilities for each thread; threads that start later have their starter's.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3; this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable: low words, then high words
    check(libc.capget(header, sets) == 0, "capget failed")
    sets[:] = [sets[0] & CAP_DAC_READ_SEARCH, sets[1] & CAP_DAC_READ_SEARCH, 0, 0, 0, 0]
    check(libc.capset(header, sets) == 0, "capset failed")


def read_only(folder: Path, seed: int) -> None:
    """Let the folder be read-only, and root be bound by it as others are: it can be read, and not written."""

    async def write(to: Path) -> None:
        store = FileTokenStore(to)
        await store.save(KEYS[0], token("kept"), None)
        check(await store.acquire(KEYS[0], LONG))
        await store.aclose()

    async def main() -> None:
        store = FileTokenStore(folder)
        kept = await store.load(KEYS[0])
        check(isinstance(kept, StoredToken))
        check(kept.access_token == "kept")
        for call in (store.save(KEYS[1], token("new"), None), store.acquire(KEYS[1], LONG)):
            try:
                await call
            except ConfigurationError:
                raise AssertionError("nothing is wrong with the folder but that it is read-only") from None
            except PermissionError:
                continue
            raise AssertionError("a read-only folder has been written")
        below = FileTokenStore(folder / "below" / "it")
        check(await below.load(KEYS[0]) is None)
        with contextlib.suppress(PermissionError):
            await below.save(KEYS[0], token("new"), None)
            raise AssertionError("a folder was made where there may be none")

    if os.geteuid() == 0:
        give_up_roots_write_access()
    asyncio.run(write(folder))
    folder.chmod(0o500)
    asyncio.run(main())
    folder.chmod(0o700)


def forked(folder: Path, seed: int) -> None:
    """Let a store go through a fork: parent and child are holders of their own."""
    store, other = FileTokenStore(folder), FileTokenStore(folder)

    async def acquire(of: FileTokenStore, key: str) -> Lease | None:
        return await of.acquire(key, LONG)

    async def child() -> None:
        check(await acquire(store, KEYS[1]) is not None)
        check(await acquire(store, KEYS[0]) is None)
        os.kill(os.getpid(), signal.SIGKILL)

    async def child_that_ends() -> None:
        check(await acquire(store, KEYS[1]) is not None)

    check(asyncio.run(acquire(store, KEYS[0])) is not None)
    end(fork(child), -signal.SIGKILL)
    check(asyncio.run(acquire(other, KEYS[0])) is None, "a child's death has ended its parent's lease")
    end(fork(child_that_ends))
    check(asyncio.run(acquire(other, KEYS[0])) is None, "a child's end has ended its parent's lease")
    check(asyncio.run(acquire(other, KEYS[1])) is not None, "a dead child has a lease")


def raced(folder: Path, seed: int) -> None:
    """Let four processes race for one lease, round by round: one has it at a time, and its numbers go up."""
    rounds, parent = 40, os.getpid()
    inside, last = folder.parent / "inside", folder.parent / "last"
    last.write_text("0")

    async def child() -> None:
        store = FileTokenStore(folder)
        done = 0
        while done < rounds:
            check(os.getppid() == parent, "a test that is killed leaves nobody behind")
            lease = await store.acquire(SHARED, LONG)
            if lease is None:
                await asyncio.sleep(0.001)
                continue
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where another is inside
            check(lease.fence > int(last.read_text()))
            last.write_text(str(lease.fence))
            check(await store.save(SHARED, token(f"of-{lease.fence}"), lease))
            kept = await store.load(SHARED)
            check(isinstance(kept, StoredToken))
            check(kept.access_token == f"of-{lease.fence}")
            inside.unlink()
            await store.release(lease)
            done += 1

    for pid in [fork(child) for _ in range(4)]:
        end(pid)


if __name__ == "__main__":
    scenarios = {each.__name__: each for each in (killed, full, read_only, forked, raced)}
    scenarios[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
