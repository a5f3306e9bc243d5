"""A record that is no JSON, on real sockets: in a list, a stream, and a stream that collects errors."""

from __future__ import annotations

import asyncio
import json

import pytest
from support import RawServer, Request

from arzamed_async import (
    ArzamedSession,
    DecodeError,
    Doctor,
    Endpoints,
    RetryPolicy,
    StreamInterruptedError,
    TransportError,
)

pytestmark = pytest.mark.asyncio

GOOD = [json.dumps({"name": f"Dr. Inventata {n}", "profileImage": None}).encode() for n in range(10)]
DOCTORS = [Doctor(f"Dr. Inventata {n}", None) for n in range(10)]
BAD = [b'{"name":"x\\ud83d","profileImage":null}', b'{"name":NaN}', b'{"name":01}', b"{'a':1}", b'{"name":"a\tb"}']


class InPieces(RawServer):
    """Sends a body in chunks of one size, each in a write of its own."""

    def __init__(self) -> None:
        super().__init__(self.serve)
        self.body, self.size = b"", 0

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await self.good(request, writer)
        if not self.size:  # as a whole
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%b" % (len(self.body), self.body))
            return None
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(self.body), self.size):
            piece = self.body[start : start + self.size]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")


@pytest.mark.parametrize("size", [1, 7, 40, 1000, 0])
async def test_the_index_is_right_and_the_records_before_it_come(size: int) -> None:
    """Whatever its place and the pieces: a stream gives all before it, then its index; a list the index; the rest can be read."""
    async with InPieces() as server, ArzamedSession(base_url=server.base_url) as session:
        doctors = session.clinic(server.credentials()).doctors
        server.size = size
        for place in range(10):
            bad = BAD[place % len(BAD)]
            server.body = b"[" + b", ".join([*GOOD[:place], bad, *GOOD[place + 1 :]]) + b"]"
            seen: list[Doctor] = []
            with pytest.raises(DecodeError, match="not JSON") as streamed:
                async for doctor in doctors.stream():
                    seen.append(doctor)
            assert (streamed.value.record_index, seen) == (place, DOCTORS[:place])
            with pytest.raises(DecodeError, match=f"record {place}: not JSON") as listed:
                await doctors.list()
            assert listed.value.record_index == place
            async with doctors.stream(collect_errors=True) as stream:
                assert [doctor async for doctor in stream] == [*DOCTORS[:place], *DOCTORS[place + 1 :]]
                assert [error.record_index for error in stream.errors] == [place]
                assert "not JSON" in str(stream.errors[0])


@pytest.mark.parametrize("size", [7, 0])
async def test_what_is_swallowed_by_a_missing_quote_is_not_passed(size: int) -> None:
    """Where it is unclear which records belong to the bad one, a stream that collects errors ends in one."""
    async with InPieces() as server, ArzamedSession(base_url=server.base_url) as session:
        server.size = size
        server.body = b"[" + b", ".join([*GOOD[:2], b'{"name":"x}', *GOOD[3:]]) + b"]"
        stream = session.clinic(server.credentials()).doctors.stream(collect_errors=True)
        seen: list[Doctor] = []
        with pytest.raises(DecodeError, match="record 2: not JSON"):
            async for doctor in stream:
                seen.append(doctor)
        assert (seen, stream.errors) == (DOCTORS[:2], [])


async def test_the_records_of_a_body_that_stops_come_first() -> None:
    """Of a complete response whose list stops in a record, the records before it come; the list is one that broke off."""
    async with InPieces() as server, ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
        server.body = b"[" + b", ".join(GOOD[:2]) + b', {"name": "Dr.'
        doctors = session.clinic(server.credentials()).doctors
        with pytest.raises(TransportError, match="ends before the list does"):
            await doctors.list()
        seen: list[Doctor] = []
        with pytest.raises(StreamInterruptedError) as caught:
            async for doctor in doctors.stream():
                seen.append(doctor)
        assert (seen, caught.value.delivered) == (DOCTORS[:2], 2)


async def test_large_numbers_come_through_both_ways() -> None:
    """A list and a stream of open records hold whole numbers as sent, in one decoding and in windows."""
    number = 12345678901234567890123
    endpoints = Endpoints(slots="equipe/slots")
    async with InPieces() as server, ArzamedSession(base_url=server.base_url, endpoints=endpoints) as session:
        slots = session.clinic(server.credentials()).slots
        for count in (1, 1000, 3000):
            server.body = json.dumps([{"externalId": number, "text": "x" * 20}] * count).encode()
            assert {slot.data["externalId"] for slot in await slots.list()} == {number}
            assert {slot.data["externalId"] async for slot in slots.stream()} == {number}
