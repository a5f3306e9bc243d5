"""Small responses that expand to millions of values: what a list may keep depends on the bytes received, whatever it is made of."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from fault_server import TOKEN_JSON, Act, Side, Wire
from support import SECRET
from support.quick_loop import quickly

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    DecodeError,
    Endpoint,
    Failure,
    LimitExceededError,
    Limits,
    RetryPolicy,
    Slot,
)

pytestmark = pytest.mark.filterwarnings("ignore::arzamed_async.UnpublishedEndpointWarning")
MEBIBYTE = 1_048_576
BOMB_BYTES, SENT_BYTES = 11 * MEBIBYTE, 11_300
MOST_EXTRA_BYTES = 8 * MEBIBYTE
MANY = 20


@attrs.frozen
class Anything:
    a: Any = None
    b: list[dict[str, int]] = attrs.field(factory=list[dict[str, int]])


#: The elements of which the bombs are made.
SHAPES = {
    "nothing": b"{}",
    "one number": b'{"a":1}',
    "arrays": b'{"a":[[],[],[],[1]]}',
    "objects": b'{"a":{"b":{"c":{}}}}',
    "short texts": b'{"a":["ab","cd","ef","gh","ab","cd"]}',
    "twelve keys": json.dumps({f"k{n}": n for n in range(12)}).encode(),
    "a slot": b'{"start":"2030-01-07T10:00:00Z","doctor":"Dr. Inventata","free":true}',
    "a picture": b'{"a":"' + b"x" * 400 + "\N{GRINNING FACE}".encode() + b'"}',
}
DOCTOR = b'{"name":"","profileImage":null}'


@functools.cache
def bomb(element: bytes, size: int = BOMB_BYTES, most_sent: int = SENT_BYTES) -> bytes:
    body = gzip.compress(b"[" + b",".join([element] * (size // (len(element) + 1))) + b"]", compresslevel=6)
    return body if len(body) <= most_sent else bomb(element, size * most_sent // len(body) * 19 // 20, most_sent)


@functools.cache
def large_record() -> bytes:
    """A record of one mebibyte, which is what a record may have, from a kilobyte."""
    return gzip.compress(b'[{"a":[' + b",".join([b"[]"] * (MEBIBYTE // 3 - 10)) + b"]}]")


def sending(body: bytes, headers: str = "Content-Encoding: gzip") -> Act:
    async def act(wire: Wire) -> None:
        await wire.answer(body, headers)

    return act


Session = Callable[[str], ArzamedSession]


def direct(base_url: str) -> ArzamedSession:
    return ArzamedSession(base_url=base_url, retry=RetryPolicy.none())


def ordinary(base_url: str) -> ArzamedSession:
    return ArzamedSession(base_url=base_url, retry=RetryPolicy.none(), trust_env=True)


async def extra_bytes(
    act: Act, call: Callable[[ArzamedSession, list[Clinic]], Awaitable[Any]], lane: Session = direct
) -> tuple[int, Any]:
    """Return the extra peak of a call in bytes, and what came of it."""
    async with Side(TOKEN_JSON) as tokens, Side(b"[]") as api:
        url = f"http://127.0.0.1:{tokens.port}/token"
        async with lane(f"http://127.0.0.1:{api.port}") as session:
            clinics = [session.clinic(ClinicCredentials(f"id{n}", SECRET, url, f"c{n}")) for n in range(MANY)]
            await session.gather(clinics, lambda clinic: clinic.slots.list())
            api.arm(act)
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                result: Any = None
                try:
                    result = await call(session, clinics)
                except ArzamedError as error:
                    result = error
                return tracemalloc.get_traced_memory()[1] - before, result
            finally:
                tracemalloc.stop()


def measured(name: str, body: bytes, *args: Any) -> Any:
    extra, result = quickly(extra_bytes(sending(body), *args))
    print(f"{name}: {len(body):,} bytes sent, {extra:,} bytes extra at the peak")  # noqa: T201 - the figure
    assert extra < MOST_EXTRA_BYTES
    return result


async def slots(_session: ArzamedSession, clinics: list[Clinic]) -> Any:
    return await clinics[0].slots.list()


async def any_value(_session: ArzamedSession, clinics: list[Clinic]) -> Any:
    return await clinics[0].resource(Endpoint("x", Anything)).list()


async def doctors(_session: ArzamedSession, clinics: list[Clinic]) -> Any:
    return await clinics[0].doctors.list()


async def gather(session: ArzamedSession, clinics: list[Clinic]) -> Any:
    return await session.gather(clinics, lambda clinic: clinic.slots.list())


async def stream(_session: ArzamedSession, clinics: list[Clinic]) -> int:
    count = 0
    async with clinics[0].slots.stream() as records:
        async for _ in records:
            count += 1
    return count


async def merge(session: ArzamedSession, clinics: list[Clinic]) -> int:
    count = 0
    async with session.merge(clinics[:2], lambda clinic: clinic.slots.stream(), buffer=1024) as merged:
        async for _ in merged:
            count += 1
    return count


async def get(_session: ArzamedSession, clinics: list[Clinic]) -> Any:
    response = await clinics[0].get("equipe/slots")
    return response.json()


def is_bomb(error: Any, limit: str = "list_records") -> bool:
    return isinstance(error, LimitExceededError) and error.limit == limit and error.memory_bytes > 3 * MEBIBYTE


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lane", [direct, ordinary])
def test_a_bomb_is_refused_by_a_list(shape: str, lane: Session) -> None:
    """What swells out of 11 kB of gzip, in any shape, ends a list of open records before it has cost 8 MiB, over either lane."""
    assert is_bomb(measured(shape, bomb(SHAPES[shape]), slots, lane))


@pytest.mark.parametrize("shape", ["nothing", "arrays", "one number"])
def test_a_bomb_is_refused_by_a_class_with_open_parts(shape: str) -> None:
    """A class of one's own with a field of type Any, or with collections in it, is no way around the limit."""
    element = SHAPES[shape].replace(b'"a":[', b'"a":[').replace(b'"b":{"c"', b'"x":{"c"')
    assert is_bomb(measured(shape, bomb(element), any_value))


def test_a_bomb_of_doctors_is_refused() -> None:
    """146 kB of doctors that have nothing but what is required do not become 130 MB."""
    body = bomb(DOCTOR, 40 * MEBIBYTE, 150_000)
    assert is_bomb(measured("doctors", body, doctors))


@pytest.mark.parametrize("shape", SHAPES)
def test_twenty_bombs_at_once_cost_little_more_than_one(shape: str) -> None:
    """20 lists at once, each of them a bomb, stay together below 8 MiB: one at a time expands, and a failure keeps nothing."""
    outcomes = measured(f"20 x {shape}", bomb(SHAPES[shape]), gather)
    assert len(outcomes) == MANY
    assert all(isinstance(each, Failure) and is_bomb(each.error) for each in outcomes)


@pytest.mark.parametrize("call", [stream, merge])
def test_a_stream_holds_one_window_of_a_bomb(call: Any) -> None:
    """A stream or a merge that drops its records reads on through a bomb, in less than 8 MiB."""
    count = measured(call.__name__, bomb(b"{}", MEBIBYTE), call)
    each = MEBIBYTE // 3
    assert count == (each if call is stream else 2 * each + 2)


@pytest.mark.parametrize("call", [slots, stream, gather])
def test_a_record_that_expands_is_refused_before_it_is_decoded(call: Any) -> None:
    """One record of 350,000 empty arrays from a kilobyte is refused by lists and streams."""
    result = measured(f"large record, {call.__name__}", large_record(), call)
    errors: list[Any] = [each.error for each in result] if call is gather else [result]
    assert all(is_bomb(error, "record_bytes") for error in errors)


def test_a_body_of_get_is_counted_before_it_is_decoded() -> None:
    """`Response.json` of 2 MiB from 2 kB raises; the bytes themselves are there."""
    error = measured("get", bomb(b"{}", 2 * MEBIBYTE), get)
    assert is_bomb(error, "body_bytes")
    assert error.path == "<raw>"


async def read(body: bytes, limits: Limits, headers: str = "Content-Encoding: gzip", **options: Any) -> Any:
    async with Side(TOKEN_JSON) as tokens, Side(b"[]") as api:
        credentials = ClinicCredentials("id", SECRET, f"http://127.0.0.1:{tokens.port}/token", "Milano")
        async with ArzamedSession(base_url=f"http://127.0.0.1:{api.port}", limits=limits, **options) as session:
            api.arm(sending(body, headers))
            clinic = session.clinic(credentials)
            calls = [clinic.resource(Endpoint("x", Slot)).list() for _ in range(5 if options else 1)]
            return await asyncio.gather(*calls, return_exceptions=True)


def real_slots(count: int) -> bytes:
    return json.dumps(
        [
            {
                "id": n,
                "start": f"2030-01-{n % 28 + 1:02}T10:{n % 60:02}:00Z",
                "doctor": f"Dr. Inventata {n % 40}",
                "free": n % 3 == 0,
            }
            for n in range(count)
        ]
    ).encode()


def test_a_large_list_is_no_bomb() -> None:
    """100,000 slots in gzip, 40 times smaller than their JSON, are read."""
    body = gzip.compress(real_slots(100_000))
    assert len(quickly(read(body, Limits()))[0]) == 100_000


def test_list_records_is_the_most_that_a_list_has() -> None:
    """A list of exactly list_records records is read, large or small; one more is an error that says so."""
    for most in (3, 2000):
        for headers, encode in (("X: y", bytes), ("Content-Encoding: gzip", gzip.compress)):
            limits = Limits(list_records=most)
            (found,) = quickly(read(encode(real_slots(most)), limits, headers))
            assert len(found) == most
            (error,) = quickly(read(encode(real_slots(most + 1)), limits, headers))
            assert isinstance(error, LimitExceededError)
            assert (error.limit, error.limit_records, error.limit_bytes) == ("list_records", most, 0)
            assert f"exceeds the limit list_records ({most:,} records)" in str(error)
            assert "stream()" in str(error)


def test_a_number_of_records_that_is_given_lifts_the_limit_of_expansion() -> None:
    """The same record 20,000 times looks like a bomb; with list_records it is read, and list_bytes bounds its memory."""
    body = gzip.compress(b"[" + b",".join([SHAPES["a slot"]] * 20_000) + b"]")
    (error,) = quickly(read(body, Limits()))
    assert is_bomb(error)
    assert f"{len(body):,} bytes received" in str(error)
    assert "of JSON and about" in str(error)
    assert "Limits(list_bytes=..., list_records=...)" in str(error)
    (found,) = quickly(read(body, Limits(list_records=20_000)))
    assert len(found) == 20_000
    (error,) = quickly(read(body, Limits(list_records=20_000, list_bytes=5 * MEBIBYTE)))
    assert is_bomb(error, "list_bytes")


def test_list_bytes_bounds_the_memory_of_records() -> None:
    """Records that take more memory than list_bytes are an error, though their JSON is shorter; below 3 MiB JSON alone counts."""
    body = real_slots(20_000)
    (error,) = quickly(read(body, Limits(list_bytes=5 * MEBIBYTE), "X: y"))
    assert is_bomb(error, "list_bytes")
    body = real_slots(2000)
    assert len(quickly(read(body, Limits(list_bytes=len(body)), "X: y"))[0]) == 2000
    (error,) = quickly(read(body, Limits(list_bytes=len(body) - 1), "X: y"))
    assert (error.limit, error.limit_bytes, error.memory_bytes) == ("list_bytes", len(body) - 1, 0)


def test_callers_that_share_a_list_share_its_refusal() -> None:
    """Coalesced reads of a bomb are one request, counted once; each caller has an error of its own."""
    errors = quickly(read(bomb(b"{}"), Limits(), coalesce=True))
    assert len(errors) == 5
    assert all(is_bomb(error) for error in errors)
    assert len({id(error) for error in errors}) == 5
    assert {error.records for error in errors} == {errors[0].records}


def test_a_bomb_is_requested_once() -> None:
    """A list that expands too far is not retried."""

    async def attempts() -> int:
        async with Side(TOKEN_JSON) as tokens, Side(b"[]") as api:
            credentials = ClinicCredentials("id", SECRET, f"http://127.0.0.1:{tokens.port}/token", "Milano")
            async with ArzamedSession(base_url=f"http://127.0.0.1:{api.port}") as session:
                api.arm(sending(bomb(b"{}")))
                with pytest.raises(LimitExceededError) as caught:
                    await session.clinic(credentials).resource(Endpoint("x", Slot)).list()
                return caught.value.attempts

    assert quickly(attempts()) == 1


def test_a_list_that_waits_for_the_network_does_not_keep_others_from_expanding() -> None:
    """A server that stalls in the midst of a compressed list holds up no other clinic's."""

    async def reading() -> int:
        compressor = gzip.compress(real_slots(5000))
        done = asyncio.Event()

        async def stall(wire: Wire) -> None:
            await wire.answer(compressor, "Content-Encoding: gzip")

        async def half(wire: Wire) -> None:
            head = f"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {len(compressor)}\r\n\r\n"
            await wire.send(head.encode(), compressor[: len(compressor) // 2])
            await done.wait()
            await wire.send(compressor[len(compressor) // 2 :])

        async with Side(TOKEN_JSON) as tokens, Side(b"[]") as slow, Side(b"[]"):
            url = f"http://127.0.0.1:{tokens.port}/token"
            async with ArzamedSession(base_url=f"http://127.0.0.1:{slow.port}") as session:
                rooms = session.clinic(ClinicCredentials("id", SECRET, url, "A")).resource(Endpoint("x", Slot))
                slow.arm(half)
                first = asyncio.ensure_future(rooms.list())
                while not session.stats().pool.in_use:
                    await asyncio.sleep(0)
                slow.arm(stall)
                second = (
                    await session.clinic(ClinicCredentials("id2", SECRET, url, "B"))
                    .resource(Endpoint("x", Slot))
                    .list()
                )
                done.set()
                return len(second) + len(await first)

    assert quickly(reading()) == 10_000


def test_a_bad_record_of_a_bomb_is_its_error() -> None:
    """A class that requires a field refuses the first record of a bomb: nothing is counted before that."""
    assert isinstance(measured("a class with required fields", bomb(b"{}"), doctors), DecodeError)


def test_a_stalled_list_keeps_three_mebibytes_of_records_at_most() -> None:
    """Lists whose servers stall keep what they have got: of a few hundred bytes of gzip 3 MiB each, and more is refused at once."""
    count = 8

    async def held(records: int, *, refused: bool = False) -> float | set[str]:
        compressed = gzip.compress(b"[" + b",".join([b"{}"] * records) + b"," + b" " * 100_000 + b"]")
        head = f"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {len(compressed)}\r\n\r\n"
        end = asyncio.Event()

        async def stall(wire: Wire) -> None:
            await wire.send(head.encode(), compressed[:-20])  # the last of the spaces, and the end, never come
            await end.wait()

        async with Side(TOKEN_JSON) as tokens, Side(b"[]") as api:
            api.arm(stall)
            base_url, url = f"http://127.0.0.1:{api.port}", f"http://127.0.0.1:{tokens.port}/token"
            async with ArzamedSession(base_url=base_url, retry=RetryPolicy.none()) as session:
                clinics = [session.clinic(ClinicCredentials(f"id{n}", SECRET, url)) for n in range(count)]
                for clinic in clinics:
                    await clinic.token()
                tracemalloc.start()
                try:
                    lists = [asyncio.ensure_future(clinic.slots.list()) for clinic in clinics]
                    if refused:
                        await asyncio.wait(lists, timeout=60)  # and never for ever
                        return {type(each.exception()).__name__ for each in lists if each.done()}
                    before, now = -1, 0
                    while now > before or before < count * MEBIBYTE // 2:
                        await asyncio.sleep(0.1)
                        before, now = now, tracemalloc.get_traced_memory()[0]
                    assert not any(each.done() for each in lists)
                    return now / count / MEBIBYTE
                finally:
                    tracemalloc.stop()
                    end.set()
                    for each in lists:
                        each.cancel()
                    await asyncio.wait(lists)

    most = asyncio.run(held(12_000))
    assert isinstance(most, float)
    print(f"{most:.2f} MiB for each stalled list")  # noqa: T201 - the figure
    assert 0.5 < most < 3.5
    assert asyncio.run(held(13_000, refused=True)) == {"LimitExceededError"}


def test_a_bomb_of_bad_records_is_ten_thousand_errors() -> None:
    """Errors that are collected are as bounded as records: the first after 10,000 ends the stream, and they take under 8 MiB."""
    body = gzip.compress(b"[" + b",".join([b'{"name":5}'] * 500_000) + b"]")

    async def collect() -> tuple[int, int]:
        async with Side(TOKEN_JSON) as tokens, Side(b"[]") as api:
            api.arm(sending(body))
            base_url, url = f"http://127.0.0.1:{api.port}", f"http://127.0.0.1:{tokens.port}/token"
            async with ArzamedSession(base_url=base_url, retry=RetryPolicy.none()) as session:
                clinic = session.clinic(ClinicCredentials("id", SECRET, url))
                await clinic.token()
                tracemalloc.start()
                try:
                    async with clinic.doctors.stream(collect_errors=True) as doctors:
                        with pytest.raises(DecodeError):
                            await anext(doctors)
                        return len(doctors.errors), tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()

    count, peak = asyncio.run(collect())
    print(f"{peak / MEBIBYTE:.1f} MiB at the peak")  # noqa: T201 - the figure
    assert count == 10_000
    assert peak < MOST_EXTRA_BYTES
