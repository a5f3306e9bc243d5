"""Reads a clinic's secret from a variable or a file."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from .._concurrency.threads import Threads
from ..credentials import SecretFromEnv, SecretFromFile
from ..errors import ConfigurationError

__all__ = ["SecretReader"]


class SecretReader:
    """Reads secrets. A file has `seconds` for it: what hangs (a file system, a named pipe) holds up nothing else."""

    __slots__ = ("_seconds", "_threads")

    def __init__(self, threads: Threads, seconds: float) -> None:
        self._threads = threads
        self._seconds = seconds

    async def read(self, secret: SecretFromEnv | SecretFromFile) -> str:
        """Return the secret referred to. Raises ConfigurationError, also if the file hangs."""
        if isinstance(secret, SecretFromEnv):
            return secret.resolve()
        call = self._threads.call(("secret", secret.path), ("folder", secret.path.parent), secret.resolve)
        try:
            async with asyncio.timeout(None if math.isinf(self._seconds) else self._seconds):
                return await call.wait()
        except TimeoutError:
            pass
        raise _hangs(secret.path, waited=call.started is None)


def _hangs(path: Path, *, waited: bool) -> ConfigurationError:
    what = "the threads were taken by other files and look-ups that hang" if waited else "it hangs"
    return ConfigurationError(f"the secret file {path} cannot be read within connect_seconds ({what})")
