"""Reads a clinic's secret from a variable or a file."""

from __future__ import annotations

import asyncio

from ..credentials import SecretFromEnv, SecretFromFile

__all__ = ["resolved"]


async def resolved(secret: SecretFromEnv | SecretFromFile) -> str:
    """Return the secret that is referred to. Raises ConfigurationError where it is not available."""
    if isinstance(secret, SecretFromFile):  # in a thread: the disk may be slow
        return await asyncio.to_thread(secret.resolve)
    return secret.resolve()
