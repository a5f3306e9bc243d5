"""The scenarios in which pacing is measured: servers that push back, in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from typing import Any

from attrs import define, field
from rivals.pacing import Botocore, Client, Paced, Retrying
from servers.simulated import Bucket, Concurrency, FixedWindow, Outage, Server, SlidingWindow

from tools.virtual_time import run_virtually

__all__ = [
    "CLIENTS",
    "SCENARIOS",
    "Figures",
    "Limited",
    "Make",
    "Scenario",
    "bucket",
    "has_own_limit",
    "innocent",
    "jain",
    "measure",
    "p99_ms",
    "steps",
    "tenth",
]

CLIENTS: dict[str, type[Client]] = {"retries": Retrying, "botocore": Botocore, "pacing": Paced}
Make = Callable[[random.Random], Server]


@define
class Figures:
    """What one run came to. `over_ideal` is the time over that of a client that knows the limit."""

    served: float
    seconds: float
    over_ideal: float | None
    refused: float
    requests_per_call: float
    more: dict[str, float] = field(factory=dict)


@define
class Scenario:
    """A server, and what is requested of it. `ideal_seconds` are those of a client that knows the limit.

    `asked` is what pacing has to attain: the time over the ideal, and the share refused of all requests sent.
    """

    name: str
    server: Make
    ideal_seconds: float | None = None
    clinics: int = 1000
    calls: int = 1  # of each clinic
    at_once: bool = False  # the calls of one clinic
    processes: int = 1
    counts: Callable[[int], bool] = lambda clinic: True  # whose calls have to be served
    asked: tuple[float | None, float | None] = (None, None)


def bucket(rate: float | Callable[[float], float], burst: float, **more: Any) -> Make:
    return lambda lots: Server(lots, limits=(Bucket(rate, burst),), **more)


def limited(
    rate: float, burst: float, clinics: int, name: str = "", asked: tuple[float, float] = (1.1, 0.07), **more: Any
) -> Scenario:
    name = name or f"{rate:g}/s, burst {burst:g}"
    return Scenario(name, bucket(rate, burst, **more), (clinics - burst) / rate, clinics=clinics, asked=asked)


def steps(now: float) -> float:
    return 50.0 if now < 20 else 10.0 if now < 40 else 200.0


def tenth(clinic: int) -> bool:
    return (clinic * 2654435761 >> 7) % 10 == 3


def innocent(clinic: int) -> bool:
    return not tenth(clinic)


def hanging(clinic: int) -> float:
    return 20.0 if clinic in {1000, 2000, 3000} else 0.0


def has_own_limit(clinic: int) -> bool:
    """Return whether a clinic is one of 20 among 220 that `Limited` limits."""
    return clinic % 11 == 5


class Limited:
    """Twenty of 220 clinics have a limit of their own."""

    def __init__(self) -> None:
        self.buckets: dict[int, Bucket] = {}

    def __call__(self, clinic: int) -> Bucket | None:
        if not has_own_limit(clinic):
            return None
        return self.buckets.setdefault(clinic, Bucket(5, 5))


def noisy(share: float) -> Scenario:
    return Scenario(f"{share:.0%} of 503s at random", lambda lots: Server(lots, noise=share))


def outage(start: float, end: float) -> Make:
    return lambda lots: Server(lots, outages=(Outage(start, end),))


#: The numbers of clinics: 1,000; more where the first volley of 64 alone, or one second, would be most of the run.
SCENARIOS = [
    limited(10, 20, 1000, asked=(1.1, 0.07)),
    limited(10, 50, 1000, asked=(1.1, 0.07)),
    limited(50, 20, 1000, asked=(1.1, 0.07)),
    limited(50, 50, 1000, asked=(1.1, 0.07)),
    limited(500, 20, 5000, asked=(1.1, 0.07)),
    limited(500, 50, 5000, asked=(1.1, 0.07)),
    limited(10, 20, 1000, "10/s, burst 20, 503", asked=(1.1, 0.07), status=503),
    limited(50, 50, 1000, "50/s, burst 50, 503", asked=(1.1, 0.07), status=503),
    limited(500, 50, 5000, "500/s, burst 50, 503", asked=(1.1, 0.07), status=503),
    limited(10, 1, 1500, asked=(1.3, 0.07)),
    limited(50, 1, 1500, asked=(1.3, 0.07)),
    limited(500, 1, 5000, asked=(1.3, 0.07)),
    limited(50, 50, 1000, "50/s, burst 50, Retry-After 1", asked=(1.1, 0.05), retry_after=1.0),
    limited(50, 1, 1500, "50/s, burst 1, Retry-After 1", asked=(1.5, 0.05), retry_after=1.0),
    limited(500, 50, 5000, "500/s, burst 50, Retry-After 1", asked=(1.8, 0.01), retry_after=1.0),
    Scenario(
        "fixed window, 100 per 10 s",
        lambda lots: Server(lots, limits=(FixedWindow(100, 10.0),)), 90.0, asked=(1.25, 0.1),
    ),
    Scenario(
        "sliding window, 100 per 10 s",
        lambda lots: Server(lots, limits=(SlidingWindow(100, 10.0),)), 90.0, asked=(1.25, 0.1),
    ),
    Scenario(
        "8 in flight",
        lambda lots: Server(lots, status=503, limits=(Concurrency(8),)), 15.0, clinics=6000, asked=(1.2, 0.03),
    ),
    Scenario(
        "8 in flight, 5 to 35 ms",
        lambda lots: Server(lots, status=503, limits=(Concurrency(8),), spread=(0.005, 0.035)), 15.0, clinics=6000,
    ),
    Scenario(
        "8 in flight, 3 clinics hang",
        lambda lots: Server(lots, status=503, limits=(Concurrency(8),), hanging=hanging), 15.0, clinics=6000,
    ),
    Scenario(
        "8 in flight, network of 0.5 to 2 ms",
        lambda lots: Server(lots, status=503, limits=(Concurrency(8),), network=(0.0005, 0.002)), 6000 * 0.0225 / 8, clinics=6000,
        asked=(1.2, 0.03),
    ),
    Scenario("50, 10, 200/s", bucket(steps, 50), 40 + (5000 - 1250) / 200, clinics=5000, asked=(1.2, 0.03)),
    Scenario(
        "20 of 220 clinics at 5/s", lambda lots: Server(lots, of_clinics=Limited()), (80 - 5) / 5,
        clinics=220, calls=80, at_once=True, asked=(1.1, None),
    ),
    Scenario("220 clinics, none limited", Server, clinics=220, calls=80, at_once=True),
    Scenario("5 calls at once of each clinic", bucket(50, 50), 950 / 50, clinics=200, calls=5, at_once=True),
    Scenario("4 processes, 50/s", bucket(50, 50), 3950 / 50, processes=4, asked=(1.1, 0.08)),
    Scenario("10 % exhausted", lambda lots: Server(lots, exhausted=tenth), counts=innocent),
    Scenario(
        "10 % exhausted, 50/s", bucket(50, 50, exhausted=tenth), 850 / 50, counts=innocent, asked=(2.0, None)
    ),
    noisy(0.01),
    noisy(0.05),
    noisy(0.1),
    Scenario("outage from the start", outage(0, math.inf)),
    Scenario("outage of 5 s, 50/s", bucket(50, 50, outages=(Outage(8, 13),)), 950 / 50 + 4, asked=(1.15, None)),
    Scenario("outage of 5 s, no limit", outage(0.1, 5.1)),
    Scenario("outage for good after 0.3 s", outage(0.3, math.inf)),
    Scenario("nobody is refused", Server),
]  # fmt: skip


def jain(rates: list[float]) -> float:
    """Return Jain's index of fairness: 1 where all rates are equal."""
    return sum(rates) ** 2 / (len(rates) * sum(rate * rate for rate in rates)) if any(rates) else 0.0


def p99_ms(latencies: list[float]) -> float | None:
    """Return the 99th percentile of seconds, in milliseconds; None where there are none."""
    return 1000 * sorted(latencies)[int(len(latencies) * 0.99)] if latencies else None


def measure(scenario: Scenario, client: type[Client], seed: int) -> Figures:
    """Run a scenario once."""
    return run_virtually(_measure(scenario, client, seed))


async def _measure(scenario: Scenario, kind: type[Client], seed: int) -> Figures:
    loop = asyncio.get_running_loop()
    server = scenario.server(random.Random(seed))
    served: list[int] = []
    latencies: list[float] = []
    spared: dict[bool, int] = {True: 0, False: 0}

    async def process(number: int) -> float:
        client = kind(server, random.Random(seed * 1000 + number))
        clinics: list[int] = list(range(number * scenario.clinics, (number + 1) * scenario.clinics))
        done = 0

        async def one(clinic: int) -> None:
            nonlocal done
            started = loop.time()
            ok = await client.call(clinic)
            done += ok
            if scenario.counts(clinic):
                spared[ok] += 1
            if ok and not has_own_limit(clinic):
                latencies.append(loop.time() - started)

        async def fetch(clinic: int) -> None:
            if scenario.at_once:
                await asyncio.gather(*[one(clinic) for _ in range(scenario.calls)])
            else:
                for _ in range(scenario.calls):
                    await one(clinic)

        await client.fan_out(clinics, fetch)
        served.append(done)
        return loop.time()

    ends = await asyncio.gather(*[process(number) for number in range(scenario.processes)])
    seconds = max(ends)
    rates = [done / end for done, end in zip(served, ends, strict=True)]
    p99 = p99_ms(latencies)
    more = {} if p99 is None else {"p99_ms": p99}
    if scenario.processes > 1:
        more["jain"] = jain(rates)
    calls = scenario.processes * scenario.clinics * scenario.calls
    return Figures(
        served=spared[True] / (spared[True] + spared[False]),
        seconds=seconds,
        over_ideal=seconds / scenario.ideal_seconds if scenario.ideal_seconds else None,
        refused=server.refused / server.sent,
        requests_per_call=server.sent / calls,
        more=more,
    )
