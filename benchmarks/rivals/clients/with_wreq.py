"""wreq: a Rust client on a Tokio runtime, here with one worker, since the client has one core."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator

from wreq import Client
from wreq.runtime import Runtime

from rivals.clients import DEADLINE_SECONDS, decode
from rivals.with_aiohttp import Call, Doctor

__all__ = ["opened"]


@contextlib.asynccontextmanager
async def opened(url: str, headers: dict[str, str], connections: int) -> AsyncIterator[Call]:
    """Give the call: one client for all; the body is read without a copy."""
    async with Client(
        runtime=Runtime(workers=1),
        timeout=dt.timedelta(seconds=DEADLINE_SECONDS),
        pool_max_idle_per_host=connections,
        no_proxy=True,
    ) as client:

        async def call() -> list[Doctor]:
            response = await client.get(url, headers=headers)
            return decode(response.status.as_int(), await response.bytes())

        yield call
