"""A list with the response that it came in, and a resource in an `async for`, on real sockets."""

from __future__ import annotations

import asyncio

import pytest
from support import DOCTORS, RawServer, Request, json_answer

from arzamed_async import (
    ArzamedSession,
    Doctor,
    Failure,
    ListResponse,
    NotFoundError,
    Record,
    RetryPolicy,
)

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)
EXPECTED = [Doctor(each["name"], None) for each in DOCTORS]


class Busy(RawServer):
    """Fails the first request with 503, and sends its list with an id after that."""

    def __init__(self) -> None:
        super().__init__(self.serve)
        self.failures = 1

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await self.good(request, writer)
        elif self.failures:
            self.failures -= 1
            writer.write(json_answer(503, {}))
        else:
            writer.write(json_answer(200, DOCTORS, "X-Request-Id: invented-7\r\nX-Version: a\r\nX-Version: b\r\n"))


async def test_a_list_and_its_response_are_read_together():
    """`read` returns the records with status, headers, the server's request id and the number of requests."""
    async with Busy() as server, ArzamedSession(base_url=server.base_url, retry=QUICK, coalesce=True) as session:
        response = await session.clinic(server.credentials()).doctors.read({"active": True})
        assert type(response) is ListResponse
        assert response.records == EXPECTED
        assert (response.status, response.request_id, response.attempts) == (200, "invented-7", 2)
        assert response.headers["x-version"] == "a, b"
        assert "Inventata" not in repr(response)


async def test_a_list_read_with_its_response_raises_what_list_raises():
    """An error status is a StatusError with the clinic's name."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        server.handler = lambda request, writer: refuse(server, request, writer)
        with pytest.raises(NotFoundError, match="Milano"):
            await session.clinic(server.credentials()).doctors.read()


async def refuse(server: RawServer, request: Request, writer: asyncio.StreamWriter) -> None:
    if request.is_token:
        await server.good(request, writer)
    else:
        writer.write(json_answer(404, {}))


async def test_a_resource_is_streamed_by_async_for_and_by_merge():
    """`async for` over a resource streams it, as often as it is asked; merge takes a resource for its stream."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        milano = session.clinic(server.credentials())
        for _ in range(2):
            assert [doctor async for doctor in milano.doctors] == EXPECTED
        async with session.merge([milano], lambda clinic: clinic.doctors) as merged:
            records = [each.value async for each in merged if isinstance(each, Record)]
        assert records == EXPECTED
        assert session.stats().clinics["Milano"].in_flight == 0


async def test_a_merge_closes_the_stream_of_a_resource():
    """A merge that is left early leaves no request of a resource's stream open."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        milano = session.clinic(server.credentials())
        async with session.merge([milano], lambda clinic: clinic.doctors, buffer=1) as merged:
            first = await anext(merged)
        assert not isinstance(first, Failure)
        assert session.stats().clinics["Milano"].in_flight == 0
