"""httpx2, the maintained continuation of httpx2."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx2

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened"]


@contextlib.asynccontextmanager
async def opened(url: str, headers: dict[str, str], connections: int) -> AsyncIterator[Call]:
    """Give the call: one client for all, whose pool keeps every connection."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(limits=limits, timeout=DEADLINE_SECONDS, trust_env=False) as client:

        async def call() -> list[Doctor]:
            response = await client.get(url, headers=headers)
            return decode(response.status_code, response.content)

        yield call
