"""niquests: the successor of requests, with asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import niquests

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened"]


@contextlib.asynccontextmanager
async def opened(url: str, headers: dict[str, str], connections: int) -> AsyncIterator[Call]:
    """Give the call: one session for all, whose pool for a host has room for every caller."""
    async with niquests.AsyncSession(pool_maxsize=connections, timeout=DEADLINE_SECONDS) as session:
        session.trust_env = False

        async def call() -> list[Doctor]:
            response = await session.get(url, headers=headers)
            return decode(response.status_code or 0, response.content or b"")

        yield call
