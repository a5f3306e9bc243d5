"""All ways along the request path, open and warm: hand-written rivals, and this library's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from rivals.with_aiohttp import Call, expert, tutorial
from servers.requests import DOCTORS

from arzamed_async import ArzamedSession, ClinicCredentials, PoolLimits
from tools.measure import facts
from tools.rounds import MALLOC

__all__ = ["CONNECTIONS", "DIRECT", "EXPERT", "LANES", "circumstances", "lanes", "opened", "warmed"]

CONNECTIONS = 256
EXPERT = "aiohttp, expert"  # (a): what the others are held against
DIRECT = "direct lane"
#: What makes requests take the ordinary lane.
LANES = ("http=", "proxy=", "trust_env=True")


async def _nothing() -> None:
    return None


@contextlib.asynccontextmanager
async def opened(origin: str, *, rivals: bool = True) -> AsyncIterator[tuple[dict[str, Call], dict[str, Any]]]:
    """Give the ways that read doctors, and those that stay in the process: a warm token, and an empty await.

    Without `rivals` only the expert's is there beside ours: nothing else has to be installed, or imported.
    """
    async with contextlib.AsyncExitStack() as stack:
        ways: dict[str, Call] = {EXPERT: await stack.enter_async_context(expert(origin, CONNECTIONS))}
        if rivals:
            from rivals.with_httpx import httpx_authlib

            bare = expert(origin, CONNECTIONS, total_seconds=None)
            ways["aiohttp, expert, no deadline"] = await stack.enter_async_context(bare)
            ways["aiohttp, tutorial"] = await stack.enter_async_context(tutorial(origin, CONNECTIONS))
            ways["httpx and Authlib"] = await stack.enter_async_context(httpx_authlib(origin, CONNECTIONS))
        session = await stack.enter_async_context(
            ArzamedSession(
                base_url=f"{origin}/api/v1",
                pool=PoolLimits(connections=CONNECTIONS, connections_per_clinic=CONNECTIONS),
            )
        )
        clinic = session.clinic(ClinicCredentials("invented", "invented", f"{origin}/token", name="bench"))

        async def batches() -> list[Any]:
            records: list[Any] = []
            async for batch in clinic.doctors.batches():
                records += batch
            return records

        ways["list"] = lambda: clinic.doctors.list()  # noqa: PLW0108 - `doctors` is evaluated for each call, as users do
        ways["batches"] = batches
        yield ways, {"token": clinic.token, "empty await": _nothing}


@contextlib.asynccontextmanager
async def lanes(origin: str) -> AsyncIterator[dict[str, Call]]:
    """Give `list` in the direct lane, and in the ordinary one for each reason, beside the expert's.

    The server is its own proxy: the proxied requests name it by its whole URL, and reach the same responses.
    """
    pool = PoolLimits(connections=CONNECTIONS, connections_per_clinic=CONNECTIONS)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, limit_per_host=CONNECTIONS)
    options: dict[str, dict[str, Any]] = {
        DIRECT: {"pool": pool},
        "http=": {"http": lambda: aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())},
        "proxy=": {"pool": pool, "proxy": origin},
        "trust_env=True": {"pool": pool, "trust_env": True},
    }
    async with contextlib.AsyncExitStack() as stack:
        ways: dict[str, Call] = {EXPERT: await stack.enter_async_context(expert(origin, CONNECTIONS))}
        for name, option in options.items():
            session = await stack.enter_async_context(ArzamedSession(base_url=f"{origin}/api/v1", **option))
            doctors = session.clinic(ClinicCredentials("invented", "invented", f"{origin}/token")).doctors
            await doctors.list()
            assert (session.stats().pool.lane == "direct") == (name == DIRECT), session.stats().pool.lane
            ways[name] = doctors.list
        yield ways


async def warmed(ways: dict[str, Call], calls: int = 3, doctors: int = DOCTORS) -> None:
    """Call each a few times, and see that each reads the same."""
    for name, call in ways.items():
        for _ in range(calls):
            records = await call()
        assert len(records) == doctors, name
        image = getattr(records[-1], "profile_image", None) or records[-1].profileImage
        last = doctors - 1
        assert (records[-1].name, image.rpartition("/")[2]) == (f"Dr. Inventata Numero {last}", f"{last:06}.png")


def circumstances(
    packages: list[str], *, client_core: int | None, processes: int, rounds: int, quick: bool
) -> dict[str, Any]:
    """Return what a report states of how it was measured: versions, machine, numbers of processes and rounds."""
    return {
        "facts": facts(*packages),
        "pinned": "no: one core, or no way to pin" if client_core is None else "server and client to a core each",
        "doctors": DOCTORS,
        "connections": CONNECTIONS,
        "processes": processes,
        "rounds": rounds,
        "environment": MALLOC,
        "quick": quick,
    }
