"""The buffer of a merge is bounded by the memory of its records, too, and no record is lost in it."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fault_server import TOKEN_JSON, Act, Side, Wire
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SECRET
from support.quick_loop import quickly
from test_list_bombs import bomb

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    Failure,
    Finished,
    LimitExceededError,
    Limits,
    Record,
    RetryPolicy,
    Slot,
)
from arzamed_async._concurrency.metering import METER
from arzamed_async._fan_out.buffer import MOST_BYTES, RecordBuffer

pytestmark = pytest.mark.filterwarnings("ignore::arzamed_async.UnpublishedEndpointWarning")
MEBIBYTE = 1_048_576


def sending(body: bytes, headers: str) -> Act:
    async def act(wire: Wire) -> None:
        await wire.head("200 X", headers, length=len(body))
        for start in range(
            0, len(body), 131_072
        ):  # the server's buffers are in the same process, and are not to be measured
            wire.writer.write(body[start : start + 131_072])
            await wire.writer.drain()

    return act


def large_slots(count: int, size: int) -> bytes:
    return b"[" + b",".join(b'{"n":%d,"a":"%b"}' % (n, b"x" * size) for n in range(count)) + b"]"


async def with_session(body: bytes, headers: str, call: Any, clinics: int = 1, **options: Any) -> Any:
    async with Side(TOKEN_JSON) as tokens, Side(b"[]") as api:
        url = f"http://127.0.0.1:{tokens.port}/token"
        api.arm(sending(body, headers))
        base_url = f"http://127.0.0.1:{api.port}"
        async with ArzamedSession(base_url=base_url, retry=RetryPolicy.none(), **options) as session:
            return await call(session, [ClinicCredentials(f"id{n}", SECRET, url, f"c{n}") for n in range(clinics)])


async def wrapped(clinic: Clinic) -> AsyncIterator[Slot]:
    async with clinic.slots.stream() as slots:
        async for slot in slots:
            yield slot


OPENED = {
    "stream": lambda clinic: clinic.slots.stream(),
    "collecting": lambda clinic: clinic.slots.stream(collect_errors=True),
    "a generator around a stream": wrapped,
    "windows": lambda clinic: clinic.slots.batches(),
    "batches": lambda clinic: clinic.slots.batches(size=7),
}


async def until_it_stops() -> None:
    """Wait until the streams of a merge wait for its consumer."""
    before, now = -1, 0
    while now > before:
        await asyncio.sleep(0.1)
        before, now = now, tracemalloc.get_traced_memory()[0]


def records_in(value: Slot | list[Slot]) -> list[Slot]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("opened", OPENED)
def test_large_records_do_not_fill_the_buffer_of_a_merge(opened: str) -> None:
    """Behind a consumer that waits, four streams of 900 kB records hold 16 MiB, and a few records each that are not in it; none is lost."""
    count = 28

    async def call(session: ArzamedSession, clinics: list[ClinicCredentials]) -> tuple[int, dict[str, list[object]]]:
        got: dict[str, list[object]] = {each.name: [] for each in clinics}
        tracemalloc.start()
        try:
            async with session.merge(clinics, OPENED[opened]) as merged:
                async for each in merged:
                    assert not isinstance(each, Failure)
                    if isinstance(each, Record):
                        got[each.clinic] += [slot.data["n"] for slot in records_in(each.value)]
                        if len(got[each.clinic]) == 1:
                            await until_it_stops()
                    del each
            return tracemalloc.get_traced_memory()[1], got
        finally:
            tracemalloc.stop()

    peak, got = asyncio.run(with_session(large_slots(count, 900_000), "X: y", call, 4))
    print(f"{opened}: {peak / MEBIBYTE:.1f} MiB at the peak")  # noqa: T201 - the figure
    # Each stream has its bytes, a window and the value that waits. Were it not for the bound, it would be 102 MiB.
    each = 13 if opened == "batches" else 6
    assert peak < MOST_BYTES + 4 * each * MEBIBYTE
    assert got == {name: list(range(count)) for name in got}


def test_records_that_expand_count_what_they_take() -> None:
    """Of records of 4 kB that take 100 kB each no more than 16 MiB are in the buffer, with or without a bad record among them."""
    element = b'{"a":[' + b",".join([b"[1]"] * 1000) + b"]}"
    for bad in (b"", b",{NaN}"):
        body = b"[" + b",".join([element + bad] * 900) + b"]"

        async def call(session: ArzamedSession, clinics: list[ClinicCredentials]) -> int:
            tracemalloc.start()
            try:
                async with session.merge(clinics, OPENED["collecting"]) as merged:
                    await anext(merged)
                    await until_it_stops()
                    return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        peak = asyncio.run(with_session(body, "X: y", call))
        print(f"expanding: {peak / MEBIBYTE:.1f} MiB at the peak")  # noqa: T201 - the figure
        assert peak > MOST_BYTES // 4
        assert peak < MOST_BYTES + 6 * MEBIBYTE


def test_a_stream_outside_a_merge_is_not_metered() -> None:
    """The variable is set in the tasks of a merge alone, and never where its consumer is."""

    async def call(session: ArzamedSession, clinics: list[ClinicCredentials]) -> int:
        async with session.merge(clinics, OPENED["stream"]) as merged:
            async for _ in merged:
                assert METER.get() is None
        return 1

    assert quickly(with_session(large_slots(3, 10), "X: y", call)) == 1


STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3 * MOST_BYTES // 2), max_size=12),  # the records of a stream
        st.integers(0, 9),  # after so many of them it is cancelled (9: never)
    ),
    min_size=1,
    max_size=6,
)


@given(STEPS, st.integers(1, 5), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_whatever_enters_the_buffer_comes_out_in_order(
    streams: list[tuple[list[int], int]], places: int, pace: int
) -> None:
    """Streams with records of any size, cancelled anywhere, meet in a buffer: it lets all through, within its bounds, and ends empty."""

    async def go() -> None:
        buffer = RecordBuffer(places)
        entered: list[tuple[int, int, int]] = []

        async def pump(number: int, sizes: list[int]) -> None:
            for index, size in enumerate(sizes):
                if not buffer.enter_nowait(size):
                    await buffer.enter(size)
                entered.append((number, index, size))
                held = [size for *_, size in entered]
                assert len(held) <= places
                assert sum(held) - max(held) <= MOST_BYTES
                if index % 3 == pace:
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(pump(number, sizes)) for number, (sizes, _) in enumerate(streams)]
        got: list[tuple[int, int]] = []
        for _ in range(2000):
            await asyncio.sleep(0)
            for number, (_, until) in enumerate(streams):
                if until < 9 and sum(each[0] == number for each in (*got, *entered)) >= until:
                    tasks[number].cancel()
            if entered:
                number, index, size = entered.pop(0)
                got.append((number, index))
                buffer.leave(size)
            elif all(task.done() for task in tasks):
                break
        assert all(task.done() for task in tasks), "a stream waits for ever"
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
        for number, (sizes, until) in enumerate(streams):
            mine = [index for each, index in got if each == number]
            assert mine == list(range(len(mine)))
            assert len(mine) == len(sizes) or until < 9
        assert buffer.enter_nowait(1)
        for _ in range(places - 1):
            assert buffer.enter_nowait(0)
        assert not buffer.enter_nowait(0)

    quickly(go())


def test_a_waiter_of_a_closed_loop_takes_no_place() -> None:
    """A stream that waited for the buffer when its event loop ended does not keep the next one out."""
    buffer = RecordBuffer(1)
    assert buffer.enter_nowait(5)
    loop = asyncio.new_event_loop()
    waiting = buffer.enter(7)

    async def start() -> None:
        loop.call_soon(loop.stop)

    task = loop.create_task(waiting)
    loop.run_until_complete(start())
    loop.stop()
    loop.run_forever()
    loop.close()
    buffer.leave(5)
    assert buffer.enter_nowait(1)
    task._log_destroy_pending = False
    waiting.close()


def real(count: int) -> bytes:
    return json.dumps([{"n": n, "t": f"text {n * 7919}"} for n in range(count)]).encode()


async def batches_of(size: int, session: ArzamedSession, clinics: list[ClinicCredentials]) -> list[int]:
    async with session.clinic(clinics[0]).slots.batches(size=size) as batches:
        return [len(batch) async for batch in batches]


def test_a_batch_is_bounded_as_a_list_is() -> None:
    """A bomb ends a step of batches of a million; batches of 5,000 of the same body are read to the end."""
    body = gzip.compress(b"[" + b",".join([b"{}"] * 100_000) + b"]")

    async def large(*arguments: Any) -> LimitExceededError:
        with pytest.raises(LimitExceededError) as caught:
            await batches_of(1_000_000, *arguments)
        return caught.value

    error = asyncio.run(with_session(body, "Content-Encoding: gzip", large))
    assert error.limit == "list_records"
    assert 3 * MEBIBYTE < error.memory_bytes < 5 * MEBIBYTE
    assert "A smaller `size` holds fewer records" in str(error)

    async def small(*arguments: Any) -> list[int]:
        return await batches_of(5000, *arguments)

    assert asyncio.run(with_session(body, "Content-Encoding: gzip", small)) == [5000] * 20


def test_batches_count_those_held_and_not_those_taken() -> None:
    """A list many times larger than the limits goes through batches whose records are within them, each of its size."""
    limits = Limits(list_bytes=4 * MEBIBYTE, list_records=6000)

    async def call(*arguments: Any) -> list[int]:
        return await batches_of(5000, *arguments)

    sizes = asyncio.run(with_session(real(52_000), "X: y", call, limits=limits))
    assert sizes == [5000] * 10 + [2000]

    async def over(*arguments: Any) -> LimitExceededError:
        with pytest.raises(LimitExceededError, match="list_records .6,000 records.*A smaller `size`") as caught:
            await batches_of(7000, *arguments)
        return caught.value

    assert asyncio.run(with_session(real(20_000), "X: y", over, limits=limits)).limit == "list_records"


def test_a_merge_of_batches_counts_all_their_records() -> None:
    """The completion items of a merge of batches arrive, whatever a batch takes: one alone always passes."""

    async def call(session: ArzamedSession, clinics: list[ClinicCredentials]) -> list[object]:
        async with session.merge(clinics, lambda clinic: clinic.slots.batches(size=40)) as merged:
            return [each if isinstance(each, Finished) else len(each.value) async for each in merged]  # type: ignore[union-attr]

    got = asyncio.run(with_session(large_slots(40, 500_000), "X: y", call, limits=Limits(list_bytes=64 * MEBIBYTE)))
    assert got == [40, Finished("c0", 1)]


@pytest.mark.parametrize(
    ("opened", "most"),
    [("stream", 32), ("batches of 5,000", 128)],
)
def test_a_merge_of_64_bombs_is_bounded(opened: str, most: int) -> None:
    """64 clinics that send 11 kB of gzip which expand to millions of records: the streams wait with a window each, batches with one."""
    body = bomb(b"{}")

    async def call(session: ArzamedSession, clinics: list[ClinicCredentials]) -> int:
        size = None if opened == "stream" else 5000

        def start(clinic: Clinic) -> AsyncIterator[Any]:
            return aiter(clinic.slots.stream() if size is None else clinic.slots.batches(size=size))

        tracemalloc.start()
        try:
            async with session.merge(clinics, start) as merged:
                await anext(merged)
                await until_it_stops()
                for _ in range(20):
                    await anext(merged)
                return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak = asyncio.run(with_session(body, "Content-Encoding: gzip", call, 64))
    print(f"{opened}: {peak / MEBIBYTE:.1f} MiB at the peak")  # noqa: T201 - the figure
    assert MEBIBYTE < peak < most * MEBIBYTE


def test_an_idle_consumer_of_a_compressed_list_holds_little() -> None:
    """Streams that wait after their first record keep neither what their gzip expands to nor what has not been read."""
    count = 8
    body = gzip.compress(large_slots(300, 100_000))

    async def call(session: ArzamedSession, clinics: list[ClinicCredentials]) -> int:
        for each in clinics:
            await session.clinic(each).token()
        tracemalloc.start()
        streams = [session.clinic(each).slots.stream() for each in clinics]
        try:
            for each in streams:
                await anext(each)
            await until_it_stops()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            for each in streams:
                await each.aclose()

    peak = asyncio.run(with_session(body, "Content-Encoding: gzip", call, count))
    print(f"{peak / count / MEBIBYTE:.2f} MiB for each at the peak, of 29 MiB")  # noqa: T201 - the figure
    assert peak < count * 1.5 * MEBIBYTE
