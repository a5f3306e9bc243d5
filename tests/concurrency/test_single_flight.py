"""Identical reads at the same time become one request, and nobody notices the others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest
from attrs import frozen
from support import RawServer, Request, answer, json_answer, settle, token_answer

from arzamed_async import (
    ArzamedSession,
    Clinic,
    DeadlineExceededError,
    Endpoint,
    Endpoints,
    Event,
    ForbiddenError,
    RetryPolicy,
    SessionClosedError,
    Timeouts,
)
from arzamed_async._concurrency.single_flight import Flight, SingleFlight

pytestmark = pytest.mark.asyncio


class Held(RawServer):
    """Holds every read until its gate is open, then answers with a number that grows."""

    def __init__(self) -> None:
        super().__init__(self.held)
        self.gate = asyncio.Event()
        self.status = 200

    async def held(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(request.target.rsplit("/", 1)[1]))
            return
        number = self.api_requests
        await self.gate.wait()
        who = request.headers["authorization"].removeprefix("Bearer ")
        doctors = [{"name": f"{who} {number}", "profileImage": None}]
        writer.write(json_answer(200, doctors) if self.status == 200 else answer(self.status))


def session_of(server: RawServer, **options: object) -> ArzamedSession:
    return ArzamedSession(
        base_url=server.base_url, coalesce=True, endpoints=Endpoints(patients="equipe/patients"), **options
    )  # type: ignore[arg-type]


async def reads_at(server: RawServer, count: int) -> None:
    async with asyncio.timeout(60):
        while server.api_requests < count:
            await asyncio.sleep(0.001)


async def test_a_thousand_identical_reads_are_one_request_and_a_thousand_lists() -> None:
    """A thousand concurrent identical list() calls send one request; each gets a list of its own."""
    async with Held() as server, session_of(server) as session:
        tasks = [asyncio.create_task(session.clinic(server.credentials()).doctors.list()) for _ in range(1000)]
        await reads_at(server, 1)
        server.gate.set()
        lists = await asyncio.gather(*tasks)
        assert server.api_requests == 1
        assert {doctors[0].name for doctors in lists} == {"Milano 1"}
        assert len({id(doctors) for doctors in lists}) == 1000
        lists[0].clear()
        assert len(lists[1]) == 1
        again = await session.clinic(server.credentials()).doctors.list()
        assert again[0].name == "Milano 2"  # nothing outlives its request


async def test_off_unless_asked_for() -> None:
    """Without coalesce=True each call is a request."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await asyncio.gather(*(clinic.doctors.list() for _ in range(5)))
    assert server.api_requests == 5


@frozen
class Other:
    name: str


@pytest.mark.parametrize(
    ("first", "second", "requests"),
    [
        (lambda c: c.doctors.list(), lambda c: c.doctors.list({"on": "2026-01-01"}), 2),
        (lambda c: c.doctors.list({"on": 1}), lambda c: c.doctors.list([("on", 1)]), 1),
        (lambda c: c.doctors.list(), lambda c: c.resource(Endpoint("equipe/doctors", Other)).list(), 2),
        (lambda c: c.patients.list(), lambda c: c.patients.list(), 2),
        (
            lambda c: c.resource(Endpoint("equipe/doctors", Other, personal=True)).list(),
            lambda c: c.resource(Endpoint("equipe/doctors", Other)).list(),
            2,
        ),
        (lambda c: c.doctors.list(), lambda c: c.get("equipe/doctors"), 2),
    ],
    ids=["params", "same params", "class", "personal", "personal and not", "get"],
)
async def test_what_is_identical(
    first: Callable[[Clinic], object], second: Callable[[Clinic], object], requests: int
) -> None:
    """Only reads of the same path, params and class are shared; never those of a personal endpoint."""
    async with Held() as server, session_of(server) as session:
        clinic = session.clinic(server.credentials())
        tasks = [asyncio.ensure_future(first(clinic)), asyncio.ensure_future(second(clinic))]  # type: ignore[call-overload]
        await reads_at(server, 1)
        await settle()
        server.gate.set()
        await asyncio.gather(*tasks)
    assert server.api_requests == requests


async def test_no_clinic_sees_anothers_data() -> None:
    """The same path at another clinic, or under another secret, is another request."""
    async with Held() as server, session_of(server) as session:
        server.gate.set()
        credentials = [server.credentials("a"), server.credentials("b"), server.credentials("a", secret="another")]
        lists = await asyncio.gather(*(session.clinic(each).doctors.list() for each in credentials))
    assert [doctors[0].name[0] for doctors in lists] == ["a", "b", "a"]
    assert server.api_requests == 3


async def test_a_callers_cancellation_disturbs_no_other() -> None:
    """The first caller, who started the request, is cancelled: the others get their lists."""
    async with Held() as server, session_of(server) as session:
        clinic = session.clinic(server.credentials())
        tasks = [asyncio.create_task(clinic.doctors.list()) for _ in range(3)]
        await reads_at(server, 1)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        assert tasks[0].cancelled()
        server.gate.set()
        assert [len(doctors) for doctors in await asyncio.gather(*tasks[1:])] == [1, 1]
    assert server.api_requests == 1


async def test_a_callers_deadline_is_its_own() -> None:
    """A caller with a short deadline ends; the others, and the request, go on under the session's."""
    async with Held() as server, session_of(server) as session:
        clinic = session.clinic(server.credentials())
        hasty = clinic.with_options(timeouts=Timeouts(total_seconds=0.05), retry=RetryPolicy.none())
        patient = asyncio.create_task(clinic.doctors.list())
        with pytest.raises(DeadlineExceededError, match="Milano: GET equipe/doctors"):
            await hasty.doctors.list()
        server.gate.set()
        assert len(await patient) == 1
    assert server.api_requests == 1


async def test_when_nobody_is_left_the_request_ends() -> None:
    """When the last who waits is cancelled nothing is left running, and a new caller starts anew."""
    async with Held() as server, session_of(server) as session:
        clinic = session.clinic(server.credentials())
        before = asyncio.all_tasks()
        tasks = [asyncio.create_task(clinic.doctors.list()) for _ in range(3)]
        await reads_at(server, 1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)} == set()
        assert session.stats().clinics["Milano"].in_flight == 0
        server.gate.set()
        assert (await clinic.doctors.list())[0].name == "Milano 2"


async def test_a_read_cancelled_from_elsewhere_before_its_first_step_is_nobodys() -> None:
    """Whoever cancels the tasks of the loop in that very tick ends those who wait; who comes after is served."""
    async with Held() as server, session_of(server) as session:
        server.gate.set()
        clinic = session.clinic(server.credentials())
        await clinic.token()
        before = asyncio.all_tasks()
        waiting = asyncio.create_task(clinic.doctors.list())
        await asyncio.sleep(0)
        (read,) = asyncio.all_tasks() - before - {waiting}
        read.cancel()
        with pytest.raises(SessionClosedError):
            await waiting
        async with asyncio.timeout(60):
            assert len(await clinic.doctors.list()) == 1


async def test_a_failure_is_shared_and_each_has_its_own() -> None:
    """All who wait get the failure, each an instance of its own that names the clinic as its handle does."""
    async with Held() as server, session_of(server) as session:
        server.status = 403
        server.gate.set()
        credentials = server.credentials()
        handles = [session.clinic(credentials), session.clinic(type(credentials)(*_parts(credentials), name="Milan"))]
        errors = await asyncio.gather(*(each.doctors.list() for each in handles * 5), return_exceptions=True)
    assert {type(error) for error in errors} == {ForbiddenError}
    assert len({id(error) for error in errors}) == 10
    assert {error.clinic for error in errors if isinstance(error, ForbiddenError)} == {"Milano", "Milan"}
    assert server.api_requests == 1


def _parts(credentials: object) -> tuple[str, str, str]:
    return credentials.client_id, credentials.client_secret, credentials.token_url  # type: ignore[attr-defined]


async def test_a_bug_in_shared_work_is_raised_by_all_that_wait_and_logged_for_nobody_else() -> None:
    """An exception that is no ArzamedError reaches each waiter as it is; asyncio logs it only where nobody waits."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(type(context["exception"])))
    flights = SingleFlight()

    async def work(_flight: Flight[int]) -> int:
        await asyncio.sleep(0)
        raise ZeroDivisionError("invented")

    outcomes = await asyncio.gather(*(flights.join("key", work) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3
    del outcomes
    await settle()
    gc.collect()
    assert reported == []
    flights.start("key", work)
    await settle()
    gc.collect()
    assert reported == [ZeroDivisionError]


class StoppedError(BaseException):
    """As what pytest.fail raises, and gevent's timeouts: no Exception."""


async def test_what_is_no_exception_reaches_those_who_wait() -> None:
    """An observer that stops the program (pytest.fail) while a token arrives: each caller gets that, not that its session was closed."""
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    events: list[str] = []

    def observer(event: Event) -> None:
        events.append(type(event).__name__)
        if len(events) == 1:
            raise StoppedError

    async with RawServer() as server, ArzamedSession(base_url=server.base_url, observers=[observer]) as session:
        clinic = session.clinic(server.credentials())
        ends = await asyncio.gather(*(clinic.token() for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in ends] == [StoppedError] * 3
        assert events == ["TokenRequestFinished"]
        assert len(await clinic.doctors.list()) == 3
    del ends
    await settle()
    gc.collect()
    assert unheard == []


async def test_closing_the_session_ends_all_who_wait() -> None:
    """Aclose ends a shared request and every caller with SessionClosedError; nothing is left running."""
    async with Held() as server:
        session = session_of(server)
        before = asyncio.all_tasks()
        clinic = session.clinic(server.credentials())
        tasks = [asyncio.create_task(clinic.doctors.list()) for _ in range(5)]
        await reads_at(server, 1)
        await session.aclose()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {SessionClosedError}
        assert {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)} == set()


async def test_the_shared_deadline_tells_the_attempts_of_the_read() -> None:
    """A read that runs into the session's own deadline tells all who wait how long and how often it was tried."""
    async with Held() as server, session_of(server) as session:
        clinic = session.clinic(server.credentials())
        task = asyncio.create_task(clinic.doctors.list())
        await reads_at(server, 1)
        flight = next(iter(session._engine.reads._flights.values()))
        late = DeadlineExceededError(seconds=30, attempts=3, last_failure="HTTP 503")
        flight.land(late)
        with pytest.raises(DeadlineExceededError) as caught:
            await task
    assert str(caught.value).partition(". ")[0] == (
        "Milano: GET equipe/doctors: deadline of 30 s exceeded after 3 attempts (last failure: HTTP 503)"
    )
