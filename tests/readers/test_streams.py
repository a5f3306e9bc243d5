"""Records as they arrive, on real sockets."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import random
import warnings

import pytest
from attrs import frozen
from support import CLOCK_BIT, DOCTORS, RawServer, Request, answer, settle

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    Doctor,
    Endpoint,
    Endpoints,
    ForbiddenError,
    LimitExceededError,
    Limits,
    PoolLimits,
    RetryPolicy,
    ServiceUnavailableError,
    Timeouts,
    TransportError,
    UnpublishedEndpointWarning,
)

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)
MANY = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(5000)]


class Slowly(RawServer):
    """Sends the first records of an endless list, and the rest on request."""

    def __init__(self, first: bytes = b'[{"name": "Dr. Uno", "profileImage": null},') -> None:
        super().__init__(self.serve)
        self.first = first
        self.rest = asyncio.Event()

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await self.good(request, writer)
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(self.first), self.first))
        await writer.drain()
        await self.rest.wait()
        last = b'{"name": "Dr. Due", "profileImage": null}]'
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))


def serving(server: RawServer, body: bytes, headers: str = "", status: int = 200) -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await server.good(request, writer)
        else:
            writer.write(answer(status, body, headers))

    server.handler = handler


async def test_records_come_before_the_list_ends() -> None:
    """The first record is handed out while the server is still holding back the second."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        async with session.clinic(server.credentials()).doctors.stream() as doctors:
            assert (await anext(doctors)).name == "Dr. Uno"
            server.rest.set()
            assert [doctor.name async for doctor in doctors] == ["Dr. Due"]


async def test_a_long_list_in_every_way() -> None:
    """list, stream and batches give the same records in the same order; batches of a size are of just that size."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, json.dumps(MANY).encode())
        doctors = session.clinic(server.credentials()).doctors
        whole = await doctors.list()
        assert whole == [Doctor(each["name"], None) for each in MANY]
        assert [doctor async for doctor in doctors.stream()] == whole
        assert [doctor async for batch in doctors.batches() for doctor in batch] == whole
        sizes = [len(batch) async for batch in doctors.batches(size=1500)]
    assert sizes == [1500, 1500, 1500, 500]


async def test_a_compressed_list() -> None:
    """A gzip body is read as it arrives; one that is cut is requested again."""
    body = gzip.compress(json.dumps(MANY).encode())
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        doctors = session.clinic(server.credentials()).doctors
        serving(server, body, "Content-Encoding: gzip\r\n")
        assert len(await doctors.list()) == len(MANY)
        serving(server, body[:-4], "Content-Encoding: gzip\r\n")
        with pytest.raises(TransportError, match="compressed body was cut"):
            await doctors.list()
        assert server.api_requests == 1 + 4


async def test_nothing_starts_before_the_first_step() -> None:
    """A stream that is created and left requests nothing."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        doctors = session.clinic(server.credentials()).doctors
        async with doctors.stream():
            pass
        await doctors.batches().aclose()
        assert server.requests == []


async def test_leaving_early_closes_the_connection() -> None:
    """A stream that is left half-way, by its block or by aclose, holds no connection any more."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        async with clinic.doctors.stream() as doctors:
            await anext(doctors)
            assert server.open_connections == 1
        stream = clinic.doctors.stream()
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
        server.rest.set()
        await until(lambda: server.open_connections == 0)


async def until(true) -> None:
    """Let the loop go on until something is true; a test that hangs here has failed."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.001)


async def test_a_stream_is_read_once() -> None:
    """A second `async for` over a stream that has ended or was left is an error, never an empty list."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        stream = session.clinic(server.credentials()).doctors.stream()
        assert len([doctor async for doctor in stream]) == 3
        with pytest.raises(ConfigurationError, match="only once"):
            [doctor async for doctor in stream]


async def test_going_on_after_a_break() -> None:
    """A loop that was left by a break can be resumed while the stream is held."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        async with session.clinic(server.credentials()).doctors.stream() as stream:
            async for _ in stream:
                break
            assert len([doctor async for doctor in stream]) == 2


async def test_a_dropped_stream_warns_and_lets_go() -> None:
    """A stream dropped half-way gives its connection up, with a ResourceWarning."""
    async with Slowly() as server, ArzamedSession(base_url=server.base_url) as session:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async for _ in session.clinic(server.credentials()).doctors.stream():
                break
            gc.collect()
            await settle()
        assert [str(w.message) for w in caught if w.category is ResourceWarning] == [
            "a record stream was dropped half-way: use `async with`, or await its aclose()"
        ]
        server.rest.set()
        await until(lambda: server.open_connections == 0)


async def test_cancelling_a_step() -> None:
    """A reader cancelled while it waits leaves no connection open."""
    async with Slowly(b"[") as server, ArzamedSession(base_url=server.base_url) as session:
        stream = session.clinic(server.credentials()).doctors.stream()
        task = asyncio.ensure_future(anext(stream))
        await until(lambda: server.api_requests == 1)
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.rest.set()
        await until(lambda: server.open_connections == 0)


async def test_broken_before_the_first_record_is_retried() -> None:
    """An attempt that breaks before any record was handed out is made again."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token or server.api_requests == 3:
            await server.good(request, writer)
        elif server.api_requests == 1:
            writer.write(answer(503))
        else:
            writer.write(b'HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n[{"name": "Dr. U')
            writer.close()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        assert len([doctor async for doctor in session.clinic(server.credentials()).doctors.stream()]) == 3
    assert server.api_requests == 3


async def test_the_total_deadline_ends_with_the_first_record() -> None:
    """total_seconds bounds the wait for the first record; after it record_seconds bounds each further wait."""
    timeouts = Timeouts(total_seconds=10, record_seconds=0.1)
    async with Slowly() as server, ArzamedSession(base_url=server.base_url, timeouts=timeouts) as session:
        async with session.clinic(server.credentials()).doctors.stream() as doctors:
            await anext(doctors)
            await asyncio.sleep(0.15)  # the consumer's own time does not count
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(DeadlineExceededError, match=r"0\.1 s"):
                await anext(doctors)
            assert loop.time() >= started + 0.1 - CLOCK_BIT


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b'{"error": "x"}', "not a JSON array"),
        (b"<html>", "not a JSON array"),
        (b'[{"name": "Dr. Uno"}]', "record 0, field profile_image: expected a value"),
        (b'[{"name": "a", "profileImage": null}, null]', "record 1: expected an object, found null"),
        (b'[{"name": 5, "profileImage": null}]', "field name: expected text"),
    ],
)
async def test_bodies_that_break_the_promise(body: bytes, words: str) -> None:
    """A 2xx that is not what the API promises is a DecodeError after one request, in every way of reading."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, body)
        doctors = session.clinic(server.credentials()).doctors
        for read in (doctors.list, lambda: collect(doctors.stream()), lambda: collect(doctors.batches())):
            with pytest.raises(DecodeError, match=words) as caught:
                await read()
            assert (caught.value.clinic, caught.value.path) == ("Milano", "equipe/doctors")
            assert caught.value.__context__ is None
        assert server.api_requests == 3


async def collect(stream) -> list:
    """Read a stream to its end."""
    return [each async for each in stream]


async def test_a_204_is_no_list() -> None:
    """204 is a DecodeError: no list was sent."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(DecodeError, match="empty"):
            await session.clinic(server.credentials()).doctors.list()


async def test_a_part_of_a_list_is_no_list() -> None:
    """206 is a DecodeError, however it is read: APIs that send pages use it. `get` returns the response as it is."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        rows = json.dumps(DOCTORS).encode()
        head = f"HTTP/1.1 206 X\r\nContent-Range: items 0-2/900\r\nContent-Length: {len(rows)}\r\n\r\n"
        writer.write(head.encode() + rows)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, coalesce=True) as session:
        clinic = session.clinic(server.credentials())
        for read in (
            clinic.doctors.list,
            lambda: collect(clinic.doctors.stream()),
            lambda: collect(clinic.doctors.batches()),
        ):
            with pytest.raises(DecodeError, match=r"is a part of the list \(HTTP 206\)"):
                await read()
        assert (await clinic.get("equipe/doctors")).status == 206


async def test_an_empty_list() -> None:
    """An empty list is an empty list, in every way of reading."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, b" [ ] ")
        doctors = session.clinic(server.credentials()).doctors
        assert await doctors.list() == await collect(doctors.stream()) == await collect(doctors.batches(size=2)) == []


async def test_collecting_errors() -> None:
    """With collect_errors bad records go to .errors, each with its index, and the good ones come."""
    rows = [*DOCTORS[:1], None, {"name": 1, "profileImage": None}, *DOCTORS[1:]]
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, json.dumps(rows).encode())
        async with session.clinic(server.credentials()).doctors.stream(collect_errors=True) as stream:
            assert len(await collect(stream)) == 3
            assert [error.record_index for error in stream.errors] == [1, 2]
        assert session.clinic(server.credentials()).doctors.stream().errors == []


async def test_limits() -> None:
    """A record over record_bytes and a list over list_bytes are LimitExceededErrors that name the limit to raise."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, json.dumps(MANY).encode())
        clinic = session.clinic(server.credentials())
        with pytest.raises(LimitExceededError, match=r"Limits\.list_bytes"):
            await clinic.with_options(limits=Limits(list_bytes=100_000)).doctors.list()
        with pytest.raises(LimitExceededError, match=r"Limits\.record_bytes"):
            await clinic.with_options(limits=Limits(record_bytes=20)).doctors.list()


@frozen
class Room:
    """A user's own class."""

    room_name: str
    floor: int | None = None


async def test_any_endpoint() -> None:
    """Any list endpoint is read into a class of the user's own."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, b'[{"roomName": "Blu", "floor": 2, "new": true}, {"roomName": "Rosa"}]')
        rooms = session.clinic(server.credentials()).resource(Endpoint("equipe/rooms", Room))
        assert await rooms.list() == [Room("Blu", 2), Room("Rosa")]
    assert server.requests[-1].target == "/api/v1/equipe/rooms"


async def test_unpublished_endpoints_warn_once() -> None:
    """The first use of slots or patients warns, naming the remedy; the second does not."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, b'[{"start": "2026-01-02T03:04:05Z"}]')
        clinic = session.clinic(server.credentials())
        with pytest.warns(UnpublishedEndpointWarning, match=r"Endpoints\(slots='\.\.\.'\)") as caught:
            (slot,) = await clinic.slots.list()
        assert caught[0].filename == __file__
        assert slot.data["start"] == "2026-01-02T03:04:05Z"
        await clinic.slots.list()
        with pytest.warns(UnpublishedEndpointWarning, match=r"Endpoints\(patients='\.\.\.'\)"):
            clinic.patients.stream()
    assert server.requests[-1].target == "/api/v1/equipe/slots"


async def taken(records):
    """Read to the end."""
    return [each async for each in records]


WAYS = {
    "awaited": lambda session, clinic: clinic.slots.list(),
    "in a task": lambda session, clinic: asyncio.create_task(clinic.slots.list()),
    "in a fan-out": lambda session, clinic: session.gather([clinic], lambda clinic: clinic.slots.list()),
    "merged": lambda session, clinic: taken(session.merge([clinic], lambda clinic: clinic.slots.stream())),
    "in batches": lambda session, clinic: taken(clinic.slots.batches()),
}


@pytest.mark.parametrize("way", WAYS)
async def test_the_warning_points_at_the_line_that_names_the_resource(way: str) -> None:
    """Wherever the list is awaited, the warning of a guessed path points at the user's own file and line."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, b"[]")
        with pytest.warns(UnpublishedEndpointWarning) as caught:
            await WAYS[way](session, session.clinic(server.credentials()))
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, WAYS[way].__code__.co_firstlineno)


async def test_the_warning_comes_where_the_property_is_read() -> None:
    """A guessed path warns in the line that reads the property, though nothing is requested there."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.warns(UnpublishedEndpointWarning) as caught:
            slots = session.clinic(server.credentials()).slots
        assert [each.filename for each in caught] == [__file__]
        serving(server, b"[]")
        assert await slots.list() == []
    assert server.api_requests == 1


async def test_a_known_path_does_not_warn() -> None:
    """A path that the user gave is taken as right: no warning, and no doubt in its errors."""
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, endpoints=Endpoints(slots="agenda/slots")) as session,
    ):
        serving(server, b"{}", status=403)
        with pytest.raises(ForbiddenError) as caught:
            await session.clinic(server.credentials()).slots.list()
    assert "unpublished" not in str(caught.value)
    assert server.requests[-1].target == "/api/v1/agenda/slots"


@pytest.mark.filterwarnings("ignore::arzamed_async.UnpublishedEndpointWarning")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_any_4xx_of_an_unpublished_path_doubts_the_path(status: int) -> None:
    """Any 4xx of an unpublished endpoint adds that the path itself may be wrong; a 5xx does not."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
        clinic: Clinic = session.clinic(server.credentials())
        serving(server, b"", status=status)
        with pytest.raises(Exception, match="This path is unpublished; the path itself may be wrong"):
            await clinic.patients.list()
        serving(server, b"", status=503)
        with pytest.raises(ServiceUnavailableError) as caught:
            await clinic.patients.list()
    assert "unpublished" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, True, "5", 1.5])
async def test_a_bad_size(size: object) -> None:
    """A size that is no whole number over zero is refused at once."""
    async with ArzamedSession() as session:
        credentials = ClinicCredentials("id", "invented", "http://127.0.0.1:1/token")
        with pytest.raises(ConfigurationError, match="size"):
            session.clinic(credentials).doctors.batches(size=size)  # type: ignore[arg-type]


async def test_other_tasks_run_while_a_list_is_read() -> None:
    """While a long list that has all arrived is decoded, other tasks get their turns."""
    body = gzip.compress(json.dumps(MANY * 20).encode())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, body, "Content-Encoding: gzip\r\n")
        clinic = session.clinic(server.credentials())
        await clinic.token()
        counter = asyncio.create_task(count())
        assert len(await clinic.doctors.list()) == 100_000
        counter.cancel()
    assert turns > 30


async def test_collected_errors_name_the_clinic() -> None:
    """Each collected error names clinic and path, as one that is raised does."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        serving(server, b"[null]")
        stream = session.clinic(server.credentials()).doctors.stream(collect_errors=True)
        assert await collect(stream) == []
    assert str(stream.errors[0]).startswith("Milano: GET equipe/doctors: record 0: expected an object")


async def test_a_record_nested_too_deep_is_a_decode_error() -> None:
    """A record nested deeper than Python can follow is a DecodeError, of that record alone."""
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, endpoints=Endpoints(slots="s")) as session,
    ):
        serving(server, b'[{"a":1},' + deep + b',{"a":2}]')
        slots = session.clinic(server.credentials()).slots
        with pytest.raises(DecodeError, match="record 1: expected less nesting"):
            await slots.list()
        stream = slots.stream(collect_errors=True)
        assert len(await collect(stream)) == 2
        assert [error.record_index for error in stream.errors] == [1]


@pytest.mark.parametrize("seed", range(3))
async def test_cancelling_anywhere_leaks_nothing(seed: int) -> None:
    """Readers cancelled at any point, in any way of reading, leave no connection and no task, and the pool usable."""
    chance = random.Random(seed)
    body = json.dumps(MANY).encode()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 30_000):
            writer.write(body[start : start + 30_000])
            await writer.drain()
            await asyncio.sleep(0)

    async with RawServer(handler) as server:
        before = asyncio.all_tasks()
        async with ArzamedSession(base_url=server.base_url, pool=PoolLimits(connections=8)) as session:
            doctors = session.clinic(server.credentials()).doctors

            async def stream() -> None:
                async with doctors.stream() as records:
                    async for _ in records:
                        pass

            tasks = [asyncio.ensure_future(chance.choice([doctors.list, stream])()) for _ in range(60)]
            for task in tasks:
                for _ in range(chance.randint(0, 12)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait(tasks)
            assert len(await doctors.list()) == len(MANY)
        await until(lambda: server.open_connections == 0)
        await until(lambda: asyncio.all_tasks() == before)
