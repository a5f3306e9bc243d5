"""Files that hold secrets: created for their owner alone, and never overwritten by mistake."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from .errors import ConfigurationError

__all__ = ["allow_owner", "write_private"]


def write_private(path: Path, text: str, *, replace: bool, remedy: str) -> None:
    """Write a file of mode 0600. Raises ConfigurationError where it exists already or cannot be written.

    It is created with O_EXCL, so that no existing file or link is followed or overwritten; with `replace` it is
    written next to the old file and renamed over it.
    """
    problem = ""
    try:
        if replace:
            _replace(path, text)
        else:
            _create(path, text)
    except FileExistsError:
        problem = f"already exists; not overwritten ({remedy})"
    except (OSError, ValueError) as error:  # a path with a NUL raises ValueError
        problem = f"cannot be written ({getattr(error, 'strerror', None) or type(error).__name__})"
    if problem:
        raise ConfigurationError(f"{path} {problem}")


def _replace(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        kind = stat.S_IFMT(path.lstat().st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):  # renaming over a device would remove it
            raise OSError(errno.EINVAL, "it is not a regular file")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _create(beside, text)
    try:
        beside.replace(path)
    except BaseException:
        beside.unlink()
        raise


def _create(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with os.fdopen(file, "wb") as opened:
            allow_owner(file)
            opened.write(text.encode())
    except BaseException:  # a full disk must not leave half a file
        with suppress(OSError):
            path.unlink()
        raise


def allow_owner(file: int) -> None:
    """Give an open file of mode 0600 that mode, if a umask such as 0777 has taken it."""
    if hasattr(os, "fchmod") and os.fstat(file).st_mode & 0o600 != 0o600:
        with suppress(OSError):  # a file system without modes
            os.fchmod(file, 0o600)
