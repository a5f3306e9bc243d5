"""The token store for the processes of one user on one machine."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from attrs import evolve

from arzamed_async import ConfigurationError, Lease, StoredRejection, StoredToken
from arzamed_async._extras import hides_arguments

from ._entry import Entry, Grant, Kept, dump, parse
from ._extras import require
from ._folder import Folder
from ._holder import Holder
from ._sweep import Sweeper
from ._worker_pool import WorkerPool

__all__ = ["FileTokenStore"]

logger = logging.getLogger("arzamed_async")

_KEY = re.compile(r"[0-9a-f]{64}")
_CLOSE_SECONDS = 1.0


class FileTokenStore:
    """A TokenStore in a local folder, for the processes of one user on one machine (extra `stores`).

        store = FileTokenStore()
        async with ArzamedSession(token_store=store) as session:
            ...

    The folder is created with mode 0700. It contains one file with mode 0600 for each clinic; its name is a digest. The
    access tokens are not encrypted. Network file systems are not supported. Raises ConfigurationError if others can write
    to the folder, if it belongs to another user or is a symbolic link, or if the default folder has no absolute path.

    Files are replaced atomically, so a process may be killed at any time. A corrupt file counts as empty: it is logged
    once, and the next save overwrites it. The file of a clinic that is no longer used is removed a day after its token
    expired. A lease ends when its holder's process ends.

    Calls raise OSError if the disk is full or the folder is not writable, and `filelock.Timeout` if a suspended process
    holds the lock of a file.

    Args:
        folder: The folder. None: the user's cache folder for `arzamed-async`.
        clock: Returns seconds since the epoch.
    """

    @hides_arguments
    def __init__(self, folder: str | os.PathLike[str] | None = None, *, clock: Callable[[], float] = time.time) -> None:
        require("stores", "filelock", "platformdirs")
        if folder is None:
            from ._user_folder import user_folder

            folder = user_folder("cache")
        if not isinstance(folder, (str, os.PathLike)) or not isinstance(os.fspath(folder), str):
            raise ConfigurationError(f"folder must be a path, not {type(folder).__name__}")
        if "\0" in os.fspath(folder):
            raise ConfigurationError("folder contains a NUL character")
        if not callable(clock) or inspect.iscoroutinefunction(clock):
            raise ConfigurationError(f"clock must be a function that returns seconds, not {type(clock).__name__}")
        self._folder = Folder(Path(folder))
        self._clock = clock
        self._holder = Holder(self._folder)
        self._told = False
        self._sweeper = Sweeper(self._folder, clock, _lock_name)
        self._pool = WorkerPool()
        with suppress(OSError):  # raised again when the folder is used
            self._folder.check()

    # All file access runs in threads of the store's own, since a disk or a lock may block.

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return the stored value with its remaining lifetime, or None if there is none or it has expired."""
        return await self._pool.run(partial(self._load, key))

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Store a value for `kept.seconds_left`; return False, without a change, if a later lease's value is stored.

        Without a lease, store it only if the key has no value. A value that `is_valid` rejects is never stored.
        """
        if not kept.is_valid():
            return False
        stored = await self._pool.run(partial(self._save, key, kept, lease))
        if self._sweeper.is_due():
            with suppress(RuntimeError):  # the system starts no more threads
                threading.Thread(target=self._sweeper.sweep, name="arzamed-store-sweep", daemon=True).start()
        return stored

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Delete the stored token if it is this one; return whether it was."""
        return await self._pool.run(partial(self._discard, key, access_token))

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease that lasts `seconds`, or None while another holder has it. Does not wait."""
        # A lease that is acquired after its caller was cancelled has no holder.
        return await self._pool.run(partial(self._acquire, key, seconds), self._give_back)

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Extend a lease to `seconds` from now; return False if it has been lost."""
        return await self._pool.run(partial(self._renew, lease, seconds))

    async def release(self, lease: Lease, /) -> None:
        """Release a lease, unless it has been lost."""
        await self._pool.run(partial(self._release, lease))

    async def aclose(self) -> None:
        """End this store's leases. Raises nothing, and can be called repeatedly.

        A folder that hangs delays it by at most a second. Leases that it cannot end expire.
        """
        if not vars(self):  # the constructor has raised
            return
        with suppress(OSError):  # a TimeoutError too
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._pool.run(self._holder.close)

    def _read(self, key: str) -> Entry:
        text = self._folder.read(_name(key))
        if text is None:
            return Entry()
        entry = parse(text)
        if entry is None:
            if not self._told:
                self._told = True
                logger.warning(
                    "the token file %s is corrupt: it is ignored, and the next token overwrites it",
                    self._folder.path / _name(key),
                )
            return Entry()
        return entry

    def _write(self, key: str, entry: Entry) -> None:
        self._folder.replace(_name(key), dump(entry))

    def _lasts(self, grant: Grant | None) -> bool:
        return grant is not None and grant.lasts(self._clock()) and not self._holder.gone(grant.holder)

    def _load(self, key: str) -> StoredToken | StoredRejection | None:
        kept = self._read(key).kept
        return None if kept is None else kept.current(self._clock())

    def _save(self, key: str, value: StoredToken | StoredRejection, lease: Lease | None) -> bool:
        with self._folder.locked(_lock_name(key)):
            entry, now = self._read(key), self._clock()
            there = entry.kept if entry.kept and entry.kept.current(now) else None
            if there and (lease is None or lease.fence < there.fence):
                return False
            self._write(key, evolve(entry, kept=Kept(value, now, 0 if lease is None else lease.fence)))
        return True

    def _discard(self, key: str, access_token: str) -> bool:
        with self._folder.locked(_lock_name(key)):
            entry = self._read(key)
            kept = None if entry.kept is None else entry.kept.current(self._clock())
            if not isinstance(kept, StoredToken) or kept.access_token != access_token:
                return False
            self._write(key, evolve(entry, kept=None))
        return True

    def _acquire(self, key: str, seconds: float) -> Lease | None:
        if self._lasts(self._read(key).grant):  # the common case, which needs no lock
            return None
        holder = self._holder.name()
        with self._folder.locked(_lock_name(key)):
            entry = self._read(key)
            if self._lasts(entry.grant):
                return None
            # Based on the time too: if the file was lost, earlier leases with higher numbers may still be held.
            fence = max(time.time_ns(), entry.fence + 1, entry.kept.fence + 1 if entry.kept else 0)
            grant = Grant(secrets.token_hex(16), fence, holder, self._clock(), seconds)
            self._write(key, evolve(entry, fence=fence, grant=grant))
        return Lease(key, grant.owner, fence)

    def _renew(self, lease: Lease, seconds: float) -> bool:
        with self._folder.locked(_lock_name(lease.key)):
            entry = self._read(lease.key)
            grant = entry.grant
            if grant is None or not grant.is_of(lease) or not self._lasts(grant):
                return False
            self._write(lease.key, evolve(entry, grant=evolve(grant, at=self._clock(), seconds=seconds)))
        return True

    def _release(self, lease: Lease) -> None:
        with self._folder.locked(_lock_name(lease.key)):
            entry = self._read(lease.key)
            if entry.grant is not None and entry.grant.is_of(lease):
                self._write(lease.key, evolve(entry, grant=None))

    def _give_back(self, lease: Lease | None) -> None:
        if lease is not None:
            with suppress(OSError, ConfigurationError):  # otherwise it expires
                self._release(lease)


def _name(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ConfigurationError("the key of a token store must be a digest of 64 hex digits")
    return f"{key}.json"


def _lock_name(key: str) -> str:
    return f"{_name(key)[:2]}.lock"  # shared by several keys, so that there are at most 256
