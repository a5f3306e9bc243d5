"""curl_cffi: libcurl's multi interface with asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from curl_cffi import AsyncCurl, CurlMOpt
from curl_cffi.requests import AsyncSession

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened"]


@contextlib.asynccontextmanager
async def opened(url: str, headers: dict[str, str], connections: int) -> AsyncIterator[Call]:
    """Give the call: a handle for every caller. libcurl would keep connections for as many as are busy, so it gets a number."""
    multi = AsyncCurl()
    multi.setopt(CurlMOpt.MAXCONNECTS, connections)
    async with AsyncSession(
        async_curl=multi, max_clients=connections, timeout=DEADLINE_SECONDS, trust_env=False, discard_cookies=True
    ) as session:

        async def call() -> list[Doctor]:
            response = await session.get(url, headers=headers)
            return decode(response.status_code, response.content)

        yield call
    await multi.close()
