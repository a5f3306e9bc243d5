"""FileTokenStore: the contract, and what only a store of files can meet."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import filelock
import pytest

import arzamed_async
from arzamed_async import ConfigurationError, StoredRejection, StoredToken, TokenStore
from arzamed_async.stores import FileTokenStore
from arzamed_async.stores._sweep import Sweeper
from arzamed_async.testing import TokenStoreContract

LONG = 600.0
KEY = "a" * 64
OTHER_KEY = "b" * 64
SEED = 20_240_607


class Clock:
    """A wall clock that moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def token(text: str = "invented-token", left: float = LONG) -> StoredToken:
    return StoredToken(text, 0.0, left)


async def text_of(store: TokenStore, key: str = KEY) -> str | None:
    kept = await store.load(key)
    assert kept is None or isinstance(kept, StoredToken)
    return kept and str(kept.access_token)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


@pytest.mark.asyncio
class TestFileTokenStore(TokenStoreContract):
    """The contract, with a clock that the tests move."""

    @pytest.fixture(autouse=True)
    def _place(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock

    def make_store(self) -> TokenStore:
        return FileTokenStore(self.folder, clock=self.clock)

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


@pytest.mark.parametrize(
    ("scenario", "fact"),
    [
        ("killed", "killed at any instant, a process leaves whole files and free leases"),
        ("full", "on a full disk what was kept stays"),
        ("read_only", "a read-only folder can be read"),
        ("forked", "parent and child are holders of their own"),
        ("raced", "one of many processes has the lease, and its number is the highest yet"),
    ],
)
def test_in_processes(tmp_path: Path, scenario: str, fact: str) -> None:
    """With real processes: `fact`, for each scenario of store_processes.py."""
    root = str(Path(arzamed_async.__file__).parents[1])
    command = [
        sys.executable,
        "-W",
        "error",
        str(Path(__file__).parents[1] / "support" / "store_processes.py"),
        scenario,
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "tokens"), str(SEED)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)  # noqa: T201 - shown where the test fails
    assert done.returncode == 0, f"{fact} (seed {SEED}):\n{done.stderr}"
    assert not done.stderr


@pytest.mark.asyncio
async def test_only_its_user_can_read_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is made with mode 0700 and its files with 0600, whatever the umask."""
    monkeypatch.setattr(Sweeper, "sweep", lambda _self: None)  # its files would come and go
    before = os.umask(0)
    try:
        store = FileTokenStore(folder)
        lease = await store.acquire(KEY, LONG)
        await store.save(KEY, token(), lease)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        await store.aclose()
    finally:
        os.umask(before)
    assert len(modes) == 4  # the entry, its lock, this process's file and the lock on making such files
    assert set(modes.values()) == {0o600}


@pytest.mark.asyncio
async def test_nothing_is_made_before_something_is_kept(folder: Path) -> None:
    """Making a store and looking into it touches no disk."""
    store = FileTokenStore(folder)
    assert await store.load(KEY) is None
    await store.aclose()
    assert not folder.exists()


def test_the_users_cache_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a folder it is `arzamed-async` in the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = FileTokenStore()
    assert asyncio.run(store.save(KEY, token(), None))
    assert (tmp_path / "arzamed-async" / f"{KEY}.json").exists()


@pytest.mark.parametrize("package", ["filelock", "platformdirs"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path, package: str) -> None:
    """Where the extra is not installed, the error says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"needs {package}, .* pip install '\.\[stores\]'"):
        FileTokenStore(folder)


FIRST_CALLS = """
import asyncio, pickle, sys
from arzamed_async import StoredToken
from arzamed_async.stores import FileTokenStore

async def main(store):
    lease = await store.acquire("a" * 64, 60)
    assert await store.save("a" * 64, StoredToken("invented", 0.0, 600.0), lease)
    await store.release(lease)
    assert await store.load("a" * 64)
    await store.aclose()

stored = sys.stdin.buffer.read()
store = pickle.loads(stored) if stored else FileTokenStore(sys.argv[1])
packages = lambda: {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
before = packages()
asyncio.run(main(store))
print(*sorted(packages() - before))
"""


@pytest.mark.parametrize("sent", [False, True], ids=["made", "sent from another process"])
def test_no_call_imports_a_package(folder: Path, sent: bool) -> None:
    """What takes a slow machine longer than a session waits is imported when the store is made, and not by its first lease.

    (From Python 3.15 on, filelock imports three small modules of its own when they are first used: 3 ms.)
    """
    stored = pickle.dumps(FileTokenStore(folder)) if sent else b""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALLS, str(folder)], input=stored, capture_output=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"\n", b"")


def spoil_by_mode(bits: int) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        folder.chmod(0o700 | bits)

    return spoil


def spoil_by_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def spoil_by_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


SPOILT = {
    "is writable by others": spoil_by_mode(stat.S_IWOTH),
    "is writable by others .mode 0720": spoil_by_mode(stat.S_IWGRP),
    "is a symbolic link": spoil_by_link,
    "is not a folder": spoil_by_file,
}


async def refuse_all(store: TokenStore, match: str) -> None:
    for call in (store.load(KEY), store.save(KEY, token(), None), store.discard(KEY, "x"), store.acquire(KEY, LONG)):
        with pytest.raises(ConfigurationError, match=match):
            await call


@pytest.mark.asyncio
@pytest.mark.parametrize("problem", SPOILT)
async def test_a_folder_that_others_may_change_is_refused(folder: Path, problem: str) -> None:
    """A folder that others may write, a link and a file are refused, by a new store and by one that knew it good."""
    store = FileTokenStore(folder)
    await store.save(KEY, token(), None)
    for thread in threading.enumerate():
        if thread.name == "arzamed-store-sweep":  # it writes into the folder
            await asyncio.to_thread(thread.join)
    SPOILT[problem](folder)
    with pytest.raises(ConfigurationError, match=problem):
        FileTokenStore(folder)
    await refuse_all(store, problem)


@pytest.mark.asyncio
async def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that belongs to another user is refused, though it may be written."""
    store = FileTokenStore(folder)
    await store.save(KEY, token(), None)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        FileTokenStore(folder)
    await refuse_all(store, "belongs to another user")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", [f"{KEY}.json", f"{KEY[:2]}.lock"])
async def test_a_file_that_is_a_link_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    """Neither a token's file nor a lock's is followed where it is a link; what it points to is left alone."""
    store = FileTokenStore(folder)
    await store.save(KEY, token(), None)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / name).unlink()
    (folder / name).symlink_to(victim)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        await store.save(KEY, token("other"), None)
    assert victim.read_text() == "precious"


@pytest.mark.asyncio
async def test_a_planted_half_written_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A link in the place of the temporary file is removed, and not written through."""
    store = FileTokenStore(folder)
    await store.save(OTHER_KEY, token(), None)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / f"{KEY}.json.tmp").symlink_to(victim)
    assert await store.save(KEY, token(), None)
    assert victim.read_text() == "precious"
    assert await text_of(store) == "invented-token"


@pytest.mark.asyncio
async def test_a_pipe_in_the_place_of_a_file_does_not_hang(folder: Path) -> None:
    """A file that is none is refused at once."""
    store = FileTokenStore(folder)
    await store.save(OTHER_KEY, token(), None)
    os.mkfifo(folder / f"{KEY}.json")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        await store.load(KEY)


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["", "x", "../" * 21 + "a", "A" * 64, "a" * 65, "a" * 64 + "\n"])
async def test_a_key_that_is_no_digest_is_refused(folder: Path, key: str) -> None:
    """A key never becomes a path to somewhere else."""
    with pytest.raises(ConfigurationError, match="64 hex digits"):
        await FileTokenStore(folder).save(key, token(), None)


@pytest.mark.asyncio
async def test_no_part_of_a_file_is_believed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file cut anywhere counts as empty, is logged once for a store, and is repaired by the next save."""
    store = FileTokenStore(folder)
    await store.save(KEY, token(), await store.acquire(KEY, LONG))
    path = folder / f"{KEY}.json"
    whole = path.read_bytes()
    with caplog.at_level(logging.WARNING, "arzamed_async"):
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            assert await store.load(KEY) is None
    assert [record.name for record in caplog.records] == ["arzamed_async"]
    assert "corrupt" in caplog.text
    assert "invented-token" not in caplog.text
    assert await store.save(KEY, token("repaired"), None) is True
    assert await text_of(FileTokenStore(folder)) == "repaired"
    await store.aclose()


STRANGE = [b"\x00" * 64, b"null", b"[]", b"{}", b"[" * 100_000, b"\xff\xfe"]
#: One value of a good file, by its place, and what it cannot be.
WRONG: list[tuple[tuple[str, ...], object]] = [
    (("version",), 2), (("version",), True), (("fence",), "1"), (("fence",), True), (("fence",), 1.5),
    (("lease",), []), (("lease", "owner"), 7), (("lease", "holder"), "../../x"), (("lease", "at"), "0"),
    (("lease", "seconds"), True), (("kept",), "token"), (("kept", "access_token"), 7), (("kept", "at"), None),
    (("kept", "seconds_left"), "600"), (("kept", "age_seconds"), False), (("kept", "fence"), None),
]  # fmt: skip


async def counts_as_empty(folder: Path, content: bytes) -> None:
    store = FileTokenStore(folder)
    lost = await store.acquire(KEY, LONG)
    assert lost is not None
    await store.save(KEY, token("lost"), lost)
    (folder / f"{KEY}.json").write_bytes(content)
    assert await store.load(KEY) is None
    lease = await store.acquire(KEY, LONG)
    assert lease is not None
    assert lease.fence > lost.fence
    assert await store.save(KEY, token(), lease) is True
    assert await text_of(store) == "invented-token"
    await store.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize("content", STRANGE, ids=range(len(STRANGE)))
async def test_a_strange_file_counts_as_empty(folder: Path, content: bytes) -> None:
    """Whatever a file holds, it is a token or nothing; a lease can be had, with a number above the lost ones."""
    await counts_as_empty(folder, content)


@pytest.mark.asyncio
@pytest.mark.parametrize(("place", "value"), WRONG)
async def test_one_wrong_value_makes_a_file_empty(folder: Path, place: tuple[str, ...], value: object) -> None:
    """A file of another version, or with one value of a wrong type, is not believed in any other part."""
    store = FileTokenStore(folder)
    await store.save(KEY, token("lost"), await store.acquire(KEY, LONG))
    fields = json.loads((folder / f"{KEY}.json").read_bytes())
    await store.aclose()
    (folder / f"{KEY}.json").unlink()
    inner = fields
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    await counts_as_empty(folder, json.dumps(fields).encode())


@pytest.mark.asyncio
async def test_a_lost_folder_is_made_again(folder: Path) -> None:
    """Where somebody clears the cache, the next save makes it anew, and lease numbers still go up."""
    store = FileTokenStore(folder)
    lost = await store.acquire(KEY, LONG)
    shutil.rmtree(folder)
    assert await store.load(KEY) is None
    lease = await store.acquire(KEY, LONG)
    assert lost is not None
    assert lease is not None
    assert lease.fence > lost.fence
    assert await store.renew(lost, LONG) is False
    await store.aclose()


@pytest.mark.asyncio
async def test_closing_a_store_ends_its_leases(folder: Path) -> None:
    """A lease of a store that has been closed is free at once, and its file of a living process is gone."""
    store, other = FileTokenStore(folder), FileTokenStore(folder)
    assert await store.acquire(KEY, LONG) is not None
    assert await other.acquire(KEY, LONG) is None
    await store.aclose()
    assert not list(folder.glob("*.alive"))
    assert await other.acquire(KEY, LONG) is not None
    await other.aclose()


@pytest.mark.asyncio
async def test_a_cancelled_caller_leaves_no_lease(folder: Path) -> None:
    """A lease that is given after its caller was cancelled is given back."""
    store, other = FileTokenStore(folder), FileTokenStore(folder)
    await store.release(await store.acquire(OTHER_KEY, LONG))  # makes the folder, and this process's file
    path = folder / f"{KEY[:2]}.lock"
    with filelock.FileLock(path, thread_local=False):
        task = asyncio.create_task(store.acquire(KEY, LONG))
        await asyncio.sleep(0)  # its thread is on the way, and will find the lock taken
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def given() -> bool:
        lease = await other.acquire(KEY, LONG)
        return lease is not None

    await until(given)
    await store.aclose()
    await other.aclose()


@pytest.mark.asyncio
async def test_a_process_that_stands_still_delays_and_does_not_hang(folder: Path) -> None:
    """While another process holds a file's lock for ever, writing is given up, and reading goes on."""
    store = FileTokenStore(folder)
    await store.save(KEY, token(), None)
    with filelock.FileLock(folder / f"{KEY[:2]}.lock", thread_local=False):
        with pytest.raises(filelock.Timeout):
            await store.discard(KEY, "invented-token")
        assert await text_of(store) == "invented-token"
        assert await store.save(OTHER_KEY, token("elsewhere"), None) is True


@pytest.mark.asyncio
@pytest.mark.parametrize(("back", "known"), [(30.0, True), (90.0, False)])
async def test_a_clock_that_was_set_back(folder: Path, clock: Clock, back: float, known: bool) -> None:
    """Set back by up to a minute, nothing lives longer than it was to; by more, what was kept is forgotten."""
    store = FileTokenStore(folder, clock=clock)
    assert await store.acquire(KEY, 10) is not None
    await store.save(KEY, token(left=100), None)
    await store.save(OTHER_KEY, StoredRejection(401, "invalid_client", "", 60), None)
    clock.now -= back
    kept, rejected = await store.load(KEY), await store.load(OTHER_KEY)
    if known:
        assert kept == token(left=100)
        assert rejected == StoredRejection(401, "invalid_client", "", 60)
    else:
        assert kept is None
        assert rejected is None
    assert (await store.acquire(KEY, 10) is None) is known
    await store.aclose()


def test_event_loops_one_after_the_other(folder: Path) -> None:
    """One store serves event loops that come and go; its lease outlives the loop it was given on."""
    store = FileTokenStore(folder)
    lease = asyncio.run(store.acquire(KEY, LONG))
    assert lease is not None
    assert asyncio.run(store.acquire(KEY, LONG)) is None
    assert asyncio.run(store.save(KEY, token(), lease)) is True
    asyncio.run(store.release(lease))
    for _ in range(2):
        assert asyncio.run(text_of(store)) == "invented-token"
    asyncio.run(store.aclose())
