"""Files that a command writes whole or not at all: a temporary file next to the old one, renamed over it at the end."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from arzamed_async import ConfigurationError

from .files import allow_owner
from .interrupts import interrupts

__all__ = ["FileOutput", "OutputError", "unwritten"]


class OutputError(Exception):
    """A file of the command cannot be written; the text names it and the reason."""


def unwritten(what: object, error: OSError) -> OutputError:
    """Return the error of a file."""
    return OutputError(f"{what} cannot be written ({error.strerror or type(error).__name__})")


class FileOutput:
    """A file that is replaced by `commit`, and by nothing else.

    A link is followed, so that the file it leads to is replaced and the link stays. A new file has mode 0600, and so has one
    that replaces another user's; one of the same user keeps its mode. Raises ConfigurationError for a path where there can be no such file.
    """

    def __init__(self, path: Path, option: str) -> None:
        self.path = path
        self.committed = False
        self._file: IO[bytes] | None = None
        problem = ""
        try:
            self.target = Path(os.path.realpath(path))
            folder = self.target.parent
            with suppress(FileNotFoundError):
                os.lstat(self.target)  # raises for an invalid name; Path's methods return False from 3.14 on
            if self.target.is_dir():
                problem = "is a folder"
            elif os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 - /dev/stdout leads to no path
                problem = "is not a regular file: redirect standard output to it"
            elif self.target.is_symlink():
                problem = "cannot be written: it is a link to itself"
            elif _is_foreign_link(path):
                problem = "is a link that belongs to another user: name the file that it leads to"
            elif not folder.is_dir():
                problem = "cannot be written: its folder does not exist"
            elif not os.access(folder, os.W_OK):
                problem = "cannot be written: its folder is not writable"
        except (OSError, ValueError) as error:  # a name with a NUL, or too long
            problem = f"cannot be written ({getattr(error, 'strerror', None) or type(error).__name__})"
        if problem:
            raise ConfigurationError(f"{option}: {path} {problem}")

    def open(self) -> None:
        """Create the temporary file, for its owner alone."""
        self._beside = self.target.with_name(f".{self.target.name[:100]}.{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._file = os.fdopen(os.open(self._beside, flags, 0o600), "wb", buffering=262_144)
            allow_owner(self._file.fileno())
        except OSError as error:
            raise unwritten(self.path, error) from None

    async def put(self, data: bytes) -> None:
        """Write bytes."""
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write bytes. Raises OutputError."""
        try:
            self._opened().write(data)
        except OSError as error:
            raise unwritten(self.path, error) from None

    def commit(self) -> None:
        """Bring the bytes to the disk, and rename the file. A signal meanwhile raises KeyboardInterrupt."""
        file = self._opened()
        try:
            with interrupts.raising():
                file.flush()
                os.fsync(file.fileno())
                self._keep_mode(file)
                file.close()
                self._beside.replace(self.target)
        except OSError as error:
            raise unwritten(self.path, error) from None
        self._file, self.committed = None, True
        with suppress(OSError):  # not every system has it: the name is on the disk a little later
            _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Remove the temporary file; nothing after `commit`."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                self._beside.unlink()
            with suppress(OSError):  # its buffer may not fit on the disk
                file.close()
            with suppress(OSError):
                self._beside.unlink()  # some systems do not remove an open file

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise OutputError(f"{self.path} is not open")
        return self._file

    def _keep_mode(self, file: IO[bytes]) -> None:
        if os.name == "posix":
            with suppress(FileNotFoundError):
                old = self.target.stat()
                if old.st_uid == os.geteuid():  # a planted one may be readable by all
                    os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) & 0o777)


def _is_foreign_link(path: Path) -> bool:
    """Return whether the path is a link of another user's, as in a folder in which everyone can put files."""
    if os.name != "posix" or not path.is_symlink():
        return False
    return _owner(path) not in (os.geteuid(), 0, _owner(path.parent))


def _owner(path: Path) -> int:
    return path.lstat().st_uid


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
