"""Whether this package is installed where a fan-out needs it. A Dask worker that cannot import a task may end, and the caller waits.

What is sent for that has to run without the package: an expression, and the `eval` of Python.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterable, Mapping
from typing import Any

from arzamed_async import ConfigurationError, __version__

__all__ = ["Installed"]

#: A part of the cluster that does not respond within this time is not waited for: it may be busy.
RESPONSE_SECONDS = 10.0
#: Requests at the same time: each needs a connection to the scheduler.
AT_ONCE = 64
#: The most addresses that an error names.
NAMED = 5
_VERSION = "__import__('arzamed_async').__version__"


class Installed:
    """The parts of a cluster that were checked. A worker that is too busy to respond delays a fan-out once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._checked: set[str] = set()
        self._waited_for: set[str] = set()
        self._asked: dict[str, asyncio.Task[object]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def check_scheduler(self) -> None:
        """Raise ConfigurationError unless the scheduler, which unpickles tasks, has the package."""
        found: object = __version__
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                found = await self._client.run_on_scheduler(builtins.eval, _VERSION)
        except TimeoutError:
            return
        except ImportError as error:
            found = error
        _require({"the scheduler": found})

    async def check_workers(self, addresses: Iterable[str]) -> None:
        """Raise ConfigurationError, with their addresses, if workers lack the package or have another version.

        There is a call for each worker: one that is busy hides no other. What it returns later is looked at by a later check.
        """
        present = set(addresses)
        for gone in self._asked.keys() - present:
            self._asked.pop(gone).cancel()
        unknown = present - self._checked - self._asked.keys()
        asked = {address: asyncio.create_task(self._version_at(address)) for address in unknown}
        self._asked.update(asked)
        new = [task for address, task in asked.items() if address not in self._waited_for]
        self._waited_for |= unknown
        if new:
            await asyncio.wait(new, timeout=RESPONSE_SECONDS)
        ended = [address for address, task in self._asked.items() if task.done()]
        found = {address: self._asked.pop(address).result() for address in ended}
        _require({f"the worker {address}": version for address, version in found.items()})
        self._checked.update(address for address, version in found.items() if isinstance(version, str))

    async def aclose(self) -> None:
        """Wait for no worker any more."""
        asked, self._asked = list(self._asked.values()), {}
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def _version_at(self, address: str) -> object:
        """Return the version that a worker has, an exception, or None if it has not responded in time."""
        try:
            async with self._slots, asyncio.timeout(RESPONSE_SECONDS):
                found: Mapping[str, object] = await self._client.run(
                    builtins.eval, _VERSION, workers=[address], on_error="return"
                )
        except TimeoutError:
            return None
        return found.get(address)


def _require(found: Mapping[str, object]) -> None:
    lacking = [where for where, version in found.items() if isinstance(version, ImportError)]
    if lacking:
        raise ConfigurationError(
            f"arzamed_async cannot be imported by {_named(lacking)}: install it (with the extra dask) on the scheduler and"
            " on every worker of the Dask cluster"
        )
    others = [
        f"{where} ({version})"
        for where, version in found.items()
        if isinstance(version, str) and version != __version__
    ]
    if others:
        raise ConfigurationError(
            f"another version of arzamed_async is installed for {_named(others)}: install {__version__}, the version of this"
            " process, on the scheduler and on every worker"
        )


def _named(places: list[str]) -> str:
    more = len(places) - NAMED
    return ", ".join(places[:NAMED]) + (f" and {more} more" if more > 0 else "")
