"""Detects whether the process that holds a lease is alive: each keeps a file of its own locked. All methods block."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from arzamed_async import ConfigurationError

from ._folder import Folder
from ._forks import lead_nowhere, on_fork

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Holder"]

_SUFFIX = ".alive"
_REGISTER = "alive.lock"


class Holder:
    """This process as a holder of leases. Its locked file is created with the first lease.

    The system frees the lock when the process ends, however it ends. One lock serves all leases, so that ten
    thousand clinics do not need ten thousand open files.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._name = ""
        self._locks: dict[int, BaseFileLock] = {}  # by process id: a forked child needs one of its own
        on_fork(self)

    def leave_process(self) -> object:
        """Leave the lock to the parent of this forked child, which would unlock it by freeing it. Returns it.

        Its descriptor here would keep the file locked after the end of the parent.
        """
        locks, self._locks = self._locks, {}
        contexts = [getattr(lock, "_context", None) for lock in locks.values()]
        lead_nowhere([number for each in contexts if isinstance(number := getattr(each, "lock_file_fd", None), int)])
        return locks

    def name(self) -> str:
        """Return the name of this process's file, which stays locked from now on."""
        if os.getpid() in self._locks:
            return self._name
        with self._folder.locked(_REGISTER):
            if os.getpid() not in self._locks:  # no other thread was faster
                self._sweep()
                name = secrets.token_hex(16) + _SUFFIX
                lock = self._folder.lock(name)
                lock.acquire(blocking=False)
                self._name = name
                self._locks[os.getpid()] = lock
            return self._name

    def gone(self, name: str) -> bool:
        """Return whether the process with this file has ended or closed its store."""
        try:
            return not self._is_ours(name) and self._take(name) is not False
        except (OSError, ConfigurationError):  # no file can be locked there: the lease ends with its time
            return False

    def close(self) -> None:
        """Unlock and remove the file: other processes then see this holder as ended. Raises nothing."""
        lock = self._locks.pop(os.getpid(), None)
        if lock is not None:
            with suppress(OSError):  # it stays, unlocked
                self._folder.remove(self._name)
            lock.release()

    def _is_ours(self, name: str) -> bool:
        return name == self._name and os.getpid() in self._locks

    def _take(self, name: str, *, remove: bool = False) -> bool | None:
        """Return whether the lock of a file was free; None if there is no such file."""
        from filelock import Timeout

        try:
            os.stat(self._folder.file(name))  # noqa: PTH116 - acquiring the lock would create it
        except FileNotFoundError:
            return None
        try:
            with self._folder.lock(name).acquire(blocking=False):
                if remove:
                    self._folder.remove(name)
                return True
        except Timeout:
            return False

    def _sweep(self) -> None:
        """Remove the files of ended processes. The register is locked, so that no new file appears meanwhile."""
        for path in self._folder.path.glob(f"*{_SUFFIX}"):
            with suppress(OSError, ConfigurationError):  # no file of ours: a folder, a link
                self._take(path.name, remove=True)
