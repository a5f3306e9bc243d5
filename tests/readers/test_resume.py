"""A stream that is interrupted after its first record: resumed where it broke, or ended with a clear error."""

from __future__ import annotations

import asyncio
import gzip
import json
import random

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from support import RawServer, Request, answer

from arzamed_async import (
    ArzamedSession,
    DeadlineExceededError,
    DecodeError,
    Endpoint,
    Event,
    RetryPolicy,
    RetryScheduled,
    SessionClosedError,
    StreamInterruptedError,
    Timeouts,
    UnknownField,
)

ROWS = [{"name": f"Dr. Inventata {n:05}", "profileImage": None} for n in range(4000)]
BODY = json.dumps(ROWS).encode()
QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)


class Breaking(RawServer):
    """Sends the body up to each of the given places in turn, then whole; a bytes in place of a number is sent instead."""

    def __init__(self, *cuts: int | bytes, body: bytes = BODY, headers: str = "") -> None:
        super().__init__(self.serve)
        self.cuts = list(cuts)
        self.body = body
        self.headers = headers

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await self.good(request, writer)
        cut: int | bytes = self.cuts.pop(0) if self.cuts else len(self.body)
        if isinstance(cut, bytes):
            writer.write(cut)
            return None
        head = f"HTTP/1.1 200 X\r\nContent-Length: {len(self.body)}\r\n{self.headers}\r\n".encode()
        writer.write(head + self.body[:cut])
        await writer.drain()
        if cut < len(self.body):
            writer.close()
        return None


async def names(server: Breaking, session: ArzamedSession) -> list[str]:
    async with session.clinic(server.credentials()).doctors.stream() as doctors:
        return [doctor.name async for doctor in doctors]


@pytest.mark.asyncio
async def test_it_goes_on_where_it_broke() -> None:
    """Each record comes once and in order, though the connection broke three times."""
    async with (
        Breaking(100_000, 60_000, 200_000) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        assert await names(server, session) == [row["name"] for row in ROWS]
    assert server.api_requests == 4


@pytest.mark.asyncio
async def test_batches_go_on_too() -> None:
    """Batches of a size are of that size across a break."""
    async with Breaking(100_000) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        batches = [batch async for batch in session.clinic(server.credentials()).doctors.batches(size=900)]
    assert [len(batch) for batch in batches] == [900, 900, 900, 900, 400]
    assert [doctor.name for batch in batches for doctor in batch] == [row["name"] for row in ROWS]


@pytest.mark.asyncio
async def test_a_compressed_list_goes_on() -> None:
    """The digest is of the decompressed bytes: a gzip body that broke is resumed."""
    rows = [{"name": f"Dr. {random.Random(n).random()}", "profileImage": None} for n in range(20_000)]
    body = gzip.compress(json.dumps(rows).encode())
    async with (
        Breaking(len(body) // 2, body=body, headers="Content-Encoding: gzip\r\n") as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        assert await names(server, session) == [row["name"] for row in rows]
    assert server.api_requests == 2


@pytest.mark.asyncio
async def test_another_list_is_an_error() -> None:
    """If the list has changed meanwhile, the stream ends in StreamInterruptedError; what was handed out stays right."""
    changed = json.dumps([ROWS[1], *ROWS[1:]]).encode()
    async with (
        Breaking(100_000, answer(200, changed)) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        got = []
        with pytest.raises(StreamInterruptedError, match="cannot resume: the list has changed") as caught:
            async for doctor in session.clinic(server.credentials()).doctors.stream():
                got.append(doctor.name)
    assert caught.value.delivered == len(got) > 0
    assert got == [row["name"] for row in ROWS[: len(got)]]
    assert (caught.value.clinic, caught.value.path, caught.value.attempts) == ("Milano", "equipe/doctors", 2)
    assert caught.value.__context__ is None
    assert server.api_requests == 2


@pytest.mark.asyncio
async def test_a_list_grown_shorter_is_an_error() -> None:
    """A repeated list that ends before what was delivered is another list."""
    async with (
        Breaking(100_000, answer(200, b"[]")) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        with pytest.raises(StreamInterruptedError, match="the list has changed"):
            await names(server, session)


@pytest.mark.asyncio
async def test_no_attempt_left() -> None:
    """Behind max_attempts - 1 repeats the stream ends, telling the last fault and how many records are held."""
    async with Breaking(*[100_000] * 9) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        got = []
        with pytest.raises(StreamInterruptedError, match=r"the body was cut .* after 4 attempts") as caught:
            async for batch in session.clinic(server.credentials()).doctors.batches(size=100):
                got += batch
    assert server.api_requests == 4
    assert caught.value.delivered == len(got)
    assert "The records received so far are correct, but the list is incomplete" in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(("refusal", "requests"), [(403, 2), (503, 4)])
async def test_a_refused_repeat(refusal: int, requests: int) -> None:
    """A repeat that is refused, or unavailable to the end, ends the stream; a 503 that passes does not."""
    async with (
        Breaking(100_000, *[answer(refusal)] * 9) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        with pytest.raises(StreamInterruptedError, match=f"HTTP {refusal}"):
            await names(server, session)
        assert server.api_requests == requests
        server.cuts = [100_000, answer(503)]
        assert len(await names(server, session)) == len(ROWS)


@pytest.mark.asyncio
async def test_no_repeat_under_none() -> None:
    """Under RetryPolicy.none() a broken stream is not resumed."""
    async with (
        Breaking(100_000) as server,
        ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session,
    ):
        with pytest.raises(StreamInterruptedError):
            await names(server, session)
    assert server.api_requests == 1


@pytest.mark.asyncio
async def test_a_resume_is_announced() -> None:
    """A repeat waits as every retry does, and observers get its event."""
    events: list[Event] = []
    async with (
        Breaking(100_000) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[events.append]) as session,
    ):
        await names(server, session)
    (retry,) = [event for event in events if isinstance(event, RetryScheduled)]
    assert "the body was cut" in retry.reason
    assert retry.attempt == 1


@pytest.mark.asyncio
async def test_replay_counts_as_progress() -> None:
    """record_seconds bounds a replay that stands still, not one that goes on longer than that."""

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token or server.api_requests != 2:
            return await server.serve(request, writer)
        writer.write(f"HTTP/1.1 200 X\r\nContent-Length: {len(BODY)}\r\n\r\n".encode())
        for start in range(0, len(BODY), 10_000):
            if start and stop.is_set():
                await asyncio.Event().wait()
            writer.write(BODY[start : start + 10_000])
            await writer.drain()
            await asyncio.sleep(0.06)
        return None

    stop = asyncio.Event()
    timeouts = Timeouts(record_seconds=1)
    async with (
        Breaking(len(BODY) - 1000) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, timeouts=timeouts) as session,
    ):
        server.handler = slow
        assert len(await names(server, session)) == len(ROWS)
        server.requests.clear()
        server.cuts = [100_000]
        stop.set()
        with pytest.raises(DeadlineExceededError, match=r"1 s"):
            await names(server, session)


@pytest.mark.asyncio
async def test_closing_the_session_ends_a_resume() -> None:
    """A stream that waits for its repeat when the session closes ends with SessionClosedError."""
    async with (
        Breaking(100_000, answer(503, b"", "Retry-After: 9\r\n")) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        task = asyncio.create_task(names(server, session))
        async with asyncio.timeout(60):
            while server.api_requests < 2:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        await session.aclose()
        with pytest.raises(SessionClosedError):
            await task


@given(st.lists(st.integers(0, len(BODY)), max_size=3), st.booleans())
@settings(max_examples=25)
def test_any_breaks(cuts: list[int], collect: bool) -> None:
    """Wherever it breaks, up to three times, the reader gets every record once and in order."""

    async def read() -> None:
        async with (
            Breaking(*cuts) as server,
            ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
        ):
            stream = session.clinic(server.credentials()).doctors.stream(collect_errors=collect)
            got = [doctor.name async for doctor in stream]
            assert got == [row["name"] for row in ROWS]

    asyncio.run(read())


@frozen
class Room:
    """A class that knows one field."""

    name: str


@pytest.mark.asyncio
async def test_unknown_fields_are_reported_once() -> None:
    """Fields that the class does not know are an event each, once for an endpoint; odd names and open records never."""
    rows = [
        {"name": "Blu"},
        {"name": "Rosa", "floor": 1, "sea view": 2, "9x": 3, "a" * 65: 4},
        {"name": "Oro", "floor": 2},
    ]
    many = [{"name": "x", **{f"f{n}": n for n in range(100)}}]
    events: list[Event] = []

    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await server.good(request, writer)
        else:
            writer.write(answer(200, json.dumps(many if "many" in request.target else rows).encode()))

    async with (
        RawServer(serve) as server,
        ArzamedSession(base_url=server.base_url, observers=[events.append]) as session,
    ):
        clinic = session.clinic(server.credentials())
        rooms = clinic.resource(Endpoint("equipe/rooms", Room))
        assert len(await rooms.list()) == 3
        assert len([room async for room in rooms.stream(collect_errors=True)]) == 3
        assert [e for e in events if isinstance(e, UnknownField)] == [
            UnknownField(clinic="Milano", path="equipe/rooms", field="floor")
        ]
        await clinic.resource(Endpoint("equipe/many", Room)).list()
        assert sum(isinstance(e, UnknownField) and e.path == "equipe/many" for e in events) == 64
        with pytest.warns(UserWarning, match="guess"):
            await clinic.slots.list()
        with pytest.raises(DecodeError):
            await clinic.doctors.list()
    assert {e.path for e in events if isinstance(e, UnknownField)} == {"equipe/rooms", "equipe/many"}
