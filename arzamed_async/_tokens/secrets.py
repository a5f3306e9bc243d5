"""Reading a clinic's secret from where it is kept."""

from __future__ import annotations

import asyncio

from ..credentials import SecretFromEnv, SecretFromFile

__all__ = ["resolved"]


async def resolved(secret: SecretFromEnv | SecretFromFile) -> str:
    """Return a secret by reference. Raises ConfigurationError where it cannot be had."""
    if isinstance(secret, SecretFromFile):  # it may lie on a disk that is slow, or gone
        return await asyncio.to_thread(secret.resolve)
    return secret.resolve()
