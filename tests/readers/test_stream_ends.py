"""How a stream ends: whole, or with an error, however it is left, and never as if it were whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import warnings

import pytest
from support import settle
from test_streams import MANY, QUICK, Slowly, serving

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ConfigurationError,
    DecodeError,
    Doctor,
    RecordStream,
    StreamInterruptedError,
)

pytestmark = pytest.mark.asyncio

BEFORE_THE_END = "closed, or a step of it cancelled, before the end of the list"


def clinic_of(server: Slowly, session: ArzamedSession) -> Clinic:
    return session.clinic(server.credentials())


async def all_of(stream: RecordStream[Doctor]) -> list[Doctor]:
    return [doctor async for doctor in stream]


async def test_a_step_after_a_cancelled_one_is_no_clean_end() -> None:
    """After a step that a timeout has cancelled the next one fails, and gives the reason; so does every further one."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        stream = clinic_of(server, session).doctors.stream()
        await anext(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=f"Milano: GET equipe/doctors: .*{BEFORE_THE_END}"):
                await anext(stream)


async def test_a_step_after_the_end_of_a_whole_list_is_a_clean_end() -> None:
    """After a list was read to its end each further step ends it again."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        server.rest.set()
        stream = clinic_of(server, session).doctors.stream()
        assert len([await anext(stream), await anext(stream)]) == 2
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


@pytest.mark.parametrize("batches", [False, True])
async def test_good_records_before_a_bad_one_are_handed_out(batches: bool) -> None:
    """A bad record in the midst of a window ends the stream after the good ones, and again at each further step."""
    rows = [*MANY[:3000], {"name": 1, "profileImage": None}, *MANY[3000:]]
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, json.dumps(rows).encode())
        doctors = clinic_of(server, session).doctors
        stream = doctors.batches() if batches else doctors.stream()
        got = 0
        with pytest.raises(DecodeError) as caught:
            while True:
                each = await anext(stream)
                got += len(each) if isinstance(each, list) else 1
        assert got == caught.value.record_index == 3000
        with pytest.raises(DecodeError) as again:
            await anext(stream)
        assert str(again.value) == str(caught.value)
        with pytest.raises(DecodeError):
            await doctors.list()


async def test_closing_between_two_steps_of_another_task_is_an_error_there() -> None:
    """A reader whose stream another task closes gets an error, not the end of a list."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, json.dumps(MANY).encode())
        stream = clinic_of(server, session).doctors.stream()
        got = []

        async def read() -> None:
            async for doctor in stream:
                got.append(doctor)
                await asyncio.sleep(0)

        reader = asyncio.create_task(read())
        while len(got) < 50:
            await asyncio.sleep(0)
        await stream.aclose()
        assert session.stats().pool.in_use == 0
        with pytest.raises(ConfigurationError, match=BEFORE_THE_END):
            await reader
        assert len(got) < len(MANY)


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_in_the_midst_of_another_tasks_step_ends_that_step(begun: bool) -> None:
    """Aclose ends the step that another task is taking, the first one too, and returns when it is over."""
    async with Slowly(b'[{"name": "Dr. Uno", "profileImage": null},' if begun else b"[") as server:
        async with ArzamedSession(base_url=server.base_url) as session:
            stream = clinic_of(server, session).doctors.stream()
            reader = asyncio.create_task(all_of(stream))
            while not server.api_requests:
                await asyncio.sleep(0.001)
            await settle()
            await stream.aclose()
            assert session.stats().pool.in_use == 0
            with pytest.raises(ConfigurationError, match=BEFORE_THE_END):
                await reader
            assert reader.cancelling() == 0


async def test_closing_after_a_cancellation() -> None:
    """task.cancel() and then aclose(): the task ends as cancelled, and aclose has nothing to complain of."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        stream = clinic_of(server, session).doctors.stream()
        reader = asyncio.create_task(all_of(stream))
        while not server.api_requests:
            await asyncio.sleep(0.001)
        reader.cancel()
        await stream.aclose()
        await asyncio.wait([reader])
        assert reader.cancelled()


async def test_a_block_that_is_left_by_an_exception_raises_that_exception() -> None:
    """`async with` around a stream that a child task is reading lets its own exception out, and ends the child."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(KeyError, match="mine"):
            async with clinic_of(server, session).doctors.stream() as stream:
                child = asyncio.create_task(all_of(stream))
                while not server.api_requests:
                    await asyncio.sleep(0.001)
                raise KeyError("mine")
        with pytest.raises(ConfigurationError):
            await child
        assert session.stats().pool.in_use == 0


async def test_a_second_reader_is_refused() -> None:
    """A step while another task is taking one is a ConfigurationError, and disturbs the first reader not at all."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        stream = clinic_of(server, session).doctors.stream()
        reader = asyncio.create_task(all_of(stream))
        while not server.api_requests:
            await asyncio.sleep(0.001)
        for second in (anext(stream), all_of(stream)):
            with pytest.raises(ConfigurationError, match="another task is reading this stream"):
                await second
        server.rest.set()
        assert len(await reader) == 2


async def test_closing_the_iterator_itself_is_leaving_too() -> None:
    """`aclosing(aiter(stream))` leaves the stream like its own aclose: no warning."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            iterator = aiter(clinic_of(server, session).doctors.stream())
            async with contextlib.aclosing(iterator):  # type: ignore[type-var]
                await anext(iterator)
        assert caught == []
        assert session.stats().pool.in_use == 0


async def test_whatever_is_wrong_with_the_repeat_the_reader_learns_what_it_holds() -> None:
    """A repeat in a coding that was never requested is a StreamInterruptedError with the records delivered."""
    body = json.dumps(MANY).encode()

    async def handler(request, writer) -> None:
        if request.is_token:
            await server.good(request, writer)
        elif server.api_requests == 1:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:100_000])
            await writer.drain()
            writer.close()
        else:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nxxx")

    async with Slowly() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        server.handler = handler
        got = []
        with pytest.raises(StreamInterruptedError) as caught:
            async for doctor in clinic_of(server, session).doctors.stream():
                got.append(doctor)
        assert caught.value.delivered == len(got) > 0
        assert server.api_requests == 2
