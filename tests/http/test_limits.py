"""What one clinic, or an outage, may cost the others: bulkheads, pool, retry budget, breaker, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter

import pytest
from support import DOCTORS, RawServer, Request, answer, json_answer, settle, token_answer
from support.tokens import Clock

from arzamed_async import (
    ArzamedSession,
    BreakerPolicy,
    CircuitChanged,
    CircuitOpenError,
    ClinicCredentials,
    ConfigurationError,
    DeadlineExceededError,
    Event,
    ForbiddenError,
    PoolLimits,
    RetryPolicy,
    ServiceUnavailableError,
    StatusError,
    StreamInterruptedError,
    Timeouts,
    TokenUnavailableError,
    TransportError,
)

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)
ONE = RetryPolicy.none()


class Gated(RawServer):
    """Gives each clinic a token of its own, and answers a clinic's reads when its gate is open."""

    def __init__(self) -> None:
        super().__init__(self.gated)
        self.gates: dict[str, asyncio.Event] = {}
        self.in_flight: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.reads: list[str] = []

    async def gated(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(request.target.rsplit("/", 1)[1]))
            return
        clinic = request.headers["authorization"].removeprefix("Bearer ")
        self.reads.append(clinic)
        self.in_flight[clinic] += 1
        self.most[clinic] = max(self.most[clinic], self.in_flight[clinic])
        try:
            if clinic in self.gates:
                await self.gates[clinic].wait()
            await asyncio.sleep(0.001)  # so that requests meet
            writer.write(json_answer(200, DOCTORS))
        finally:
            self.in_flight[clinic] -= 1


async def until(condition: object) -> None:
    """Let the server and the client go on until a condition (a callable) holds."""
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_clinic_has_no_more_in_flight_than_its_bulkhead_lets_through() -> None:
    """A hundred calls of one clinic are never more than connections_per_clinic on the wire, and all are answered."""
    async with (
        Gated() as server,
        ArzamedSession(base_url=server.base_url, pool=PoolLimits(connections_per_clinic=5)) as session,
    ):
        clinic = session.clinic(server.credentials())
        lists = await asyncio.gather(*(clinic.doctors.list() for _ in range(100)))
    assert [len(doctors) for doctors in lists] == [3] * 100
    assert server.most["Milano"] == 5


async def test_a_hanging_clinic_does_not_starve_the_others() -> None:
    """With a thousand calls of a clinic that hangs in the queue, another's pass at once; then all are answered."""
    async with (
        Gated() as server,
        ArzamedSession(base_url=server.base_url, pool=PoolLimits(connections=6, connections_per_clinic=4)) as session,
    ):
        hanging, healthy = session.clinic(server.credentials("slow")), session.clinic(server.credentials("quick"))
        server.gates["slow"] = asyncio.Event()
        queued = [asyncio.create_task(hanging.doctors.list()) for _ in range(1000)]
        await until(lambda: server.in_flight["slow"] == 4)
        for _ in range(20):
            assert len(await healthy.doctors.list()) == 3
        stats = session.stats()
        assert (stats.clinics["slow"].in_flight, stats.clinics["slow"].queued) == (4, 996)
        assert stats.pool.in_use == 4
        assert stats.pool.open is not None
        assert stats.pool.open <= 6
        server.gates["slow"].set()
        assert all(len(doctors) == 3 for doctors in await asyncio.gather(*queued))


async def test_calls_of_one_clinic_are_served_in_the_order_in_which_they_came() -> None:
    """The queue before a bulkhead is fair."""
    async with (
        Gated() as server,
        ArzamedSession(base_url=server.base_url, pool=PoolLimits(connections_per_clinic=1)) as session,
    ):
        clinic = session.clinic(server.credentials())
        order: list[int] = []

        async def call(number: int) -> None:
            await clinic.doctors.list()
            order.append(number)

        await asyncio.gather(*(call(number) for number in range(20)))
    assert order == list(range(20))


async def test_no_slot_is_held_between_attempts_nor_while_a_token_is_waited_for() -> None:
    """A call that sleeps before its next attempt, or waits for a token, leaves its slot to another."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            if server.token_requests == 2:
                await tokens.wait()
            writer.write(token_answer(f"t{server.token_requests}"))
        elif request.target.endswith("busy"):
            writer.write(answer(503, b"", "Retry-After: 20\r\n"))
        elif request.target.endswith("stale") and request.headers["authorization"] == "Bearer t1":
            writer.write(answer(401))
        else:
            writer.write(json_answer(200, DOCTORS))

    tokens = asyncio.Event()
    one = PoolLimits(connections=1, connections_per_clinic=1)
    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, pool=one) as session:
        clinic = session.clinic(server.credentials())
        sleeping = asyncio.create_task(clinic.get("busy"))
        await until(lambda: session.stats().clinics["Milano"].retries == 1)
        assert len(await clinic.doctors.list()) == 3
        waiting = asyncio.create_task(clinic.get("stale"))
        await until(lambda: server.token_requests == 2)
        stats = session.stats()
        assert (stats.clinics["Milano"].in_flight, stats.pool.in_use) == (0, 1)  # the one is the token request
        tokens.set()
        assert (await waiting).status == 200
        sleeping.cancel()
        await asyncio.wait([sleeping])


async def test_an_open_stream_holds_its_slot_until_it_is_left() -> None:
    """A stream's slot is free again when it ends, is left, or breaks."""
    body = b"[" + b",".join([b'{"name":"Dr. Inventata","profileImage":null}'] * 50_000) + b"]"

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(200, body))

    one = PoolLimits(connections=1, connections_per_clinic=1)
    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, pool=one) as session:
        clinic = session.clinic(server.credentials())
        async with clinic.doctors.stream() as stream:
            await anext(stream)
            second = asyncio.create_task(clinic.doctors.list())
            await settle()
            assert session.stats().clinics["Milano"].queued == 1
        assert len(await second) == 50_000
        assert len([doctor async for doctor in clinic.doctors.stream()]) == 50_000
        stats = session.stats()
        assert (stats.clinics["Milano"].in_flight, stats.pool.in_use) == (0, 0)


async def test_sockets_are_never_more_than_connections_over_all_hosts() -> None:
    """Idle connections count: with a token host for each clinic there are never more sockets than `connections`."""
    most = 0

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        most = max(most, sum(server.open_connections for server in servers))
        await api.good(request, writer)

    api = RawServer(handler)
    servers = [api, *(RawServer(handler) for _ in range(7))]
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        session = ArzamedSession(base_url=api.base_url, pool=PoolLimits(connections=5, connections_per_clinic=3))
        clinics = [
            ClinicCredentials(f"id{n}", "invented", f"http://127.0.0.1:{servers[1 + n % 7].port}/token", name=f"c{n}")
            for n in range(60)
        ]
        outcomes = await session.gather(clinics, lambda clinic: clinic.doctors.list())
        assert all(outcome.ok for outcome in outcomes)
        assert most <= 5
        opened = session.stats().pool.open
        assert opened is not None
        assert 1 <= opened <= 5
        await session.aclose()
        await until(lambda: sum(server.open_connections for server in servers) == 0)


async def test_an_outage_costs_a_tenth_more_requests_and_no_more() -> None:
    """In a total outage a thousand calls over many clinics are at most 1,100 requests; each failure says why."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(503))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        clinics = [session.clinic(server.credentials(f"c{n % 50}")) for n in range(1000)]
        outcomes = await session.gather(clinics, lambda clinic: clinic.doctors.list())
        assert session.stats().retry_budget_remaining == 0
    assert server.api_requests == 1100
    errors = [outcome.error for outcome in outcomes if not outcome.ok]
    assert {type(error) for error in errors} == {ServiceUnavailableError}
    assert any("retry budget is spent (RetryPolicy.budget)" in str(error) for error in errors)


async def test_a_dead_clinic_spends_a_quarter_of_the_retries() -> None:
    """A clinic whose API is down takes no more than its share: others are retried as ever."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(request.target.rsplit("/", 1)[1]))
        elif request.headers["authorization"] == "Bearer dead" or server.api_requests == 66:
            writer.write(answer(503))
        else:
            writer.write(json_answer(200, DOCTORS))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        dead = session.clinic(server.credentials("dead"))
        for _ in range(40):
            with pytest.raises(ServiceUnavailableError):
                await dead.doctors.list()
        assert session.stats().clinics["dead"].retries == 25
        assert len(await session.clinic(server.credentials("alive")).doctors.list()) == 3
        assert session.stats().clinics["alive"].retries == 1


async def test_retries_of_token_requests_cost_nothing() -> None:
    """A token endpoint that fails and fails takes no retry from the reads."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(503))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        outcomes = await session.gather(
            [server.credentials(f"c{n}") for n in range(60)], lambda clinic: clinic.doctors.list()
        )
        assert {type(outcome.error) for outcome in outcomes if not outcome.ok} == {TokenUnavailableError}
        assert session.stats().retry_budget_remaining == 100
    assert server.token_requests == 240


async def test_the_last_attempt_spends_no_retry() -> None:
    """A call of four attempts costs three retries, whatever comes of it; a single fault costs what it should."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(503))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        clinic = session.clinic(server.credentials())
        with pytest.raises(ServiceUnavailableError):
            await clinic.doctors.list()
        assert session.stats().retry_budget_remaining == 97
        server.handler = server.good
        await clinic.doctors.list()
        assert session.stats().retry_budget_remaining == pytest.approx(97.1)


async def test_resumes_draw_on_the_retry_budget_too() -> None:
    """A stream that breaks is taken up again at the cost of a retry; where none is left it says so by its error."""
    body = b"[" + b",".join([b'{"name":"Dr. Inventata","profileImage":null}'] * 5000) + b"]"
    cut = b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:100_000]

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        whole = server.api_requests == 2
        writer.write(answer(200, body) if whole else cut)
        if not whole:
            await writer.drain()
            writer.close()

    for budget, whole in ((1, True), (0, False)):
        policy = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001, budget=budget)
        async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=policy) as session:
            stream = session.clinic(server.credentials()).doctors.stream()
            if whole:
                assert len([doctor async for doctor in stream]) == 5000
                assert session.stats().retry_budget_remaining == 1  # the resume succeeded, and has paid back
            else:
                with pytest.raises(StreamInterruptedError) as caught:
                    [doctor async for doctor in stream]
                assert caught.value.delivered > 0
                assert "retry budget is spent" in str(caught.value)


async def test_the_breaker_over_the_wire() -> None:
    """Failures in a row open the circuit: calls fail at once with no request; then one probe decides."""
    clock = Clock()
    events: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, CircuitChanged):
            events.append(f"{event.clinic} {event.state}")

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(500))

    async with (
        RawServer(handler) as server,
        ArzamedSession(
            base_url=server.base_url,
            retry=ONE,
            breaker=BreakerPolicy(failure_threshold=3, open_seconds=30),
            clock=clock,
            observers=[watch],
        ) as session,
    ):
        clinic = session.clinic(server.credentials())
        for _ in range(3):
            with pytest.raises(StatusError):
                await clinic.doctors.list()
        clock.advance(18)
        with pytest.raises(CircuitOpenError) as caught:
            await clinic.doctors.list()
        assert isinstance(caught.value, TransportError)
        assert caught.value.retry_after_seconds == 12
        assert str(caught.value) == (
            "Milano: GET equipe/doctors: request not sent: circuit breaker is open, retry after 12.0 s. Retry after that"
            " time; BreakerPolicy sets how many failures open the circuit, and for how long"
        )
        assert server.api_requests == 3
        other = session.clinic(server.credentials("Torino"))
        server.handler = server.good
        assert len(await other.doctors.list()) == 3  # another clinic's circuit is its own
        clock.advance(12)
        assert session.stats().clinics["Milano"].breaker == "open"
        assert len(await clinic.doctors.list()) == 3
        assert session.stats().clinics["Milano"].breaker == "closed"
    assert events == ["Milano open", "Milano half_open", "Milano closed"]


async def test_the_breaker_opens_on_silence_and_not_on_refusals() -> None:
    """A deadline that passes while the server is silent counts; 403s, token failures and cancellations do not."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer() if token_works else answer(400))
        elif silent:
            await asyncio.Event().wait()
        else:
            writer.write(answer(403))

    silent, token_works = False, True
    async with (
        RawServer(handler) as server,
        ArzamedSession(
            base_url=server.base_url,
            retry=ONE,
            breaker=BreakerPolicy(failure_threshold=2),
            timeouts=Timeouts(total_seconds=0.1),
        ) as session,
    ):
        clinic = session.clinic(server.credentials())
        for _ in range(5):
            with pytest.raises(ForbiddenError):
                await clinic.doctors.list()
        silent = True
        task = asyncio.create_task(clinic.doctors.list())
        await settle()
        task.cancel()
        await asyncio.wait([task])
        assert session.stats().clinics["Milano"].breaker == "closed"
        for _ in range(2):
            with pytest.raises(DeadlineExceededError):
                await clinic.doctors.list()
        with pytest.raises(CircuitOpenError):
            await clinic.doctors.list()
        token_works = False
        cold = session.clinic(server.credentials("cold"))
        for _ in range(3):
            with pytest.raises(Exception, match="token endpoint"):
                await cold.doctors.list()
        assert session.stats().clinics["cold"].breaker == "closed"


async def test_what_never_left_the_pools_queue_is_no_request_and_says_nothing_of_the_server() -> None:
    """A deadline that passes while others hold all connections opens no circuit, and counts as no request."""
    async with (
        Gated() as server,
        ArzamedSession(
            base_url=server.base_url,
            retry=ONE,
            breaker=BreakerPolicy(failure_threshold=1),
            pool=PoolLimits(connections=1, connections_per_clinic=1),
        ) as session,
    ):
        hanging, healthy = session.clinic(server.credentials("slow")), session.clinic(server.credentials("quick"))
        cold = session.clinic(server.credentials("cold")).with_options(timeouts=Timeouts(total_seconds=0.05))
        await healthy.token()
        server.gates["slow"] = asyncio.Event()
        holding = asyncio.create_task(hanging.doctors.list())
        await until(lambda: server.in_flight["slow"] == 1)
        hasty = healthy.with_options(timeouts=Timeouts(total_seconds=0.05))
        for _ in range(3):
            with pytest.raises(DeadlineExceededError):
                await hasty.doctors.list()
        with pytest.raises(DeadlineExceededError):
            await cold.doctors.list()
        stats = session.stats()
        assert (stats.clinics["quick"].breaker, stats.clinics["quick"].requests) == ("closed", 0)
        assert stats.clinics["cold"].token_requests == 0
        assert (stats.pool.in_use, stats.pool.queued) == (1, 1)  # the one in the queue is the cold clinic's token
        server.gates["slow"].set()
        assert len(await holding) == 3
        assert len(await healthy.doctors.list()) == 3


async def test_a_retry_that_meets_an_open_circuit_tells_what_went_before() -> None:
    """The circuit may open within one call's own attempts; then its error tells the last failure and the attempts."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(503))

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, breaker=BreakerPolicy(failure_threshold=2)) as session,
    ):
        with pytest.raises(CircuitOpenError, match=r"after 2 attempts, .*\(last failure: HTTP 503\)"):
            await session.clinic(server.credentials()).doctors.list()
    assert server.api_requests == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: PoolLimits(connections_per_clinic=0),
        lambda: BreakerPolicy(failure_threshold=0),
        lambda: BreakerPolicy(open_seconds=0),
        lambda: RetryPolicy(budget=-1),
        lambda: RetryPolicy(budget=math.nan),
        lambda: ArzamedSession(breaker=5),  # type: ignore[arg-type]
        lambda: ArzamedSession(coalesce="yes"),  # type: ignore[arg-type]
    ],
)
async def test_bad_limits_are_refused(make: object) -> None:
    """A limit that cannot work is a ConfigurationError where it is given."""
    assert callable(make)
    with pytest.raises(ConfigurationError):
        make()
