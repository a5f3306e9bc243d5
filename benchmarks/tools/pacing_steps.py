"""One run of pacing against a limit that changes, second by second: what the picture of the guide is drawn from."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from rivals.pacing import Paced
from servers.simulated import Bucket, Server

from tools.pacing_scenarios import steps
from tools.virtual_time import run_virtually

__all__ = ["steps_over_time"]

CLINICS = 5000
BURST = 50
#: How often the rate is looked at, and the width of a column of requests.
SAMPLE_SECONDS = 0.2
COLUMN_SECONDS = 1.0


def steps_over_time(seed: int = 0) -> dict[str, Any]:
    """Return limit and rate over time, and the requests accepted and refused in each second."""
    return run_virtually(_run(seed))


async def _run(seed: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    server = Server(random.Random(seed), limits=(Bucket(steps, BURST),))
    client = Paced(server, random.Random(seed))
    samples: list[tuple[float, float, float | None]] = []

    async def watch() -> None:
        while True:
            rate = client.pacing.rate()
            samples.append((round(loop.time(), 3), steps(loop.time()), None if rate is None else round(rate, 2)))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def fetch(clinic: int) -> None:
        await client.call(clinic)

    watching = asyncio.create_task(watch())
    await client.fan_out(list(range(CLINICS)), fetch)
    watching.cancel()
    columns = [[0, 0] for _ in range(int(loop.time() / COLUMN_SECONDS) + 1)]
    for at, accepted in server.log:
        columns[int(at / COLUMN_SECONDS)][0 if accepted else 1] += 1
    return {
        "burst": BURST,
        "samples": samples,
        "accepted": [accepted for accepted, _ in columns],
        "refused": [refused for _, refused in columns],
    }
