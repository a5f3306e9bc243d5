"""A folder that only this user can write to: reads, atomically replaces and locks files. All methods block."""

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
_MOST_BYTES = 65_536  # an entry has less than 12 KiB
#: The holder of a lock needs it for a few milliseconds: a longer wait means that its process is suspended.
_LOCK_SECONDS = 0.5
_POLL_SECONDS = 0.002
# Not on Windows, where the ACL of a user's folders excludes other users, and links need a privilege.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

#: A folder as a place for others, which takes no right to read it.
_ONLY_PLACE = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class Folder:
    """The folder at `path`. It is created with mode 0700 by the first write."""

    def __init__(self, path: Path) -> None:
        # Takes 50 ms, and on a slow machine more than a session waits for a call, which `lock` would be a part of.
        import filelock  # noqa: F401 # pyright: ignore[reportUnusedImport]

        self.path = path

    def __reduce__(self) -> tuple[type[Folder], tuple[Path]]:
        return Folder, (self.path,)

    def file(self, name: str) -> str:
        """Return the path of a file. No Path: it interns the name, which CPython before 3.13 may keep for ever."""
        return f"{self.path}{os.sep}{name}"

    def remove(self, name: str) -> None:
        """Remove a file, if it exists. Of a link, the link is removed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(name))  # noqa: PTH108 - see `file`

    def check(self) -> bool:
        """Return whether the folder exists. Raises ConfigurationError if other users can change its content."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(found.st_mode):
            problem = "is a symbolic link"
        elif not stat.S_ISDIR(found.st_mode):
            problem = "is not a folder"
        elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
            problem = "belongs to another user"
        elif hasattr(os, "geteuid") and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            problem = f"is writable by others (mode {stat.S_IMODE(found.st_mode):04o}; it should be 0700)"
        else:
            return True
        raise ConfigurationError(f"the token folder {self.path} {problem}")

    def make(self) -> None:
        """Create the folder if it does not exist."""
        if self.check():
            return
        make_folders(self.path.absolute())
        self.check()

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or None if there is no such file. An oversized file is truncated, and so invalid."""
        if not self.check():
            return None
        path = self.file(name)
        file, problem = -1, ""
        try:
            file = os.open(path, os.O_RDONLY | _NO_LINK)
        except FileNotFoundError:
            return None
        except OSError:
            problem = _no_file(path)  # a link or a socket, which cannot be opened
            if not problem:
                raise
        if problem:
            raise ConfigurationError(f"the token file {path} {problem}")
        try:  # not in `fdopen`, which refuses a folder, and leaves it open
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ConfigurationError(f"the token file {path} is not a regular file")
            return os.read(file, _MOST_BYTES)
        finally:
            os.close(file)

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file atomically: if this process is killed, others read either the old content or the new.

        Requires the file's lock. The temporary file of a process that was killed is overwritten by the next write.
        """
        temporary = f"{name}.tmp"
        half = self.file(temporary)
        self.remove(temporary)
        file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
        try:
            with os.fdopen(file, "wb") as opened:
                _allow_owner(file, 0o600)
                opened.write(content)  # not synced: after a power cut, a lost token costs one token request
            os.replace(half, self.file(name))  # noqa: PTH105 - see `file`
        except BaseException:  # a full disk
            self.remove(temporary)
            raise

    @contextlib.contextmanager
    def locked(self, name: str) -> Generator[None, None, None]:
        """Hold the lock `name` across processes and threads; filelock's Timeout if it is held for too long elsewhere."""
        self.make()
        with self.lock(name).acquire(timeout=_LOCK_SECONDS, poll_interval=_POLL_SECONDS):
            yield

    def lock(self, name: str) -> BaseFileLock:
        """Return a new lock, which any thread can acquire and release; the system frees it when this process ends."""
        from filelock import FileLock

        path = self.file(name)
        if problem := _no_file(path):
            raise ConfigurationError(f"the lock file {path} {problem}")
        return FileLock(path, mode=0o600, thread_local=False)


def _no_file(path: str) -> str:
    """Return what is wrong with the kind of a file: "" for a regular one, and where there is none, or none to be seen."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    if stat.S_ISREG(mode):
        return ""
    return "is a symbolic link" if stat.S_ISLNK(mode) else "is not a regular file"


def make_folders(path: Path) -> None:
    """Create a folder and the missing ones above it, each with mode 0700 whatever the umask.

    Each is created in the folder that has been opened before it, so that no link put there meanwhile is followed.
    """
    missing: list[str] = []
    parent = path
    while not parent.exists() and parent != parent.parent:
        missing.insert(0, parent.name)
        parent = parent.parent
    if os.mkdir not in os.supports_dir_fd:  # Windows, where a folder inherits the ACL of its parent
        path.mkdir(mode=_NOBODY_ELSE, parents=True, exist_ok=True)
        return
    place = os.open(parent, _ONLY_PLACE)
    try:
        for name in missing:
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.mkdir(name, _NOBODY_ELSE, dir_fd=place)
            inner = os.open(name, _ONLY_PLACE | _NO_LINK, dir_fd=place)
            os.close(place)
            place = inner
            _allow_owner(place, _NOBODY_ELSE)
    finally:
        os.close(place)


def _allow_owner(file: int, mode: int) -> None:
    """Give the owner what a umask such as 0777 has taken."""
    if hasattr(os, "fchmod") and os.fstat(file).st_mode & mode != mode:
        # Linux has no fchmod for what is only a place.
        os.chmod(f"/proc/self/fd/{file}" if hasattr(os, "O_PATH") else file, mode)  # noqa: PTH101
