"""What a user would write instead of `await clinic.doctors.list()`, with httpx. See rivals/with_aiohttp.py."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
import pydantic
from authlib.integrations.httpx_client import AsyncOAuth2Client
from tools.records import PydanticDoctor

from rivals.with_aiohttp import PATH, Call

__all__ = ["httpx_authlib"]


@contextlib.asynccontextmanager
async def httpx_authlib(origin: str, connections: int) -> AsyncIterator[Call]:
    """(c) httpx with Authlib's OAuth2 client, and pydantic: one client, which holds the token and looks after it."""
    url = origin + PATH
    adapter = pydantic.TypeAdapter(list[PydanticDoctor])
    async with AsyncOAuth2Client(
        "invented",
        "invented",
        scope="https://api.nextgen.arzamed.com/read",
        token_endpoint=f"{origin}/token",
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
    ) as client:
        await client.fetch_token(grant_type="client_credentials")

        async def call() -> list[PydanticDoctor]:
            response = await client.get(url)
            response.raise_for_status()
            return adapter.validate_json(response.content)

        yield call
