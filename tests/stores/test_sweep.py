"""FileTokenStore: files of clinics that are gone are removed, nothing else is; folders are made for their user alone."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import RawServer
from test_store_file import KEY, LONG, OTHER_KEY, Clock, token

from arzamed_async import ArzamedError, ArzamedSession, CredentialsRejectedError, StoredRejection, StoredToken
from arzamed_async._tokens.shared import store_key
from arzamed_async.stores import FileTokenStore, _sweep
from arzamed_async.stores._folder import Folder

pytestmark = pytest.mark.asyncio

DAY = 86_400.0
NEW_KEY = "c" * 64


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def aged(path: Path, seconds: float) -> None:
    before = time.time() - seconds
    os.utime(path, (before, before), follow_symlinks=False)


async def swept() -> None:
    """Wait until no sweep runs."""
    for thread in threading.enumerate():
        if thread.name == "arzamed-store-sweep":
            await asyncio.to_thread(thread.join)


async def kept_long_ago(folder: Path, clock: Clock, *keys: str, ago: float = 2 * DAY) -> None:
    store = FileTokenStore(folder, clock=clock)
    clock.now -= ago
    for key in keys:
        lease = await store.acquire(key, 10)
        await store.save(key, token(), lease)
        assert lease is not None
        await store.release(lease)
    await swept()
    clock.now += ago
    await store.aclose()
    for key in keys:
        entry = json.loads((folder / f"{key}.json").read_bytes())
        entry["fence"] = entry["kept"]["fence"] = int((clock.now - ago) * 1e9)
        (folder / f"{key}.json").write_text(json.dumps(entry))
        aged(folder / f"{key}.json", ago)


async def save(folder: Path, clock: Clock, key: str = NEW_KEY) -> None:
    store = FileTokenStore(folder, clock=clock)
    await store.save(key, token(), None)
    await swept()
    await store.aclose()


async def test_files_of_clinics_that_are_gone_are_removed(folder: Path, clock: Clock) -> None:
    """A file whose token expired more than a day ago is removed by the next process that saves; a younger one stays."""
    await kept_long_ago(folder, clock, OTHER_KEY, ago=DAY / 2)
    await kept_long_ago(folder, clock, KEY)
    (folder / f"{KEY}.json.tmp").write_bytes((folder / f"{KEY}.json").read_bytes())
    aged(folder / f"{KEY}.json.tmp", 2 * DAY)
    await save(folder, clock)
    assert sorted(path.name for path in folder.glob("*.json*")) == [f"{OTHER_KEY}.json", f"{NEW_KEY}.json"]


async def test_a_sweep_is_made_once_an_hour_by_all_processes(folder: Path, clock: Clock) -> None:
    """The second process within the hour does not look; one an hour later does, also where the mark was tampered with."""
    await save(folder, clock)
    await kept_long_ago(folder, clock, KEY)
    (folder / "swept").write_text(str(int(clock.now)))
    await save(folder, clock, OTHER_KEY)
    assert (folder / f"{KEY}.json").exists()
    for mark in ("9" * 12, "nan", "", "x" * 100_000, str(int(clock.now - 3601))):
        if not (folder / f"{KEY}.json").exists():
            await kept_long_ago(folder, clock, KEY)
        (folder / "swept").write_text(mark)
        await save(folder, clock, OTHER_KEY)
        assert not (folder / f"{KEY}.json").exists(), mark


async def test_a_process_sweeps_once_an_hour(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that saves often starts one sweep in an hour, in a thread of its own."""
    sweeps: list[str] = []
    now = 1000.0
    monkeypatch.setattr(_sweep.Sweeper, "sweep", lambda _self: sweeps.append(threading.current_thread().name))
    monkeypatch.setattr(_sweep, "time", SimpleNamespace(monotonic=lambda: now))
    store = FileTokenStore(folder, clock=clock)
    for _ in range(4):
        for _ in range(5):
            await store.save(KEY, token(), None)
        now += 1800
    await swept()
    assert sweeps == ["arzamed-store-sweep"] * 2


async def test_only_its_own_files_are_removed(folder: Path, clock: Clock, tmp_path: Path) -> None:
    """Other names, links, folders, pipes and files with other content stay, and so does what a link leads to."""
    await kept_long_ago(folder, clock, KEY)
    whole = (folder / f"{KEY}.json").read_bytes()
    (folder / f"{KEY}.json").unlink()
    target = tmp_path / "target.json"
    target.write_bytes(whole)
    strangers = [folder / "notes.txt", folder / f"{KEY}.json.bak", folder / f"{KEY.upper()}.json", folder / "a.json"]
    for path in strangers:
        path.write_bytes(whole)
    corrupt = folder / f"{'d' * 64}.json"
    corrupt.write_bytes(b'{"mine": true}')
    link, pipe, inner = (folder / f"{letter * 64}.json" for letter in "ef0")
    link.symlink_to(target)
    os.mkfifo(pipe)
    inner.mkdir()
    everything = [*strangers, corrupt, link, pipe, inner, target]
    for path in everything:
        aged(path, 2 * DAY)
    await save(folder, clock)
    assert [path for path in everything if not os.path.lexists(path)] == []
    assert (folder / "swept").exists()


async def test_numbers_go_up_after_a_sweep(folder: Path, clock: Clock) -> None:
    """A file with a number that is ahead of the clock stays, since its clinic's next number has to be above it."""
    await kept_long_ago(folder, clock, KEY)
    path = folder / f"{KEY}.json"
    entry = json.loads(path.read_bytes())
    entry["fence"] = ahead = time.time_ns() + 10**15
    path.write_text(json.dumps(entry))
    aged(path, 2 * DAY)
    await save(folder, clock)
    lease = await FileTokenStore(folder, clock=clock).acquire(KEY, LONG)
    assert lease is not None
    assert lease.fence > ahead


async def test_a_sweep_is_bounded_and_each_file_has_its_turn(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep opens a bounded number of files; sweeps in succession remove all, whatever stays among them."""
    monkeypatch.setattr(_sweep, "MOST_FILES", 5)
    keys = [f"{n:064x}" for n in range(20)]
    await kept_long_ago(folder, clock, *keys)
    await save(folder, clock)
    left = len(list(folder.glob("0*.json")))
    assert left == 15
    for _ in range(4):
        (folder / "swept").unlink()
        await save(folder, clock)
    assert not list(folder.glob("0*.json"))


async def test_a_file_in_use_is_not_removed(folder: Path, clock: Clock) -> None:
    """A clinic that comes back while the folder is swept keeps its new token: the file's lock is held, and it is read again."""
    await kept_long_ago(folder, clock, KEY)
    store = FileTokenStore(folder, clock=clock)
    await asyncio.gather(*(store.save(KEY, token("back"), None) for _ in range(20)))
    await swept()
    found = await store.load(KEY)
    assert isinstance(found, StoredToken)
    assert found.access_token == "back"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
async def test_each_missing_folder_is_made_for_its_user_alone(tmp_path: Path, umask: int) -> None:
    """The folders above the token folder have mode 0700 as well, and the files 0600, whatever the umask."""
    folder = tmp_path / "a" / "b" / "tokens"
    before = os.umask(umask)
    try:
        store = FileTokenStore(folder)
        await store.save(KEY, token(), await store.acquire(KEY, LONG))
        found = await store.load(KEY)
        await store.aclose()
        await swept()
    finally:
        os.umask(before)
    assert isinstance(found, StoredToken)
    for path in (folder, folder.parent, folder.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_a_link_put_in_the_place_of_a_missing_folder_is_not_followed(tmp_path: Path) -> None:
    """A dangling link above the token folder is an error, and nothing is made where it leads."""
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r".*"):
        await FileTokenStore(tmp_path / "a" / "tokens").save(KEY, token(), None)
    assert not (tmp_path / "elsewhere").exists()


# What others write into a file.

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
)


def entry(**kept: Any) -> bytes:
    now = time.time()
    fields = {"fence": 7, "at": now, "seconds_left": 600.0, **kept}
    return json.dumps({"version": 1, "fence": 7, "lease": None, "kept": fields}).encode()


PLANTED = [
    entry(access_token="planted", age_seconds=age) for age in (-1, 1e12, "1", True)
] + [
    entry(access_token=text, age_seconds=0) for text in ("", "a b", "\x1b", "x" * 8193, "é", "\ud800")
] + [
    entry(status=status, error="", description="", seconds_left=60) for status in (True, 99, "401", 10**20, 401.0)
] + [
    entry(status=401, error=text, description="", seconds_left=60) for text in ("\x1b[2J", "one\nforged", "\u2028", "x" * 201, 7)
] + [
    entry(access_token="planted", age_seconds=0, **wrong)
    for wrong in ({"fence": 2**62}, {"fence": 2**63}, {"fence": -1}, {"fence": 1e300}, {"seconds_left": 1e12}, {"seconds_left": -1})
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(PLANTED)))
async def test_a_planted_entry_counts_as_missing_and_is_overwritten(folder: Path, number: int) -> None:
    """Nothing out of range, too long or not printable is loaded; a save without a lease replaces it."""
    folder.mkdir(mode=0o700)
    (folder / f"{KEY}.json").write_bytes(PLANTED[number])
    store = FileTokenStore(folder)
    assert await store.load(KEY) is None
    lease = await store.acquire(KEY, LONG)
    assert lease is not None
    assert lease.fence < 2**62
    assert await store.save(KEY, StoredRejection(401, "", "", 60.0), None) is True
    await swept()
    await store.aclose()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary()
    | anything.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(
            ["access_token", "age_seconds", "seconds_left", "fence", "at", "status", "error", "description"]
        ),
        anything,
    ).map(lambda fields: entry(**fields))
)
@example(content=entry(status=401, error="invalid_client", description="plain", seconds_left=60))
@example(content=entry(access_token="planted", age_seconds=0))
async def test_no_content_of_a_file_breaks_a_call(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A session gets a token, or a stored rejection with a printable text; a second session then shares the token."""
    folder = tmp_path_factory.mktemp("planted")
    folder.chmod(0o700)
    store = FileTokenStore(folder)
    async with RawServer() as server:
        (folder / f"{store_key(server.credentials())}.json").write_bytes(content)
        tokens: list[str] = []
        for _ in range(2):
            async with ArzamedSession(base_url=server.base_url, token_store=store) as session:
                try:
                    tokens.append((await session.clinic(server.credentials()).token()).access_token)
                except ArzamedError as error:
                    assert type(error) is CredentialsRejectedError
                    assert str(error).isprintable()
        assert len(set(tokens)) <= 1
        assert server.token_requests <= 1
    await swept()
    await store.aclose()


async def test_a_sweep_creates_no_folder(folder: Path, clock: Clock) -> None:
    """A folder that is gone when a sweep starts stays gone: the library that locks files would create it with any mode."""
    sweeper = _sweep.Sweeper(Folder(folder), clock, lambda key: f"{key[:2]}.lock")
    sweeper.sweep()
    assert not folder.exists()


async def test_names_of_token_files_are_not_interned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a clinic's file is interned, as a Path does: CPython 3.12 keeps each one for as long as the process runs."""
    interned: list[str] = []
    intern = sys.intern
    monkeypatch.setattr(sys, "intern", lambda text: interned.append(text) or intern(text))
    store = FileTokenStore(folder)
    lease = await store.acquire(KEY, LONG)
    assert lease is not None
    await store.save(KEY, token(), lease)
    await store.renew(lease, LONG)
    await store.release(lease)
    assert await store.load(KEY) is not None
    assert await store.load(OTHER_KEY) is None
    await store.discard(KEY, "another")
    await swept()
    await store.aclose()
    assert [name for name in interned if KEY in name or OTHER_KEY in name] == []
