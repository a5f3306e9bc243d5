"""What a user would write instead of a fan-out: plain aiohttp, and httpx with Authlib. Each returns all lists of doctors."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable

import aiohttp
import orjson
from authlib.integrations.httpx_client import AsyncOAuth2Client

from arzamed_async import ClinicCredentials, Doctor
from rivals.decoding import lenient_converter

__all__ = ["by_hand", "with_httpx"]

_STRUCTURE = lenient_converter().get_structure_hook(list[Doctor])


async def by_hand(base_url: str, clinics: Iterable[ClinicCredentials], callers: int) -> list[list[Doctor]]:
    """One aiohttp session, a semaphore, a dict of tokens; orjson and tuned cattrs; no retry, no refresh, no error's name."""
    tokens: dict[str, str] = {}
    gate = asyncio.Semaphore(callers)
    url = f"{base_url}/equipe/doctors"

    async def token(http: aiohttp.ClientSession, clinic: ClinicCredentials) -> str:
        held = tokens.get(clinic.client_id)
        if held is None:
            async with http.post(
                clinic.token_url,
                data={"grant_type": "client_credentials", "scope": clinic.scope},
                headers={"Authorization": aiohttp.encode_basic_auth(clinic.client_id, str(clinic.client_secret))},
            ) as response:
                response.raise_for_status()
                held = tokens[clinic.client_id] = orjson.loads(await response.read())["access_token"]
        return held

    async def one(http: aiohttp.ClientSession, clinic: ClinicCredentials) -> list[Doctor]:
        async with gate:
            headers = {"Authorization": f"Bearer {await token(http, clinic)}"}
            async with http.get(url, headers=headers) as response:
                response.raise_for_status()
                return _STRUCTURE(orjson.loads(await response.read()), list[Doctor])

    async with aiohttp.ClientSession() as http:
        return await asyncio.gather(*(one(http, clinic) for clinic in clinics))


async def with_httpx(
    base_url: str, clinics: Iterable[ClinicCredentials], callers: int, *, tuned: bool = True
) -> list[list[Doctor]]:
    """Authlib's OAuth2 client for httpx, one a clinic as it has to be.

    `tuned` lets all share one TLS context, which is what costs most otherwise. To share one transport as well is
    slower by far: httpx looks through all its connections for each request.
    """
    gate = asyncio.Semaphore(callers)
    url = f"{base_url}/equipe/doctors"
    context: ssl.SSLContext | bool = ssl.create_default_context() if tuned else True

    async def one(clinic: ClinicCredentials) -> list[Doctor]:
        async with (
            gate,
            AsyncOAuth2Client(
                clinic.client_id,
                str(clinic.client_secret),
                scope=clinic.scope,
                token_endpoint=clinic.token_url,
                verify=context,
            ) as client,
        ):
            await client.fetch_token(grant_type="client_credentials")
            response = await client.get(url)
            response.raise_for_status()
            return _STRUCTURE(orjson.loads(response.content), list[Doctor])

    return await asyncio.gather(*(one(clinic) for clinic in clinics))
