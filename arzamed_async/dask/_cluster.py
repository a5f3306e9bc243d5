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
#: The most addresses that an error names.
NAMED = 5
_VERSION = "__import__('arzamed_async').__version__"


class Installed:
    """The parts of a cluster that were checked: each once, so that a worker which is too busy to respond delays a fan-out once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._checked: set[str] = set()

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
        """Raise ConfigurationError, with their addresses, if new workers lack the package or have another version."""
        new = [address for address in addresses if address not in self._checked]
        if not new:
            return
        found: Mapping[str, object] = {}
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                found = await self._client.run(builtins.eval, _VERSION, workers=new, on_error="return")
        except TimeoutError:
            pass
        _require({f"the worker {address}": version for address, version in found.items()})
        self._checked.update(new)


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
