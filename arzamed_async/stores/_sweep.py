"""Removes the files of clinics that are gone: entries that expired long ago. All methods block."""

from __future__ import annotations

import os
import random
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ._entry import Entry, expired_at, parse
from ._folder import Folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Sweeper"]

#: How long after its end an entry is removed, and how often one process of all that share the folder looks.
KEPT_SECONDS = 86_400.0
EVERY_SECONDS = 3600.0
#: The bounds of one sweep. The files that it opens are drawn at random, so that each has its turn.
MOST_NAMES = 100_000
MOST_FILES = 500
MOST_SECONDS = 1.0

_OURS = re.compile(r"([0-9a-f]{64})\.json(\.tmp)?")
_LOCK = "sweep.lock"
_MARK = "swept"


class Sweeper:
    """Sweeps a token store's folder. `lock_of` returns the name of a key's lock."""

    def __init__(self, folder: Folder, clock: Callable[[], float], lock_of: Callable[[str], str]) -> None:
        self._folder = folder
        self._clock = clock
        self._lock_of = lock_of
        self._next_at = 0.0

    def is_due(self) -> bool:
        """Return whether this process has not looked for an hour; it then does so, or has just done."""
        now = time.monotonic()
        if self._next_at and now < self._next_at:
            return False
        self._next_at = now + EVERY_SECONDS
        return True

    def sweep(self) -> None:
        """Remove files, unless another process has done so within the hour. Raises nothing: the next sweep is in an hour."""
        from filelock import Timeout

        with suppress(OSError, ValueError, Timeout):  # Timeout: another process sweeps (or it is an OSError)
            if not self._folder.check():  # removed meanwhile: filelock would create it, with any mode
                return
            lock: BaseFileLock = self._folder.lock(_LOCK)
            with lock.acquire(blocking=False):
                if not self._was_swept():
                    self._sweep()
                    self._folder.replace(_MARK, str(int(self._clock())).encode())

    def _was_swept(self) -> bool:
        text = self._folder.read(_MARK)
        if text is None or not re.fullmatch(rb"[0-9]{1,12}", text):
            return False
        return 0 <= self._clock() - int(text) < EVERY_SECONDS

    def _sweep(self) -> None:
        names = list(self._old_names())
        end = time.monotonic() + MOST_SECONDS
        for name in random.sample(names, min(len(names), MOST_FILES)):  # no secret  # nosec B311
            if time.monotonic() >= end:
                return
            with suppress(OSError, ValueError):  # filelock's Timeout is an OSError: it has its lock
                self._remove_if_gone(name)

    def _old_names(self) -> Iterator[str]:
        """Yield the names of regular files of this user that look like entries, and were not written for a day."""
        now = time.time()
        with os.scandir(self._folder.path) as found:
            for _, each in zip(range(MOST_NAMES), found, strict=False):
                if not _OURS.fullmatch(each.name):
                    continue
                with suppress(OSError):
                    seen = each.stat(follow_symlinks=False)
                    ours = not hasattr(os, "geteuid") or seen.st_uid == os.geteuid()
                    if ours and stat.S_ISREG(seen.st_mode) and now - seen.st_mtime > KEPT_SECONDS:
                        yield each.name

    def _remove_if_gone(self, name: str) -> None:
        key = name[:64]
        with self._folder.locked(self._lock_of(key)):  # nobody writes to it, or to its half-written file
            text = self._folder.read(name)
            entry = None if text is None else parse(text)
            if entry is not None and self._is_gone(entry):
                self._folder.remove(name)

    def _is_gone(self, entry: Entry) -> bool:
        # Without its file, the numbers of a key's leases begin with the time: none may have been above that.
        return expired_at(entry) + KEPT_SECONDS < self._clock() and entry.fence < time.time_ns()
