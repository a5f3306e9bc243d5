"""The client of httpx's API: httpx itself, and the libraries that have the same classes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened_with"]


@contextlib.asynccontextmanager
async def opened_with(
    new_client: Callable[..., Any], new_limits: Callable[..., Any], url: str, headers: dict[str, str], connections: int
) -> AsyncIterator[Call]:
    """Give the call: one client for all, whose pool keeps every connection."""
    limits = new_limits(max_connections=connections, max_keepalive_connections=connections)
    async with new_client(limits=limits, timeout=DEADLINE_SECONDS, trust_env=False) as client:

        async def call() -> list[Doctor]:
            response = await client.get(url, headers=headers)
            return decode(response.status_code, response.content)

        yield call
