"""Inference from real streams, its bounds, and that no value of a record is in what it shows."""

from __future__ import annotations

import asyncio
import pickle
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from attrs import frozen
from rich.pretty import pretty_repr
from support import RawServer, Request, json_answer, token_answer

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DecodeError,
    Endpoint,
    LimitExceededError,
    OpenRecord,
    RetryPolicy,
    StreamInterruptedError,
    check_model,
    infer_model,
)

pytestmark = pytest.mark.asyncio

CANARY = "Canaria Inventata"
RECORDS: list[dict[str, Any]] = [
    {"id": n, "name": f"{CANARY} {n}", "by": {f"{n}@example.com": CANARY}} for n in range(2000)
]


@frozen
class Row:
    """A record."""

    id: int
    name: str
    by: dict[str, str]


class Server(RawServer):
    """Serves records, or a body as it is."""

    def __init__(self, body: object) -> None:
        super().__init__(self.serve)
        self.body = body

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Respond with a token, or with the body."""
        if request.is_token:
            writer.write(token_answer())
        elif isinstance(self.body, bytes):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + self.body)
            writer.close()
        else:
            writer.write(json_answer(200, self.body))


def clinic_of(session: ArzamedSession, server: RawServer) -> Clinic:
    """Return a clinic of a server."""
    return session.clinic(
        ClinicCredentials("id", "invented-secret", f"http://127.0.0.1:{server.port}/token", name="Milano")
    )


async def read(body: object, use: Callable[[Clinic], Any]) -> Any:
    """Serve a body, and await what `use` returns for the clinic."""
    async with (
        Server(body) as server,
        ArzamedSession(base_url=f"http://127.0.0.1:{server.port}", retry=RetryPolicy.none()) as session,
    ):
        return await use(clinic_of(session, server))


@pytest.mark.parametrize("model", [OpenRecord, Row])
@pytest.mark.parametrize("way", ["stream", "batches"])
async def test_a_stream_is_read_as_json(model: Any, way: str) -> None:
    """A stream of open or typed records, or of batches, is the same as the list of its JSON objects."""

    def infer(clinic: Clinic) -> Any:
        resource = clinic.resource(Endpoint("rows", model))
        return infer_model(resource.stream() if way == "stream" else resource.batches(size=7), name="rows")

    assert await read(RECORDS, infer) == await infer_model(RECORDS, name="rows")


async def test_long_whole_numbers_are_exact() -> None:
    """A number beyond 64 bits in a stream is a whole number."""
    model = await read(
        [{"n": 2**70}], lambda clinic: infer_model(clinic.resource(Endpoint("rows", OpenRecord)).stream(), name="rows")
    )
    assert model == await infer_model([{"n": 2**70}], name="rows")


async def test_at_most_so_many_records_are_read() -> None:
    """With `max_records` the stream is closed after these; nothing is left open."""

    async def infer(clinic: Clinic) -> None:
        stream = clinic.resource(Endpoint("rows", OpenRecord)).stream()
        assert (await infer_model(stream, name="rows", max_records=7)).records == 7
        with pytest.raises(ConfigurationError):
            aiter(stream)
        stream = clinic.resource(Endpoint("rows", OpenRecord)).stream()
        assert (await check_model(stream, Row, max_records=1)).records == 1

    await read(RECORDS, infer)
    assert (await infer_model(iter(RECORDS), name="rows", max_records=200)).records == 200


async def test_a_stream_that_was_read_is_refused() -> None:
    """A stream that records were read from would give a part of the list: it is refused."""

    async def infer(clinic: Clinic) -> None:
        async with clinic.resource(Endpoint("rows", OpenRecord)).stream() as stream:
            await anext(aiter(stream))
            with pytest.raises(ConfigurationError):
                await infer_model(stream, name="rows")

    await read(RECORDS, infer)


async def open_records() -> AsyncIterator[OpenRecord]:
    """Yield open records."""
    for each in RECORDS:
        yield OpenRecord(each)


async def test_iterables_of_any_kind() -> None:
    """OpenRecords, mappings, iterators and async iterators of them are the same."""
    whole = await infer_model(RECORDS, name="rows")
    assert await infer_model(open_records(), name="rows") == whole
    assert await infer_model([OpenRecord(each) for each in RECORDS], name="rows") == whole
    assert await infer_model([OpenRecord(each).data for each in RECORDS], name="rows") == whole
    assert await infer_model(iter(RECORDS), name="rows") == whole


def shown_by(error: BaseException) -> str:
    """Return what a tracker records of an error that prints the locals of all frames, those of this file aside."""
    texts = [repr(error), str(error), repr(error.args)]
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None:
            step = each.__traceback__
            while step is not None:
                if step.tb_frame.f_code.co_filename != __file__:
                    texts.append(shown_locals(step.tb_frame))
                step = step.tb_next
            errors += [each.__cause__, each.__context__]
    return "\n".join(texts)


def shown_locals(frame: FrameType) -> str:
    """Return the locals of a frame, as deep as a tracker goes."""
    return pretty_repr(dict(frame.f_locals), max_length=20, max_depth=6)


BAD: dict[str, list[Any]] = {
    "no object": [*RECORDS, CANARY],
    "an array": [*RECORDS, [CANARY]],
    "a value that JSON does not have": [*RECORDS, {"id": {CANARY}}],
    "a key that is no text": [*RECORDS, {"by": {5: CANARY}}],
    "too many fields": [*RECORDS, {f"field{chr(97 + n // 26)}{chr(97 + n % 26)}": CANARY for n in range(300)}],
}


@pytest.mark.parametrize("name", BAD)
async def test_errors_show_no_value(name: str) -> None:
    """What cannot be records is a clear error, in which, its chain and its frames no value of a record is."""
    with pytest.raises(ArzamedError) as caught:
        await infer_model(BAD[name], name="rows")
    assert CANARY not in shown_by(caught.value)
    assert isinstance(caught.value, LimitExceededError if name == "too many fields" else ConfigurationError)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([*RECORDS, CANARY], DecodeError),
        ({"name": CANARY}, DecodeError),
        (b'[{"name": "' + CANARY.encode() + b'"},', StreamInterruptedError),
    ],
)
async def test_errors_of_streams_show_no_value(body: object, error: type[ArzamedError]) -> None:
    """A list that is none, or is interrupted, is the stream's own error."""
    for use in (
        lambda clinic: infer_model(clinic.resource(Endpoint("rows", OpenRecord)).stream(), name="rows"),
        lambda clinic: check_model(clinic.resource(Endpoint("rows", OpenRecord)).stream(), Row),
    ):
        with pytest.raises(error) as caught:
            await read(body, use)
        assert CANARY not in shown_by(caught.value)
        assert caught.value.clinic == "Milano"


async def test_nothing_shows_a_value() -> None:
    """No value, and no key of a map, is in the repr, the fields, the source or a pickle."""
    model = await infer_model(RECORDS, name="rows", path="rows")
    shown = repr(model) + repr(model.fields) + model.source + pickle.dumps(model).decode("latin-1")
    assert CANARY not in shown
    assert "example.com" not in shown


def many(count: int) -> Iterator[dict[str, Any]]:
    """Yield hostile records: texts, keys of maps and forms that are all different."""
    for n in range(count):
        yield {
            "text": f"{CANARY} {n}",
            "day": f"2026-11-{n % 28 + 1:02}T10:00:00.{n % 9 * '0'}1Z",
            "by": {f"{n}@example.com": {"n": n}, f"person{n}": None},
            "rows": [{"x": [n, str(n), None]}] * (n % 3),
            "state": f"state{n % 50}",
        }


async def test_memory_does_not_grow() -> None:
    """Hostile records, many as they are, leave and take next to no memory."""
    await infer_model(many(500), name="rows", enums=True)
    tracemalloc.start()
    try:
        model = await infer_model(many(20_000), name="rows", enums=True)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert model.records == 20_000
    assert peak < 2 << 20
    assert left < 1 << 19
    assert sys.getsizeof(pickle.dumps(model)) < 10_000


async def test_too_many_places_in_all() -> None:
    """Records whose objects have too many fields together are refused, in a merge too."""
    names = [f"k{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)]
    halves = [[{name: dict.fromkeys(names[:40], 1) for name in names[start : start + 60]}] for start in (0, 100)]
    models = [await infer_model(each, name="rows") for each in halves]
    with pytest.raises(LimitExceededError):
        models[0].merge(models[1])
    with pytest.raises(LimitExceededError):
        await infer_model([*halves[0], *halves[1]], name="rows")


async def test_maps_give_their_places_back() -> None:
    """Many maps with many keys, each of them fields until there are too many, are no more places than their number."""
    keys = [f"k{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(260)]
    halves = (keys[:250], keys[10:])
    maps = [{f"map{chr(97 + n)}": dict.fromkeys(half, 1)} for n in range(24) for half in halves]
    first = await infer_model(maps[:2], name="rows")
    for n in range(2, len(maps), 2):
        first = first.merge(await infer_model(maps[n : n + 2], name="rows"))
    model = await infer_model([each for each in maps for _ in range(128)], name="rows")  # a window for each
    assert model.fields[0].key == first.fields[0].key
    assert len(model.fields) == 24
