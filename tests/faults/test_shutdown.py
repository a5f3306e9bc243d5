"""Event loops that end while calls are under way: no noise, nothing left, and the session goes on in the next loop."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from support import RawServer
from test_storms import Stormy

pytestmark = pytest.mark.asyncio

SCRIPT = """
import asyncio, random, sys
from arzamed_async import ArzamedSession, ClinicCredentials, PoolLimits, TokenPolicy

origin, seed, coalesce = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
chance = random.Random(seed)
clinics = [ClinicCredentials(f"id-c{n}", "invented", f"{origin}/token/c{n}", name=f"c{n}") for n in range(6)]
session = ArzamedSession(
    base_url=f"{origin}/api/v1", pool=PoolLimits(connections=4), coalesce=coalesce,
    tokens=TokenPolicy(refresh_ahead_seconds=3600, margin_seconds=0),  # each call starts a refresh in the background
)

async def stream(clinic):
    async with clinic.doctors.stream() as doctors:
        async for doctor in doctors:
            await asyncio.sleep(0)

async def outcomes():
    async with session.fan_out(clinics, lambda clinic: clinic.doctors.list()) as outcomes:
        async for outcome in outcomes:
            await asyncio.sleep(0)

async def merged():
    async with session.merge(clinics, lambda clinic: clinic.doctors.stream()) as records:
        async for record in records:
            await asyncio.sleep(0)

async def midst():
    handles = [session.clinic(each) for each in clinics]
    if chance.random() < 0.5:
        await handles[0].token()
    calls = [call for clinic in handles for call in (clinic.token(), clinic.doctors.list(), stream(clinic))]
    tasks = [asyncio.create_task(call) for call in [*calls, outcomes(), merged()]]
    for _ in range(chance.randint(0, 30)):
        await asyncio.sleep(0)
    await asyncio.sleep(chance.choice([0, 0.005, 0.02]))
    return tasks  # and the loop ends

async def again():
    lists = await asyncio.gather(*(session.clinic(each).doctors.list() for each in clinics))
    assert all(len(doctors) == 900 for doctors in lists)
    if chance.random() < 0.5:
        await session.aclose()

for _ in range(3):
    asyncio.run(midst(), debug=False)  # the development mode would have it log what a loaded machine makes slow
asyncio.run(again(), debug=False)
print("fine")
"""


@pytest.mark.parametrize("coalesce", [False, True], ids=["", "coalesced"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_loop_that_ends_in_the_midst(seed: int, coalesce: bool) -> None:
    """Asyncio.run that ends while calls, streams, fan-outs and refreshes run is silent, and the next loop reads on."""
    async with Stormy(seed) as server:
        server.calm = True
        origin = f"http://127.0.0.1:{server.port}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, origin, str(seed), str(coalesce),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert err.decode() == ""
        assert out == b"fine\n"
        await closed(server)


async def closed(server: RawServer) -> None:
    async with asyncio.timeout(60):
        while server.open_connections:
            await asyncio.sleep(0.002)
