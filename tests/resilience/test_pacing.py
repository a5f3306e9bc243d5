"""Pacing on an event loop: turns, deadlines, cancellation, a known limit. Time is virtual."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rivals.pacing import Paced
from servers.simulated import Bucket, Outage, Server
from tools.pacing_scenarios import SCENARIOS, measure
from tools.virtual_time import run_virtually

from arzamed_async._resilience.clinic_scope import ClinicScope
from arzamed_async._resilience.in_flight import InFlight
from arzamed_async._resilience.origin_scope import OriginScope
from arzamed_async._resilience.pace import Pace
from arzamed_async._resilience.pacing import NoTurnError, Pacing


def paced(server: Server, known_rate: float | None = None) -> Paced:
    return Paced(server, random.Random(1), known_rate)


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1.0 for at in times) for start in times)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3), st.none() | st.floats(0, 3)), min_size=1, max_size=60),
    st.floats(0, 0.5),
)
def test_a_known_limit_is_never_exceeded(rate: int, calls: list[tuple[float, int, float | None]], noise: float) -> None:
    """With a known limit no second has more requests than it allows, however calls come, fail and are cancelled."""

    async def run() -> None:
        server = Server(random.Random(1), noise=noise, limits=(Bucket(20, 5),))
        client = paced(server, rate)

        async def call(at: float, clinic: int, cancel_after: float | None) -> None:
            await asyncio.sleep(at)
            task = asyncio.create_task(client.call(clinic))
            if cancel_after is not None:
                asyncio.get_running_loop().call_later(cancel_after, task.cancel)
            await asyncio.wait([task])

        await asyncio.gather(*[call(*one) for one in calls])
        if server.log:
            assert most_in_a_second([at for at, _ in server.log]) <= rate
        assert client.origin.waiting == len(client.origin.open) == len(client.pacing.turns) == 0

    run_virtually(run())


@pytest.mark.parametrize("rate", [1, 7, 20, 50])
def test_a_known_limit_is_used_and_never_exceeded(rate: int) -> None:
    """Of 300 calls at once, in no second more are sent than the known limit allows, and hardly fewer."""

    async def run() -> list[float]:
        server = Server(random.Random(1))
        client = paced(server, rate)
        calls = [asyncio.create_task(client.call(number % 7)) for number in range(300)]
        await asyncio.sleep(5.0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        return [at for at, _ in server.log]

    times = run_virtually(run())
    assert most_in_a_second(times) <= rate
    assert len(times) >= 5 * rate * 0.98


#: How long a request is on its way: a fast network, a slow one, and one that is slower than the distance of requests.
NETWORKS = [(0.0005, 0.002), (0.001, 0.02), (0.01, 0.2)]


@pytest.mark.parametrize(("status", "retry_after"), [(429, None), (429, 1.0), (503, None)])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("rate", [2, 10, 50, 200])
def test_a_known_rate_that_is_the_limit_itself_loses_nobody(
    rate: int, network: tuple[float, float], status: int, retry_after: float | None
) -> None:
    """Requests arrive closer together than they are sent: what a server without a burst refuses is repeated until it is served."""

    async def run() -> list[bool]:
        limits = (Bucket(rate, 1),)
        server = Server(random.Random(1), status=status, retry_after=retry_after, limits=limits, network=network)
        client = paced(server, rate)
        served: list[bool] = []

        async def fetch(clinic: int) -> None:
            served.append(await client.call(clinic))

        await client.fan_out(list(range(min(300, 8 * rate))), fetch)
        assert server.refused > 0 or network[1] * rate < 0.1
        return served

    assert all(run_virtually(run()))


def test_a_known_rate_explains_no_other_limit() -> None:
    """With a known rate, keys that are used up cost few more requests than retries alone, and a clinic of its own is a retry's concern."""

    async def run(clinics: list[int]) -> tuple[int, int]:
        server = Server(random.Random(1), exhausted=lambda clinic: clinic % 10 == 3, network=NETWORKS[0])
        client = paced(server, 50)
        served: list[bool] = []

        async def fetch(clinic: int) -> None:
            served.append(await client.call(clinic))

        await client.fan_out(clinics, fetch)
        return served.count(False), server.refused

    lost, refused = run_virtually(run(list(range(300))))
    assert lost == 30
    assert refused <= 8 * lost
    assert run_virtually(run([3])) == (1, 4)


def test_a_known_rate_keeps_each_retry_after() -> None:
    """A clinic that is refused with Retry-After waits so long, and fails at once where its deadline is sooner; `forget` ends that."""

    async def run() -> None:
        client = paced(Server(random.Random(1)), 50)
        refused, other = ClinicScope("refused"), ClinicScope("other")
        loop = asyncio.get_running_loop()
        client.pacing.accepted(other, client.origin.start(other), loop.time())
        await asyncio.sleep(0.1)
        assert client.pacing.refused(refused, client.origin.start(refused), 429, 5.0, loop.time())
        assert refused.remembers(loop.time())
        with pytest.raises(NoTurnError, match="pause of this clinic"):
            await client.pacing.turn(refused, loop.time() + 4.0, 429)
        waiting = asyncio.create_task(client.pacing.turn(refused, loop.time() + 30.0, 429))
        assert await client.pacing.turn(other, None)
        assert loop.time() < 0.2
        client.pacing.accepted(other, client.origin.start(other), loop.time())
        assert await waiting
        assert loop.time() == pytest.approx(5.1, abs=0.01)
        client.pacing.refused(refused, client.origin.start(refused), 429, 5.0, loop.time())
        client.origin.forget(refused)
        assert not refused.remembers(loop.time())

    run_virtually(run())


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([429, 503]),
    st.floats(0.5, 50),
    st.integers(1, 20),
    st.none() | st.sampled_from([0.0, 1.0, 5.0, 3600.0]),
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 12), st.none() | st.floats(0, 5)), min_size=1, max_size=80),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 20)), max_size=2),
)
def test_every_call_ends(
    status: int,
    rate: float,
    burst: int,
    retry_after: float | None,
    calls: list[tuple[float, int, float | None]],
    outages: list[tuple[float, float]],
) -> None:
    """Whatever the server refuses, and whichever call is cancelled, each call ends by its deadline, and none is left."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        breaks = tuple(Outage(start, start + seconds) for start, seconds in outages)
        server = Server(
            random.Random(1), status=status, retry_after=retry_after, limits=(Bucket(rate, burst),), outages=breaks
        )
        client = paced(server)

        async def call(at: float, clinic: int, cancel_after: float | None) -> None:
            await asyncio.sleep(at)
            task = asyncio.create_task(client.call(clinic))
            if cancel_after is not None:
                loop.call_later(cancel_after, task.cancel)
            await asyncio.wait([task])
            assert loop.time() <= at + 30.001

        await asyncio.gather(*[call(*one) for one in calls])
        assert client.origin.waiting == client.origin.repeating == len(client.origin.open) == 0
        assert all(clinic.waiting == 0 for clinic in client.clinics.values())

    run_virtually(run())


def test_a_cancelled_turn_goes_to_the_next() -> None:
    """A caller cancelled in the very tick in which its turn comes hands it on, and takes no place in flight."""

    async def run() -> None:
        client = paced(Server(random.Random(1)), 10)
        client.origin.pace, client.origin.levels = Pace(0.0, 0), InFlight(0.0)
        client.origin.levels.cap = 1
        calls = [asyncio.create_task(client.call(number)) for number in range(3)]
        await asyncio.sleep(0.05)
        client.origin.known.ready_at = 0.05
        client.pacing._hand_out()
        calls[1].cancel()
        done, _ = await asyncio.wait(calls)
        assert [call.cancelled() for call in calls] == [False, True, False]
        assert all(call.result() for call in (calls[0], calls[2]))
        assert len(done) == 3
        assert asyncio.get_running_loop().time() < 0.5

    run_virtually(run())


def test_turns_of_a_loop_that_was_abandoned_hold_up_nobody_on_the_next() -> None:
    """Calls that had a turn, or were under way, on a loop that was left without their end do not count on the next one."""
    origin = OriginScope()
    pacing, clinic = Pacing(origin), ClinicScope()
    origin.active, origin.pace, origin.levels = True, Pace(0.0, 0), InFlight(0.0)
    origin.levels.cap = 2
    origin.take(clinic, 0.0)
    origin.start_in_turn(clinic)
    origin.take(clinic, 0.0)
    assert origin.full(0.5)
    pacing.leave_loop()
    assert not origin.full(0.5)


def test_a_call_without_a_turn_before_its_deadline_fails_at_once() -> None:
    """Its error holds whose limit it is, the present rate, how many calls wait, and how long it would have waited."""

    async def run() -> None:
        client = paced(Server(random.Random(1), limits=(Bucket(2, 2),)))
        loop = asyncio.get_running_loop()
        calls = [asyncio.create_task(client.call(number)) for number in range(30)]
        await asyncio.sleep(10.0)
        scope = client.clinics[0]
        started = loop.time()
        with pytest.raises(NoTurnError) as caught:
            await client.pacing.turn(scope, loop.time() + 0.5, 429)
        assert loop.time() == started
        assert caught.value.scope == "origin"
        assert caught.value.waiting > 1
        assert 0.5 < caught.value.requests_per_second < 4
        assert caught.value.seconds > 0.5
        await asyncio.gather(*calls)

    run_virtually(run())


def test_nobody_sends_before_a_retry_after_has_passed() -> None:
    """Where several clinics get Retry-After: 2, no request is sent earlier, and the restart is spread."""

    async def run() -> None:
        server = Server(random.Random(1), retry_after=2.0, limits=(Bucket(50, 20),))
        client = paced(server)
        await asyncio.gather(*[client.call(number) for number in range(64)])
        later = [at for at, _ in server.log if at > 0.01]
        assert min(later) >= 2.0
        assert later[10] - later[0] > 0.1

    run_virtually(run())


def test_a_long_retry_after_fails_later_calls_of_its_clinic_without_a_request() -> None:
    """Retry-After: 3600 with 429 shuts its clinic alone; `forget` opens it."""

    async def run() -> None:
        server = Server(random.Random(1), retry_after=3600.0, exhausted=lambda clinic: clinic == 7)
        client = paced(server)
        assert [await client.call(number) for number in (1, 7, 2)] == [True, False, True]
        sent = server.sent
        with pytest.raises(NoTurnError) as caught:
            await client.pacing.turn(client.clinics[7], None)
        assert caught.value.scope == "clinic"
        assert 3590 < caught.value.seconds <= 3600
        assert not await client.call(7)
        assert server.sent == sent
        client.origin.forget(client.clinics[7])
        await client.call(7)
        assert server.sent == sent + 1

    run_virtually(run())


def test_an_outage_with_all_clinics_twice_costs_exactly_its_budget() -> None:
    """1,000 calls against a server that only responds with 503, two of each clinic, are exactly 1,100 requests."""

    async def run() -> int:
        server = Server(random.Random(1), outages=(Outage(0, 1e9),))
        await paced(server).fan_out([*range(500), *range(500)], lambda _: asyncio.sleep(0), 1)
        client = paced(server)

        async def fetch(clinic: int) -> None:
            await client.call(clinic)

        await client.fan_out([*range(500), *range(500)], fetch)
        return server.sent

    assert run_virtually(run()) == 1100


def test_workers_that_wait_for_room_do_not_hang() -> None:
    """Where all callers reach their deadlines while workers wait for room, the workers go on, and the run ends."""

    async def run() -> tuple[int, float]:
        server = Server(random.Random(1), limits=(Bucket(1, 64),), outages=(Outage(1, 1e9),))
        client = paced(server)
        ended = 0

        async def fetch(clinic: int) -> None:
            nonlocal ended
            await client.call(clinic)
            ended += 1

        await client.fan_out(list(range(200)), fetch)
        return ended, asyncio.get_running_loop().time()

    ended, seconds = run_virtually(run())
    assert ended == 200
    assert seconds < 200


@pytest.mark.parametrize("rate", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("clinics", [3, 4, 5, 7])
def test_few_clinics_at_a_low_limit_are_all_served(clinics: int, rate: float) -> None:
    """Fewer clinics than make a heavy row: most of their requests are refused, which is the origin's limit all the same."""

    async def run() -> list[int]:
        served = []
        for seed in range(20):
            client = Paced(Server(random.Random(seed), limits=(Bucket(rate, 1),)), random.Random(seed))
            outcomes = await asyncio.gather(*[client.call(number) for number in range(clinics)])
            served.append(sum(outcomes))
        return served

    assert run_virtually(run()) == [clinics] * 20


def test_an_idle_pacing_waits_for_nobody() -> None:
    """While no request is refused, a call neither waits nor leaves a timer."""

    async def run() -> None:
        client = paced(Server(random.Random(1)))
        await asyncio.gather(*[client.call(number) for number in range(1000)])
        assert not client.origin.active
        assert client.pacing._timer is None

    run_virtually(run())


#: Of the scenarios, those with a figure to reach. The benchmark runs all, with many seeds.
ASKED = [scenario for scenario in SCENARIOS if scenario.asked != (None, None)]


@pytest.mark.parametrize("scenario", ASKED, ids=lambda scenario: scenario.name)
def test_scenarios(scenario) -> None:
    """All are served, nearly as fast as by a client that knows the limit, and few requests are refused."""
    time_over, refused = scenario.asked
    figures = measure(scenario, Paced, 0)
    assert figures.served > 0.9995
    assert figures.over_ideal < 1.1 * time_over
    assert refused is None or figures.refused < 1.25 * refused
    assert figures.more.get("jain", 1.0) > 0.93


def test_responses_under_way_do_not_hide_a_limit_of_concurrency() -> None:
    """A server has room before its response has arrived, so some requests are accepted at higher levels: the cap is found."""
    [scenario] = [one for one in SCENARIOS if one.name == "8 in flight, network of 0.5 to 2 ms"]
    assert measure(scenario, Paced, 0).over_ideal < 1.15


@pytest.mark.parametrize(
    "name", ["1% of 503s at random", "10% of 503s at random", "10 % exhausted", "nobody is refused"]
)
def test_what_is_no_throttling_changes_nothing(name: str) -> None:
    """Random 503s, and clinics whose limit is used up, cost what they cost without pacing: no call waits for a turn."""
    [scenario] = [one for one in SCENARIOS if one.name == name]
    figures = measure(scenario, Paced, 0)
    assert figures.served == 1.0
    assert figures.seconds < 2.5
