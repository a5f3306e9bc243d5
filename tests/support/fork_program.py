"""A program that forks while its session has idle connections. Run as: fork_program.py HOW LANE URL [CA]; prints JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
import sys
from typing import Any

import aiohttp
import pytest
from raw_server import take_ordinary_lane

from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials

READS = 20


def clinic(url: str, name: str) -> ClinicCredentials:
    """Return the credentials of a clinic whose token and doctors have its name."""
    return ClinicCredentials(name, "invented", f"{url}/token/{name}", name=name)


async def read(session: ArzamedSession, url: str, name: str) -> int:
    """Read a clinic again and again; return the number of lists that are not its own."""
    foreign = 0
    for _ in range(READS):
        doctors = await session.clinic(clinic(url, name)).doctors.list()
        foreign += [doctor.name for doctor in doctors] != [name]
    return foreign


async def in_child(session: ArzamedSession, url: str, into: Any) -> None:
    """Read two clinics: one has a token of the parent's, the other none."""
    found = {
        "foreign": await read(session, url, "b") + await read(session, url, "c"),
        "lane": session.stats().pool.lane,
    }
    into.write(json.dumps(found))
    into.flush()
    await session.aclose()


def session_for(lane: str, url: str, authority: str | None) -> ArzamedSession:
    """Return a session of that lane."""
    context = None if authority is None else ssl.create_default_context(cafile=authority)
    if lane == "callable":
        return ArzamedSession(
            base_url=url, http=lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True))
        )
    return ArzamedSession(base_url=url, ssl_context=context)


async def read_two(session: ArzamedSession, url: str) -> None:
    """Open connections for two clinics at once."""
    await asyncio.gather(read(session, url, "a"), read(session, url, "b"))


async def refused(session: ArzamedSession, url: str) -> str:
    """Go on with the coroutine in which the process forked."""
    try:
        await session.clinic(clinic(url, "b")).doctors.list()
    except ArzamedError as error:
        return f"{type(error).__name__}: {error}"
    return ""


async def around_a_fork(session: ArzamedSession, url: str) -> dict[str, Any]:
    """Fork inside the running loop. The child ends without leaving it, as one of multiprocessing does."""
    await read_two(session, url)
    reader, writer = os.pipe()
    if not os.fork():
        try:
            text = await refused(session, url)
            with os.fdopen(writer, "w") as into:
                asyncio.run(in_child(session, url, into))
                gc.collect()
                into.write("\n" + text)
        finally:
            os._exit(0)
    os.close(writer)
    foreign = await read(session, url, "a")
    await asyncio.to_thread(os.waitpid, -1, 0)
    with os.fdopen(reader) as from_child:
        child, text = from_child.read().split("\n")
    return {"foreign": foreign + await read(session, url, "a"), "child": json.loads(child), "refused": text}


def beside_a_loop(session: ArzamedSession, url: str, *, same: bool) -> dict[str, Any]:
    """Fork while no loop runs. The child ends as any program does, with its finalizers."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(read_two(session, url))
    reader, writer = os.pipe()
    if not os.fork():
        with os.fdopen(writer, "w") as into:
            if same:
                loop.run_until_complete(in_child(session, url, into))
            else:
                asyncio.run(in_child(session, url, into))
        loop = session = None  # type: ignore[assignment]
        gc.collect()
        sys.exit()
    os.close(writer)
    foreign = loop.run_until_complete(read(session, url, "a"))
    os.waitpid(-1, 0)
    foreign += loop.run_until_complete(read(session, url, "a"))
    loop.run_until_complete(session.aclose())
    loop.close()
    with os.fdopen(reader) as from_child:
        return {"foreign": foreign, "child": json.loads(from_child.read())}


def main(how: str, lane: str, url: str, authority: str | None = None) -> None:
    """Fork, and report what parent and child have read."""
    if lane == "ordinary":
        with pytest.MonkeyPatch.context() as patch:
            take_ordinary_lane(patch)
            fork(how, lane, url, authority)
    else:
        fork(how, lane, url, authority)


def fork(how: str, lane: str, url: str, authority: str | None) -> None:
    """Fork in the way told."""
    session = session_for(lane, url, authority)
    if how == "running":

        async def work() -> dict[str, Any]:
            async with session:
                return await around_a_fork(session, url)

        sys.stdout.write(json.dumps(asyncio.run(work())))
    else:
        sys.stdout.write(json.dumps(beside_a_loop(session, url, same=how == "same")))


if __name__ == "__main__":
    main(*sys.argv[1:])
