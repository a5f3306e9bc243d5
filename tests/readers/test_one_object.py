"""`one()`: an endpoint that sends one JSON object, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest
from attrs import field, frozen, validators
from hypothesis import given, settings
from hypothesis import strategies as st
from support import RawServer, Request, answer, settle, until

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    Doctor,
    Endpoint,
    Event,
    LimitExceededError,
    Limits,
    NotFoundError,
    OpenRecord,
    RetryPolicy,
    SessionClosedError,
    Slot,
    Timeouts,
    TransportError,
    UnauthorizedError,
    UnknownField,
)

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)
CANARY = "valore-inventato-31"


@frozen
class Address:
    zip_code: str


@frozen
class Room:
    name: str
    floor: int | None = None
    address: Address | None = None
    price: Decimal | None = field(default=None)


@frozen
class Limited:
    name: str = field(validator=validators.max_len(3))


ROOM = Endpoint("equipe/rooms/{room}", Room)


class Bodies(RawServer):
    """Responds to the API's requests with these bytes, one after the other; the last one is repeated."""

    def __init__(self, *responses: bytes) -> None:
        super().__init__(self.serve)
        self.left = list(responses)

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await self.good(request, writer)
            return
        response = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        writer.write(response)
        if b"cut" in response[:60]:
            writer.close()


def of(body: bytes | str, status: int = 200, headers: str = "") -> bytes:
    return answer(status, body.encode() if isinstance(body, str) else body, headers)


async def one(*responses: bytes, model: Any = Room, **options: Any) -> Any:
    """Return what `one()` returns for these responses."""
    options = {"retry": QUICK, **options}
    async with Bodies(*responses) as server, ArzamedSession(base_url=server.base_url, **options) as session:
        return await session.clinic(server.credentials()).resource(Endpoint("equipe/rooms/7", model)).one()


async def test_an_object_is_read_as_its_class() -> None:
    """`one` returns an object of the class, with nested classes, and sends the query."""
    body = {"name": "Sala 1", "floor": 2, "address": {"zipCode": "20100"}, "price": "12.50", "new": 1}
    async with Bodies(of(json.dumps(body))) as server, ArzamedSession(base_url=server.base_url) as session:
        room = await session.clinic(server.credentials()).resource(ROOM, room=7).one({"on": "2030-01-07"})
    assert room == Room("Sala 1", 2, Address("20100"), Decimal("12.50"))
    assert server.requests[-1].target == "/api/v1/equipe/rooms/7?on=2030-01-07"


async def test_an_open_record() -> None:
    """An OpenRecord is the object as sent."""
    assert await one(of('{"a": [1, {"b": null}]}'), model=Slot) == Slot({"a": [1, {"b": None}]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=9), JSON))
async def test_any_object_is_read(value: dict[str, Any]) -> None:
    """Whatever an object holds, it arrives as it was sent: whole numbers of any size, any text; compressed too."""
    body = json.dumps(value).encode()
    for response in (of(body), of(gzip.compress(body), headers="Content-Encoding: gzip\r\n")):
        assert (await one(response, model=OpenRecord)).to_dict() == value


@pytest.mark.parametrize(
    ("body", "floor", "price"),
    [
        ('\ufeff{"name": "a"}', None, None),
        ('  \n{"name": "a", "floor": 123456789012345678901234567890}\n', 123456789012345678901234567890, None),
        ('{"name": "a", "price": 0.1000000000000000055511151231}', None, Decimal("0.1000000000000000055511151231")),
    ],
)
async def test_numbers_and_space(body: str, floor: int | None, price: Decimal | None) -> None:
    """A byte order mark and white space are passed; numbers are exact."""
    room = await one(of(body))
    assert (room.floor, room.price) == (floor, price)


LIST = "This is a list: use list"
NOTHING = "has sent no object"
BAD_BODIES: dict[str, tuple[bytes, str, str, str | None]] = {
    "a list": (of('[{"name": "a"}]'), "the body is a JSON array", LIST, None),
    "an empty list": (of("[]"), "the body is a JSON array", LIST, None),
    "null": (of("null"), "the body is null", NOTHING, None),
    "empty": (of(""), "the body is empty", NOTHING, None),
    "blank": (of(" \r\n"), "the body is empty", NOTHING, None),
    "204": (of("", 204), "the body is empty", NOTHING, None),
    "206": (of('{"name": "a"}', 206), "a part of the object .HTTP 206.", "Check the path", None),
    "text": (of('"a"'), "not a JSON object", "Check the path", None),
    "a number": (of("7"), "not a JSON object", "Check the path", None),
    "false": (of("false"), "not a JSON object", "Check the path", None),
    "HTML": (of("<html>"), "the body is not JSON", "Check the path", None),
    "two objects": (of('{"name": "a"}{"name": "b"}'), "the body is not JSON", "Check the path", None),
    "two with a comma": (of('{"name": "a"},{"name": "b"}'), "the body is not JSON", "Check the path", None),
    "brackets that close a list": (of('{"name": "a"}],[{"name": "b"}'), "the body is not JSON", "Check the path", None),
    "cut JSON": (of('{"name": "a"'), "the body is not JSON", "Check the path", None),
    "a number too large": (of('{"name": "a", "price": 1e999}'), "too large for a float", "Check the path", None),
    "deep": (of('{"name": ' + "[" * 2000 + "]" * 2000 + "}"), "nested more than", "Check the path", None),
    "not UTF-8": (of(b'{"name": "\xff"}'), "the body is not JSON", "Check the path", None),
    "a missing field": (of("{}"), "field name: expected a value", "Check the path", "name"),
    "a wrong type": (of('{"name": 7}'), "field name: expected text, found a whole number", "Check the path", "name"),
    "a nested one": (
        of('{"name": "a", "address": {"zipCode": 1}}'),
        "field address.zip_code: expected text",
        "Check the path",
        "address.zip_code",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize("coalesce", [False, True], ids=["", "coalesced"])
async def test_what_is_no_such_object(name: str, coalesce: bool) -> None:
    """Anything else is a DecodeError that says what was found and what to do, after one request."""
    response, text, remedy, at = BAD_BODIES[name]
    with pytest.raises(DecodeError, match=f"Milano: GET equipe/rooms/7: .*{text}.*{remedy}") as caught:
        await one(response, coalesce=coalesce)
    assert (caught.value.record_index, caught.value.field, caught.value.attempts) == (None, at, 1)
    assert caught.value.__context__ is None


async def test_a_validator_of_the_class() -> None:
    """What the class itself refuses is a DecodeError of its field, without the value."""
    with pytest.raises(DecodeError, match="field name: expected what the class accepts") as caught:
        await one(of(json.dumps({"name": CANARY})), model=Limited)
    assert CANARY not in str(caught.value)


async def test_a_list_that_is_an_object() -> None:
    """The other way round, `list()` on one object says to use `one()`."""
    async with Bodies(of('{"name": "a"}')) as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(DecodeError, match="not a JSON array.*use one"):
            await session.clinic(server.credentials()).resource(ROOM, room=7).list()


async def test_a_404_is_not_found() -> None:
    """Where the API has no such object, NotFoundError names the template."""
    async with (
        Bodies(of('{"error": "no such room"}', 404)) as server,
        ArzamedSession(base_url=server.base_url) as session,
    ):
        with pytest.raises(NotFoundError, match="GET equipe/rooms/{room}: HTTP 404 .no such room."):
            await session.clinic(server.credentials()).resource(ROOM, room=7).one()


CUT = b'HTTP/1.1 200 cut\r\nContent-Length: 99\r\n\r\n{"name":'


@pytest.mark.parametrize("first", [CUT, answer(503), answer(401)], ids=["cut", "503", "401"])
async def test_a_failed_attempt_is_retried(first: bytes) -> None:
    """A body that is cut, a 503 and a 401 are repeated as for a list."""
    assert await one(first, of('{"name": "a"}')) == Room("a")


@pytest.mark.parametrize(
    ("response", "error"), [(CUT, TransportError), (answer(401), UnauthorizedError)], ids=["cut", "401"]
)
async def test_a_failure_that_stays(response: bytes, error: type[ArzamedError]) -> None:
    """Without attempts left, the error is that of a list."""
    with pytest.raises(error) as caught:
        await one(response)
    assert caught.value.clinic == "Milano"


async def test_the_deadline() -> None:
    """A response that does not come ends in the call's deadline."""
    with pytest.raises(DeadlineExceededError, match="GET equipe/rooms/7"):
        await one(b"", timeouts=Timeouts(total_seconds=0.05))


@pytest.mark.parametrize("size", [100, 101])
async def test_the_limit_is_that_of_a_body(size: int) -> None:
    """Limits.body_bytes bounds the object, to the byte; those of lists do not."""
    body = json.dumps({"name": "x" * (size - 12)}).encode()
    assert len(body) == size
    read = one(of(body), limits=Limits(body_bytes=100, list_bytes=5, record_bytes=5, list_records=1))
    if size <= 100:
        assert len((await read).name) == size - 12
        return
    with pytest.raises(LimitExceededError, match="body_bytes .100 bytes") as caught:
        await read
    assert caught.value.limit == "body_bytes"


async def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small compressed response that expands to many values is a LimitExceededError, and is never decoded."""
    body = b'{"a": [' + b"[]," * 2_000_000 + b"[]]}"
    decoded: list[int] = []
    original = orjson.loads

    def loads(data: bytes) -> Any:
        decoded.append(len(data))
        return original(data)

    monkeypatch.setattr("arzamed_async._readers.one.orjson.loads", loads)
    with pytest.raises(LimitExceededError, match="expands to too much memory.*clinic.get") as caught:
        await one(of(gzip.compress(body), headers="Content-Encoding: gzip\r\n"), model=OpenRecord)
    assert caught.value.json_bytes == len(body)
    assert max(decoded, default=0) < 10_000


async def test_unknown_fields_are_reported() -> None:
    """A field that the class does not know is an UnknownField event, with the path of a nested one."""
    events: list[Event] = []
    await one(of('{"name": "a", "new": 1, "address": {"zipCode": "1", "city": "x"}}'), observers=[events.append])
    assert {each.field for each in events if isinstance(each, UnknownField)} == {"new", "address.city"}


@pytest.mark.parametrize(
    ("first", "second", "requests"),
    [
        (lambda c: c.resource(ROOM, room=7).one(), lambda c: c.resource(ROOM, room=7).one(), 1),
        (lambda c: c.resource(ROOM, room=7).one(), lambda c: c.resource(ROOM, room=8).one(), 2),
        (lambda c: c.resource(ROOM, room=7).one(), lambda c: c.resource(ROOM, room=7).one({"a": 1}), 2),
        (lambda c: c.resource(ROOM, room=7).one(), lambda c: c.resource(ROOM, room=7).list(), 2),
        (lambda c: c.resource(PERSON, room=7).one(), lambda c: c.resource(PERSON, room=7).one(), 2),
    ],
    ids=["same", "value", "params", "list", "personal"],
)
async def test_which_reads_are_shared(
    first: Callable[[Clinic], Any], second: Callable[[Clinic], Any], requests: int
) -> None:
    """Only identical reads are one request: a list of the same path is another, and so is each of a personal endpoint."""
    gate = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await server.good(request, writer)
            return
        await gate.wait()
        writer.write(of('{"name": "a"}'))

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, coalesce=True, retry=RetryPolicy.none()) as session,
    ):
        clinic = session.clinic(server.credentials())
        reads = [asyncio.ensure_future(each(clinic)) for each in (first, second)]
        await until(lambda: server.api_requests >= requests)
        await settle()
        gate.set()
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert results[0] == Room("a")
        assert server.api_requests == requests


PERSON = Endpoint("equipe/people/{room}", Room, personal=True)


async def test_a_closed_session() -> None:
    """After the end of the session `one` raises SessionClosedError."""
    async with RawServer() as server:
        async with ArzamedSession(base_url=server.base_url) as session:
            rooms = session.clinic(server.credentials()).resource(ROOM, room=7)
        with pytest.raises(SessionClosedError):
            await rooms.one()


async def test_wrong_params_are_refused() -> None:
    """The query is checked as that of a list is."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ConfigurationError, match="params"):
            await session.clinic(server.credentials()).resource(Endpoint("x", Doctor)).one(CANARY)  # type: ignore[arg-type]
