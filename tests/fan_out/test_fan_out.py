"""One coroutine over many clinics."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator

import pytest
from support import RawServer, Request, answer, settle

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DeadlineExceededError,
    Failure,
    ForbiddenError,
    Outcome,
    SessionClosedError,
    Success,
)

pytestmark = pytest.mark.asyncio


def credentials(count: int) -> list[ClinicCredentials]:
    return [ClinicCredentials(f"id{n}", "invented", "http://127.0.0.1:9/token", name=f"c{n}") for n in range(count)]


class Fetches:
    """A fetch that the test can hold, and that counts."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.running = self.most_running = 0
        self.gates: dict[str, asyncio.Event] = {}

    async def __call__(self, clinic: Clinic) -> str:
        self.started.append(clinic.name)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if clinic.name in self.gates:
                await self.gates[clinic.name].wait()
            else:
                await asyncio.sleep(0)
            if clinic.name == "c3":
                raise ForbiddenError(403, clinic=clinic.name)
        finally:
            self.running -= 1
        return clinic.name.upper()


@pytest.fixture
def fetch() -> Fetches:
    return Fetches()


async def test_each_clinic_has_one_outcome(fetch: Fetches) -> None:
    """Every clinic drawn yields exactly one outcome, an ArzamedError as a Failure."""
    async with ArzamedSession() as session, session.fan_out(credentials(10), fetch, concurrency=3) as outcomes:
        got = [outcome async for outcome in outcomes]
    assert sorted(outcome.clinic for outcome in got) == sorted(f"c{n}" for n in range(10))
    assert fetch.most_running == 3
    (failure,) = [outcome for outcome in got if not outcome.ok]
    assert isinstance(failure, Failure)
    assert failure.clinic == "c3"
    with pytest.raises(ForbiddenError):
        failure.unwrap()
    assert {outcome.unwrap() for outcome in got if outcome.ok} == {f"C{n}" for n in range(10)} - {"C3"}


async def test_outcomes_come_as_they_finish(fetch: Fetches) -> None:
    """A clinic that hangs does not hold back the others."""
    fetch.gates["c0"] = asyncio.Event()
    async with ArzamedSession() as session, session.fan_out(credentials(3), fetch) as outcomes:
        assert {(await anext(outcomes)).clinic, (await anext(outcomes)).clinic} == {"c1", "c2"}
        fetch.gates["c0"].set()
        assert (await anext(outcomes)).clinic == "c0"
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)


async def test_gather_keeps_the_order(fetch: Fetches) -> None:
    """Gather gives the outcomes in the order of the clinics, whatever the order in which they finish."""
    fetch.gates["c0"] = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, fetch.gates["c0"].set)
    progress: list[tuple[int, int, int | None]] = []
    async with ArzamedSession() as session:
        got = await session.gather(credentials(5), fetch, on_progress=lambda *told: progress.append(told))
    assert [outcome.clinic for outcome in got] == [f"c{n}" for n in range(5)]
    assert [type(outcome) for outcome in got] == [Success, Success, Success, Failure, Success]
    assert [done for done, _, _ in progress] == [1, 2, 3, 4, 5]
    assert progress[-1] == (5, 1, 5)


async def test_a_generator_is_drawn_lazily(fetch: Fetches) -> None:
    """An endless generator is drawn no further than `concurrency` ahead of what has been taken."""
    drawn = 0

    def endless() -> Iterator[ClinicCredentials]:
        nonlocal drawn
        while True:
            drawn += 1
            yield ClinicCredentials("id", "invented", "http://127.0.0.1:9/token", name="same")

    async with ArzamedSession() as session, session.fan_out(endless(), fetch, concurrency=4) as outcomes:
        for taken in range(1, 50):
            await anext(outcomes)
            await settle()
            assert drawn <= taken + 4
    assert fetch.running == 0


async def test_async_iterables_of_handles(fetch: Fetches) -> None:
    """Clinics may come from an async generator, as handles too; their number is then unknown to on_progress."""
    totals = set()
    async with ArzamedSession() as session:

        async def slowly() -> AsyncIterator[Clinic]:
            for each in credentials(7):
                await asyncio.sleep(0)
                yield session.clinic(each)

        got = await session.gather(slowly(), fetch, on_progress=lambda _d, _f, total: totals.add(total))
    assert [outcome.clinic for outcome in got] == [f"c{n}" for n in range(7)]
    assert totals == {None}


class Wrapped:
    """What a progress bar makes of a generator: it has a `__len__` that raises."""

    def __init__(self, clinics: Iterator[ClinicCredentials]) -> None:
        self.clinics = clinics

    def __len__(self) -> int:
        raise TypeError("no length")

    def __iter__(self) -> Iterator[ClinicCredentials]:
        return self.clinics


async def test_a_length_that_raises_is_unknown(fetch: Fetches) -> None:
    """Clinics whose `__len__` raises TypeError are taken like those of a generator."""
    totals = set()
    async with ArzamedSession() as session:
        got = await session.gather(
            Wrapped(iter(credentials(7))), fetch, on_progress=lambda _d, _f, total: totals.add(total)
        )
    assert len(got) == 7
    assert totals == {None}


async def test_a_list_filled_before_the_first_step_is_drawn_completely(fetch: Fetches) -> None:
    """Nothing starts before the first step: clinics that came into the list until then have their outcomes."""
    clinics: list[ClinicCredentials] = []
    async with ArzamedSession() as session:
        outcomes = session.fan_out(clinics, fetch)
        clinics += credentials(7)
        assert len([outcome async for outcome in outcomes]) == 7
        assert await session.gather([], fetch) == []


async def test_a_foreign_exception_rises_bare(fetch: Fetches) -> None:
    """An exception that is none of ours is a bug: it cancels the rest and is raised as it is."""
    fetch.gates["c0"] = fetch.gates["c1"] = asyncio.Event()

    async def buggy(clinic: Clinic) -> str:
        if clinic.name == "c2":
            raise KeyError("a bug")
        return await fetch(clinic)

    async with ArzamedSession() as session:
        with pytest.raises(KeyError, match="a bug"):
            async with session.fan_out(credentials(3), buggy) as outcomes:
                async for _ in outcomes:
                    pass
        assert fetch.running == 0
        with pytest.raises(KeyError):
            await session.gather(credentials(3), buggy)


async def test_a_broken_source_rises_bare(fetch: Fetches) -> None:
    """What the iterable of clinics raises is raised, and so is a clinic that is none."""

    def broken() -> Iterator[ClinicCredentials]:
        yield from credentials(2)
        raise OSError("the source is gone")

    async with ArzamedSession() as session:
        with pytest.raises(OSError, match="source is gone"):
            await session.gather(broken(), fetch)
        with pytest.raises(ConfigurationError, match="ClinicCredentials, not int"):
            await session.gather([5], fetch)  # type: ignore[list-item]
        with pytest.raises(ConfigurationError, match="iterable"):
            session.fan_out(5, fetch)  # type: ignore[arg-type]


async def test_a_fetch_that_is_cancelled_from_within_does_not_hang(fetch: Fetches) -> None:
    """A fetch that ends in CancelledError of its own ends the fan-out, loudly."""

    async def cancelled(clinic: Clinic) -> str:
        raise asyncio.CancelledError

    async with ArzamedSession() as session:
        with pytest.raises(RuntimeError, match="CancelledError was raised here"):
            await session.gather(credentials(3), cancelled)


async def test_the_deadline(fetch: Fetches) -> None:
    """At the deadline what runs ends, what is drawn later fails without a start, and what has arrived is kept."""
    fetch.gates["c1"] = asyncio.Event()
    async with ArzamedSession() as session:
        got = await session.gather(credentials(6), fetch, concurrency=1, deadline_seconds=1)
    assert fetch.started == ["c0", "c1"]
    assert isinstance(got[0], Success)
    for outcome in got[1:]:
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, DeadlineExceededError)
        assert outcome.error.clinic == outcome.clinic
    assert len(got) == 6
    assert fetch.running == 0


async def test_leaving_early_leaves_nothing_running(fetch: Fetches) -> None:
    """After the block, or aclose, no fetch runs."""
    fetch.gates.update({f"c{n}": asyncio.Event() for n in range(1, 9)})
    before = asyncio.all_tasks()
    async with ArzamedSession() as session:
        async with session.fan_out(credentials(9), fetch) as outcomes:
            async for outcome in outcomes:
                assert outcome.clinic == "c0"
                break
        assert fetch.running == 0
        assert asyncio.all_tasks() == before
        again = session.fan_out(credentials(9), fetch)
        await anext(again)
        await again.aclose()
        await again.aclose()
        assert asyncio.all_tasks() == before
        with pytest.raises(ConfigurationError, match="a fan-out was closed before its end"):
            await anext(again)
        await session.fan_out(credentials(1), fetch).aclose()


async def test_a_cancelled_consumer_leaves_nothing_running(fetch: Fetches) -> None:
    """Cancelling the task that awaits gather ends every fetch."""
    fetch.gates.update({f"c{n}": asyncio.Event() for n in range(5)})
    async with ArzamedSession() as session:
        task = asyncio.create_task(session.gather(credentials(5), fetch))
        await settle()
        assert fetch.running == 5
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert fetch.running == 0


async def test_a_dropped_fan_out_warns_and_cancels(fetch: Fetches) -> None:
    """A fan-out dropped half-way cancels its work, with a ResourceWarning."""
    fetch.gates["c1"] = asyncio.Event()
    async with ArzamedSession() as session:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async for _ in session.fan_out(credentials(2), fetch):
                break
            gc.collect()
            await settle()
        assert "dropped half-way" in str(caught[0].message)
        assert caught[0].category is ResourceWarning
        assert fetch.running == 0


async def test_closing_the_session_ends_a_fan_out() -> None:
    """When the session closes, clinics in flight end as Failures with SessionClosedError."""

    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with RawServer(hang) as server:
        session = ArzamedSession(base_url=server.base_url)
        outcomes = session.fan_out(
            [server.credentials(f"c{n}") for n in range(3)], lambda clinic: clinic.doctors.list()
        )
        first = asyncio.ensure_future(anext(outcomes))
        await settle()
        await session.aclose()
        rest = [await first, *[outcome async for outcome in outcomes]]
    assert [type(outcome.error) for outcome in rest if isinstance(outcome, Failure)] == [SessionClosedError] * 3


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"concurrency": True}, {"deadline_seconds": 0}, {"deadline_seconds": -1}]
)
async def test_bad_settings(options: dict[str, object], fetch: Fetches) -> None:
    """Settings that cannot work are refused before anything starts."""
    async with ArzamedSession() as session:
        with pytest.raises(ConfigurationError):
            session.fan_out(credentials(1), fetch, **options)  # type: ignore[arg-type]


async def test_over_real_sockets() -> None:
    """A hundred clinics, some revoked, some first unavailable: one token request each, and one outcome each."""
    once: set[str] = set()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        number = int(request.target.rsplit("/c", 1)[1]) if request.is_token else -1
        if number % 10 == 3:
            writer.write(answer(401))
        elif number % 10 == 5 and request.target not in once:
            once.add(request.target)
            writer.write(answer(503, b"", "Retry-After: 0\r\n"))
        else:
            await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinics = [server.credentials(f"c{n}") for n in range(100)]
        got: list[Outcome[list]] = await session.gather(clinics, lambda clinic: clinic.doctors.list())
    assert sum(outcome.ok for outcome in got) == 90
    assert server.token_requests == 110
    assert server.api_requests == 90


async def test_none_among_the_clinics_is_reported(fetch: Fetches) -> None:
    """None in place of a clinic is a mistake that is reported, never a fan-out that ends early."""
    one, two = credentials(2)
    async with ArzamedSession() as session:
        with pytest.raises(ConfigurationError, match="NoneType"):
            await session.gather([one, None, two], fetch)  # type: ignore[list-item]


async def test_closing_from_another_task_ends_the_reader(fetch: Fetches) -> None:
    """Aclose from elsewhere ends a reader's loop with an error, not as if all clinics had been reported."""
    fetch.gates["c0"] = asyncio.Event()
    async with ArzamedSession() as session:
        outcomes = session.fan_out(credentials(1), fetch)

        async def read() -> list:
            return [outcome async for outcome in outcomes]

        reader = asyncio.create_task(read())
        await settle()
        await outcomes.aclose()
        with pytest.raises(ConfigurationError, match="closed before its end"):
            await reader
        with pytest.raises(ConfigurationError, match="only once"):
            [outcome async for outcome in outcomes]


async def test_a_fetch_that_raises_stop_async_iteration_does_not_end_the_fan_out_early() -> None:
    """Where a fetch takes a step of a stream that is empty, the loop over the outcomes raises and shows the place."""

    async def empty() -> AsyncIterator[int]:
        return
        yield

    async def first(clinic: Clinic) -> int:
        return await anext(empty())

    async with ArzamedSession() as session:
        with pytest.raises(RuntimeError, match="StopAsyncIteration") as caught:
            [outcome async for outcome in session.fan_out(credentials(3), first)]
        assert "first" in [entry.name for entry in caught.traceback]
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            await session.gather(credentials(3), first)


async def test_several_readers_share_the_outcomes_and_all_come_to_the_end(fetch: Fetches) -> None:
    """Two tasks that read one fan-out have each outcome once between them, and neither reports a cut."""
    async with ArzamedSession() as session:
        outcomes = session.fan_out(credentials(9), fetch)

        async def read() -> list[str]:
            return [outcome.clinic async for outcome in outcomes]

        first, second = await asyncio.gather(read(), read())
    assert sorted(first + second) == [f"c{n}" for n in range(9)]


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("what", ["fan_out", "merge"])
async def test_nothing_is_left_running_however_often_it_is_cancelled(what: str, times: int) -> None:
    """After the `async with` all work has ended, also where its task is cancelled again while that winds down."""
    running = 0

    async def slow_to_end() -> None:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(100)
        finally:
            while waits:
                try:
                    await asyncio.shield(waits.pop())
                except asyncio.CancelledError:
                    continue
            running -= 1

    async def stream() -> AsyncIterator[int]:
        await slow_to_end()
        yield 1

    async def work() -> None:
        nonlocal left
        try:
            if what == "fan_out":
                opened = session.fan_out(credentials(2), lambda clinic: slow_to_end())
            else:
                opened = session.merge(credentials(2), lambda clinic: stream())
            async with opened as outcomes:
                [outcome async for outcome in outcomes]
        finally:
            left = running

    left = -1
    waits = [asyncio.create_task(settle()) for _ in range(2 * times)]
    async with ArzamedSession() as session:
        task = asyncio.create_task(work())
        while running < 2:
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait([task])
    assert task.cancelled()
    assert left == 0


async def test_work_that_closes_its_own_fan_out_ends_with_it() -> None:
    """Where fetches close the fan-out that they are part of, all of them end, and none waits for another."""
    ended = 0

    async def close_it(clinic: Clinic) -> None:
        nonlocal ended
        try:
            await asyncio.sleep(0)
        finally:
            try:
                await outcomes.aclose()
            finally:
                ended += 1

    async with asyncio.timeout(60), ArzamedSession() as session:
        outcomes = session.fan_out(credentials(3), close_it)
        with pytest.raises(ConfigurationError, match="closed before its end"):
            await anext(outcomes)
        await outcomes.aclose()
    assert ended == 3


async def test_outcomes_lead_back_to_the_place_of_their_clinic():
    """Each outcome has the index of its clinic among those drawn, in whatever order they finish, even if names repeat."""
    twins = [ClinicCredentials(f"id{n}", "invented", "http://127.0.0.1:9/token", name=f"c{n % 2}") for n in range(6)]
    gates = [asyncio.Event() for _ in twins]

    async def fetch(clinic: Clinic) -> str:
        place = int(clinic.credentials.client_id.removeprefix("id"))
        await gates[place].wait()
        if place == 2:
            raise ForbiddenError(403, clinic=clinic.name)
        return clinic.credentials.client_id

    async with ArzamedSession() as session:
        seen = []
        async with session.fan_out(iter(twins), fetch) as outcomes:
            for place in (4, 2, 5, 0, 3, 1):
                gates[place].set()
                outcome = await anext(outcomes)
                seen.append((outcome.index, outcome.clinic, outcome.ok, outcome.value))
        gathered = await session.gather(twins, fetch)
    assert seen == [
        (place, f"c{place % 2}", place != 2, None if place == 2 else f"id{place}") for place in (4, 2, 5, 0, 3, 1)
    ]
    assert [each.index for each in gathered] == list(range(6))


async def test_a_deadline_and_a_merge_name_the_index_of_their_clinic():
    """What the deadline of a fan-out ended, before or after its start, and a failed stream have their clinic's index, too."""

    async def forever(_clinic: Clinic) -> None:
        await asyncio.Event().wait()

    async def broken(clinic: Clinic) -> AsyncIterator[str]:
        yield clinic.name
        if clinic.name == "c1":
            raise ForbiddenError(403, clinic=clinic.name)

    async with ArzamedSession() as session:
        late = await session.gather(credentials(4), forever, concurrency=2, deadline_seconds=0.01)
        async with session.merge(credentials(3), broken) as merged:
            failures = [each async for each in merged if isinstance(each, Failure)]
    assert [(each.index, each.clinic, each.value) for each in late] == [(n, f"c{n}", None) for n in range(4)]
    assert [(each.index, each.clinic) for each in failures] == [(1, "c1")]


async def test_the_value_of_a_failure_and_the_error_of_a_success_are_none():
    """`ok`, `value` and `error` exist on both kinds of outcome."""
    error = ForbiddenError(403, clinic="c")
    success, failure = Success("c", 7, 0.1, 3), Failure("c", error, 0.1, 4)
    assert (success.ok, success.value, success.error, success.index) == (True, 7, None, 3)
    assert (failure.ok, failure.value, failure.error, failure.index) == (False, None, error, 4)
