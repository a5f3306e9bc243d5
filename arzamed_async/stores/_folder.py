"""A folder that only this user may write: files in it are read, replaced whole, and locked. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from arzamed_async import ConfigurationError

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Folder"]

_NOBODY_ELSE = 0o700
_MOST_BYTES = 1_048_576
#: A holder of a lock has a few milliseconds' work to do: who waits longer waits for a process that stands still.
_LOCK_SECONDS = 0.5
_POLL_SECONDS = 0.002
# Not on Windows, where a user's own folders are closed to others by their ACL, and links need a privilege.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Folder:
    """The folder at `path`. It is made, with mode 0700, when there is something to write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> bool:
        """Tell whether it is there. Raises ConfigurationError where others may change what is in it."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(found.st_mode):
            problem = "is a symbolic link"
        elif not stat.S_ISDIR(found.st_mode):
            problem = "is no folder"
        elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
            problem = "belongs to another user"
        elif hasattr(os, "geteuid") and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            problem = f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o}; it should be 0700)"
        else:
            return True
        raise ConfigurationError(f"the token folder {self.path} {problem}")

    def make(self) -> None:
        """Make it, unless it is there."""
        if self.check():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was faster
            self.path.mkdir(mode=_NOBODY_ELSE)
        self.check()

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None where there is none; a file too large to be ours is cut."""
        if not self.check():
            return None
        path = self.path / name
        try:
            file = os.open(path, os.O_RDONLY | _NO_LINK)
        except FileNotFoundError:
            return None
        except OSError:
            if not path.is_symlink():
                raise
            file = -1
        if file < 0:
            raise ConfigurationError(f"the token file {path} is a symbolic link")
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ConfigurationError(f"the token file {path} is no ordinary file")
            return opened.read(_MOST_BYTES)

    def replace(self, name: str, content: bytes) -> None:
        """Put a file in the place of another, so that whoever looks, whenever this process dies, sees one or the other.

        Needs the file's lock: what a process that died has left half-written is overwritten by the next.
        """
        half = self.path / f"{name}.tmp"
        half.unlink(missing_ok=True)
        file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
        try:
            with os.fdopen(file, "wb") as opened:
                opened.write(content)  # not synced: what a power cut may take from a cache costs one token request
            half.replace(self.path / name)
        except BaseException:  # a full disk
            half.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def locked(self, name: str) -> Generator[None, None, None]:
        """Hold the lock `name` among all processes and threads; filelock's Timeout where another holds it too long."""
        self.make()
        with self.lock(name).acquire(timeout=_LOCK_SECONDS, poll_interval=_POLL_SECONDS):
            yield

    def lock(self, name: str) -> BaseFileLock:
        """Return a lock (a new one: any thread may take and release it), which the system frees when we die."""
        from filelock import FileLock

        path = self.path / name
        if path.is_symlink():
            raise ConfigurationError(f"the lock file {path} is a symbolic link")
        return FileLock(path, mode=0o600, thread_local=False)
