"""FileTokenStore, where something else lies in the place of one of its files: a folder, a pipe, a socket, a link."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from arzamed_async import ConfigurationError, StoredToken
from arzamed_async.stores import FileTokenStore

KEY = "a" * 64
TOKEN = StoredToken("invented-token", 0.0, 600.0)
SECONDS = 30.0


def put_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


STRANGE: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": put_socket,
    "link": lambda path: path.symlink_to("nowhere"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tokens").mkdir(mode=0o700)
    return tmp_path / "tokens"


def lowest_free() -> int:
    number = os.dup(0)
    os.close(number)
    return number


def holder_in(folder: Path) -> Path:
    return next(folder.glob("*.alive"))


@pytest.mark.asyncio
@pytest.mark.parametrize("name", [f"{KEY}.json", "aa.lock"])
@pytest.mark.parametrize("kind", STRANGE)
async def test_what_is_no_file_is_named_and_leaves_nothing_open(folder: Path, kind: str, name: str) -> None:
    """The error has the path, whatever lies there; and repeating the call uses up no file descriptors."""
    STRANGE[kind](folder / name)
    store = FileTokenStore(folder)
    before = lowest_free()
    for _ in range(5):
        with pytest.raises(ConfigurationError, match=f"{name} is (a symbolic link|not a regular file)"):
            await store.acquire(KEY, SECONDS)
    assert lowest_free() == before


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", STRANGE)
async def test_a_strange_holder_keeps_nobody_from_a_lease(folder: Path, kind: str) -> None:
    """What is named like the file of a process, and is none, is passed over when a process looks for those that ended."""
    STRANGE[kind](folder / f"{'0' * 32}.alive")
    assert await FileTokenStore(folder).acquire(KEY, SECONDS) is not None


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
async def test_a_lease_of_a_strange_holder_ends_with_its_time(folder: Path, kind: str) -> None:
    """Whether its process lives cannot be seen: the lease is believed for as long as it lasts, and no longer."""
    now = [1_700_000_000.0]
    first, other = (FileTokenStore(folder, clock=lambda: now[0]) for _ in range(2))
    await first.acquire(KEY, SECONDS)
    holder_in(folder).unlink()
    STRANGE[kind](folder / f"{'0' * 32}.alive")
    file = folder / f"{KEY}.json"
    text = file.read_text()
    at = text.index('.alive"')
    file.write_text(text[: at - 32] + "0" * 32 + text[at:])
    held = await other.acquire(KEY, SECONDS)
    now[0] += SECONDS + 1
    assert (held, await other.acquire(KEY, SECONDS) is None) == (None, False)


def replace_holder(folder: Path) -> None:
    path = holder_in(folder)
    path.unlink()
    path.mkdir()


def replace_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


@pytest.mark.asyncio
@pytest.mark.parametrize("change", [replace_holder, replace_folder])
async def test_aclose_raises_nothing(folder: Path, change: Callable[[Path], None]) -> None:
    """A store is closed while a program ends: what lies in the place of its files by then is no error, and it is unlocked."""
    store = FileTokenStore(folder)
    before = lowest_free()
    await store.acquire(KEY, SECONDS)
    change(folder)
    await store.aclose()
    await store.aclose()
    assert lowest_free() == before


@pytest.mark.asyncio
async def test_aclose_needs_no_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no more threads, a store is closed all the same: its leases end by their time."""
    store = FileTokenStore(folder)
    lease = await store.acquire(KEY, SECONDS)
    assert await store.save(KEY, TOKEN, lease)

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        await store.aclose()
    assert await store.load(KEY) is not None
