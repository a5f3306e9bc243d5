"""The streams of many clinics as one."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from support import RawServer, Request, answer, settle, token_answer

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DeadlineExceededError,
    Doctor,
    Failure,
    Finished,
    ForbiddenError,
    Record,
    RetryPolicy,
    SessionClosedError,
    TransportError,
)

pytestmark = pytest.mark.asyncio


def credentials(count: int) -> list[ClinicCredentials]:
    return [ClinicCredentials(f"id{n}", "invented", "http://127.0.0.1:9/token", name=f"c{n}") for n in range(count)]


class Streams:
    """Streams of numbers that the test can hold, and that count."""

    def __init__(self, lengths: Callable[[str], int] = lambda _: 3) -> None:
        self.lengths = lengths
        self.made: Counter[str] = Counter()
        self.closed: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.faults: dict[str, BaseException] = {}

    async def __call__(self, clinic: Clinic) -> AsyncIterator[int]:
        name = clinic.name
        try:
            for number in range(self.lengths(name)):
                if number and name in self.gates:
                    await self.gates[name].wait()
                if number and name in self.faults:
                    raise self.faults[name]
                self.made[name] += 1
                yield number
        finally:
            self.closed.append(name)


async def test_every_record_and_one_completion_item_a_clinic() -> None:
    """Each clinic's records come in their order, and then Finished with their count."""
    streams = Streams(lambda name: int(name[1:]))
    async with ArzamedSession() as session, session.merge(credentials(30), streams, concurrency=7, buffer=5) as merged:
        got = [each async for each in merged]
    for number in range(30):
        mine = [each for each in got if each.clinic == f"c{number}"]
        assert mine == [*(Record(f"c{number}", n) for n in range(number)), Finished(f"c{number}", number)]
    assert sorted(streams.closed) == sorted(f"c{n}" for n in range(30))


async def test_a_stream_that_breaks_never_looks_complete() -> None:
    """A clinic whose stream fails half-way ends with Failure after its records; the others are not disturbed."""
    streams = Streams()
    streams.faults["c1"] = ForbiddenError(403, clinic="c1")
    async with ArzamedSession() as session, session.merge(credentials(3), streams) as merged:
        got = [each async for each in merged]
    assert [type(each) for each in got if each.clinic == "c1"] == [Record, Failure]
    assert [each.count for each in got if isinstance(each, Finished)] == [3, 3]
    (failure,) = [each for each in got if isinstance(each, Failure)]
    assert failure.error is streams.faults["c1"]


async def test_the_buffer_is_one_for_all_and_a_slow_reader_slows_the_streams() -> None:
    """Whatever the number of clinics, no more than `buffer` records, and one at hand for each stream, are ahead."""
    streams = Streams(lambda _: 1000)
    async with ArzamedSession() as session:
        async with session.merge(credentials(10), streams, buffer=20) as merged:
            for taken in range(1, 300):
                await anext(merged)
                await settle()
                assert sum(streams.made.values()) <= taken + 20 + 10
            most, least = max(streams.made.values()), min(streams.made.values())
            assert most - least <= 30  # and each has its share
        assert len(streams.closed) == 10


async def test_a_big_stream_does_not_keep_a_small_one_waiting() -> None:
    """A clinic with three records is done while one with a hundred thousand has hardly begun."""
    streams = Streams(lambda name: 100_000 if name == "c0" else 3)
    async with ArzamedSession() as session, session.merge(credentials(2), streams, buffer=64) as merged:
        seen = 0
        async for each in merged:
            seen += 1
            if isinstance(each, Finished):
                break
    assert each == Finished("c1", 3)
    assert seen < 300


async def test_streams_are_opened_lazily() -> None:
    """An endless generator of clinics is drawn no further than `concurrency` ahead of the completion items taken."""
    drawn = 0

    def endless() -> Iterator[ClinicCredentials]:
        nonlocal drawn
        for each in iter(lambda: credentials(1)[0], None):
            drawn += 1
            yield each

    words = 0
    async with ArzamedSession() as session, session.merge(endless(), Streams(), concurrency=4, buffer=8) as merged:
        while words < 50:
            words += isinstance(await anext(merged), Finished)
            await settle()
            assert drawn <= words + 4


async def test_the_deadline_keeps_what_has_arrived() -> None:
    """At the deadline what runs ends in Failure after its records; what is drawn later fails without a start."""
    streams = Streams()
    streams.gates["c1"] = asyncio.Event()
    opened = []

    def open_stream(clinic: Clinic) -> AsyncIterator[int]:
        opened.append(clinic.name)
        return streams(clinic)

    async with (
        ArzamedSession() as session,
        session.merge(credentials(4), open_stream, concurrency=1, deadline_seconds=1) as merged,
    ):
        got = [each async for each in merged]
    assert opened == ["c0", "c1"]
    assert [type(each).__name__ for each in got] == [
        "Record", "Record", "Record", "Finished", "Record", "Failure", "Failure", "Failure",
    ]  # fmt: skip
    for each in got:
        if isinstance(each, Failure):
            assert isinstance(each.error, DeadlineExceededError)
            assert each.error.clinic == each.clinic


async def test_a_record_with_no_room_at_the_deadline_is_not_lost() -> None:
    """A record that waits for room in the buffer when the deadline passes is handed out before the Failure."""
    streams = Streams(lambda _: 100)
    async with (
        ArzamedSession() as session,
        session.merge(credentials(1), streams, buffer=3, deadline_seconds=0.5) as merged,
    ):
        first = await anext(merged)
        await asyncio.sleep(0.6)
        rest = [each async for each in merged]
    numbers = [each.value for each in [first, *rest] if isinstance(each, Record)]
    assert numbers == list(range(streams.made["c0"]))
    assert isinstance(rest[-1], Failure)


async def test_progress_counts_clinics() -> None:
    """on_progress(done, failed, total) is called for each completion item."""
    streams = Streams()
    streams.faults["c2"] = TransportError("invented")
    told: list[tuple[int, int, int | None]] = []
    async with ArzamedSession() as session:
        async for _ in session.merge(credentials(5), streams, on_progress=lambda *all_: told.append(all_)):
            pass
    assert [done for done, _, _ in told] == [1, 2, 3, 4, 5]
    assert told[-1] == (5, 1, 5)


async def test_a_foreign_exception_rises_bare() -> None:
    """An exception that is none of ours is a bug: it cancels the rest, closes the streams and is raised as it is."""
    streams = Streams()
    streams.faults["c1"] = KeyError("a bug")
    streams.gates["c0"] = asyncio.Event()
    async with ArzamedSession() as session:
        before = asyncio.all_tasks()
        with pytest.raises(KeyError, match="a bug"):
            async for _ in session.merge(credentials(3), streams):
                pass
        assert asyncio.all_tasks() == before
    assert sorted(streams.closed) == ["c0", "c1", "c2"]


async def test_open_stream_that_raises_stop_async_iteration_does_not_end_the_merge_early() -> None:
    """The loop over the records raises; it does not come to its end without the clinics' completion items."""

    def exhausted(clinic: Clinic) -> AsyncIterator[int]:
        raise StopAsyncIteration

    async with ArzamedSession() as session:
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            [each async for each in session.merge(credentials(3), exhausted)]


async def test_leaving_early_closes_every_stream() -> None:
    """After the block, or a cancelled reader, no stream is open and no task runs."""
    streams = Streams(lambda _: 1000)
    async with ArzamedSession() as session:
        before = asyncio.all_tasks()
        async with session.merge(credentials(9), streams, buffer=4) as merged:
            await anext(merged)
        assert asyncio.all_tasks() == before
        assert len(streams.closed) == 9

        async def read() -> None:
            async with session.merge(credentials(3), streams) as merged:
                async for _ in merged:
                    await asyncio.Event().wait()

        task = asyncio.create_task(read())
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
    assert len(streams.closed) == 12


async def test_a_dropped_merge_warns_and_cancels() -> None:
    """A merge dropped half-way cancels its work, with a ResourceWarning that names the remedy."""
    streams = Streams(lambda _: 1000)
    async with ArzamedSession() as session:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async for _ in session.merge(credentials(2), streams, buffer=4):
                break
            gc.collect()
            await settle()
        assert "a merge was dropped half-way" in str(caught[0].message)
        assert len(streams.closed) == 2


async def test_it_is_read_once() -> None:
    """A merge that has come to its end cannot be read again: a second loop raises."""
    async with ArzamedSession() as session:
        merged = session.merge(credentials(1), Streams())
        assert len([each async for each in merged]) == 4
        with pytest.raises(ConfigurationError, match="a merge can be read only once"):
            [each async for each in merged]
        closed = ArzamedSession()
        await closed.aclose()
        with pytest.raises(SessionClosedError):
            closed.merge(credentials(1), Streams())


@pytest.mark.parametrize(
    "options", [{"buffer": 0}, {"buffer": True}, {"buffer": 1.5}, {"concurrency": 0}, {"deadline_seconds": 0}]
)
async def test_bad_settings(options: dict[str, object]) -> None:
    """Settings that cannot work are refused before anything starts."""
    async with ArzamedSession() as session:
        with pytest.raises(ConfigurationError):
            session.merge(credentials(1), Streams(), **options)  # type: ignore[arg-type]


async def test_what_open_stream_must_return() -> None:
    """A coroutine, or anything else that is not an async iterable, is that clinic's Failure, with a text that says why."""

    async def coroutine(clinic: Clinic) -> list[int]:
        return []

    async with ArzamedSession() as session:
        for wrong in (coroutine, lambda clinic: [1, 2]):
            (failure,) = [each async for each in session.merge(credentials(1), wrong)]  # type: ignore[arg-type]
            assert isinstance(failure, Failure)
            assert "open_stream must return an async iterable" in str(failure.error)


async def test_over_real_sockets() -> None:
    """Real streams of forty clinics: all records once, a revoked clinic and one cut for good end in Failure."""
    body = b"[" + b",".join([b'{"name":"Dr. Inventata","profileImage":null}'] * 2000) + b"]"

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            name = request.target.rsplit("/", 1)[1]
            writer.write(answer(401) if name == "c7" else token_answer(name))
        elif request.headers["authorization"] == "Bearer c9":
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:50_000])
            await writer.drain()
            writer.close()
        else:
            writer.write(answer(200, body))

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=RetryPolicy(initial_backoff_seconds=0.0001)) as session,
    ):
        records: Counter[str] = Counter()
        words: dict[str, object] = {}
        async with session.merge(
            [server.credentials(f"c{n}") for n in range(40)], lambda clinic: clinic.doctors.stream(), buffer=100
        ) as merged:
            async for each in merged:
                match each:
                    case Record(clinic, Doctor()):
                        records[clinic] += 1
                    case Finished(clinic, count):
                        words[clinic] = count
                    case Failure(clinic, error):
                        words[clinic] = type(error).__name__
        assert session.stats().pool.in_use == 0
    assert words.pop("c7") == "CredentialsRejectedError"
    assert words.pop("c9") == "StreamInterruptedError"
    assert 0 < records.pop("c9") < 2000
    assert set(words.values()) == set(records.values()) == {2000}
    assert len(words) == 38
