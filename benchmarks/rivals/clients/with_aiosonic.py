"""aiosonic: an asyncio client with a parser of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiosonic import HTTPClient
from aiosonic.connectors import TCPConnector
from aiosonic.pools import PoolConfig
from aiosonic.timeout import Timeouts

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened"]


@contextlib.asynccontextmanager
async def opened(url: str, headers: dict[str, str], connections: int) -> AsyncIterator[Call]:
    """Give the call: a pool for every caller, whose connections are not replaced after 1,000 requests; one timeout, not three."""
    pool = PoolConfig(size=connections, max_conn_requests=None)
    timeouts = Timeouts(sock_connect=None, sock_read=None, request_timeout=DEADLINE_SECONDS)
    connector = TCPConnector(pool_configs={":default": pool}, timeouts=timeouts)
    async with HTTPClient(connector) as client:

        async def call() -> list[Doctor]:
            response = await client.get(url, headers=headers)
            return decode(response.status_code, await response.content())

        yield call
    await connector.cleanup()
