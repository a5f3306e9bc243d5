"""What a clinic costs while nobody uses it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest
from support.raw_server import DOCTORS, RawServer, Request, json_answer, token_answer

from arzamed_async import ArzamedSession

pytestmark = pytest.mark.asyncio

TOKEN_BYTES = 900
IDLE_BYTES = 2048


async def _good(server: RawServer, request: Request, writer: asyncio.StreamWriter) -> None:
    server.requests.clear()  # what the server keeps is no cost of the client's
    token = request.target.rpartition("/")[2].ljust(TOKEN_BYTES, "x")
    writer.write(token_answer(token) if request.is_token else json_answer(200, DOCTORS))


@pytest.mark.parametrize("hands_out_token", [False, True])
async def test_an_idle_clinic_costs_two_kib_at_most(hands_out_token: bool) -> None:
    """A clinic that has been read once holds its 900-byte token once: all its state takes 2 KiB at most."""
    server = RawServer()
    server.handler = lambda request, writer: _good(server, request, writer)
    async with server, ArzamedSession(base_url=server.base_url) as session:
        everyone = [
            server.credentials(f"n{number:04}") for number in range(400)
        ]  # the first fill what is bounded: caches of URLs

        async def visit(first: int, stop: int) -> int:
            for credentials in everyone[first:stop]:
                clinic = session.clinic(credentials)
                await clinic.doctors.list()
                if hands_out_token:
                    assert len((await clinic.token()).access_token) == TOKEN_BYTES
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = await visit(0, 200)
            after = await visit(200, 400)
        finally:
            tracemalloc.stop()
    assert (after - before) / 200 <= IDLE_BYTES


async def test_a_token_handed_out_is_the_one_that_is_held() -> None:
    """`clinic.token()` shares its text with the token cache, and every call shares it with every other."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        first, second = await clinic.token(), await clinic.token()
        assert first.access_token is second.access_token
        held = session._engine.clinics.make(server.credentials()).tokens.current()
        assert held is not None
        assert held.issued.text is first.access_token
        assert repr(held.issued.access_token) == "'***'"
