"""pyreqwest: Rust's reqwest, on a Tokio runtime with one thread, which is its default."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator

from pyreqwest.client import ClientBuilder

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened"]


@contextlib.asynccontextmanager
async def opened(url: str, headers: dict[str, str], connections: int) -> AsyncIterator[Call]:
    """Give the call: one client for all; the body is read without a copy."""
    builder = ClientBuilder().timeout(dt.timedelta(seconds=DEADLINE_SECONDS)).pool_max_idle_per_host(connections)
    async with builder.no_proxy().build() as client:

        async def call() -> list[Doctor]:
            response = await client.get(url).headers(headers).build().send()
            return decode(response.status, memoryview(await response.bytes()))

        yield call
