"""Answers that swell: whatever is sent, memory stays bounded by the limits, and not by the answer."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import pytest
from support import RawServer, Request, answer, token_answer

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    CredentialsRejectedError,
    DecodeError,
    ForbiddenError,
    LimitExceededError,
    Limits,
    RetryPolicy,
    TokenError,
    TransportError,
)

pytestmark = pytest.mark.asyncio

MIB = 1 << 20
BOMB_BYTES = 100 * MIB
EXTRA_PEAK_BYTES = 4 * MIB


@lru_cache
def bomb(head: bytes, filling: bytes, wbits: int) -> bytes:
    """Return `head` and 100 MiB of filling, compressed a thousand to one."""
    packer = zlib.compressobj(9, wbits=wbits)
    packed = packer.compress(head)
    block = filling * (MIB // len(filling))
    for _ in range(BOMB_BYTES // MIB):
        packed += packer.compress(block)
    return packed + packer.flush()


async def every(clinic: Clinic) -> list[Any]:
    return [doctor async for doctor in clinic.doctors.stream()]


CALLS: dict[str, Callable[[Clinic], Awaitable[Any]]] = {
    "list": lambda clinic: clinic.doctors.list(),
    "stream": every,
    "get": lambda clinic: clinic.get("equipe/doctors"),
    "token": lambda clinic: clinic.token(),
}

#: name: where it strikes, status, head, filling, and the error each call ends in.
BOMBS: dict[str, tuple[str, int, bytes, bytes, dict[str, type[ArzamedError]]]] = {
    "a record": ("api", 200, b'[{"name":"', b"x", {"list": LimitExceededError, "stream": LimitExceededError}),
    "white space": ("api", 200, b"[", b" ", {"list": TransportError, "stream": TransportError}),
    "nesting": ("api", 200, b"", b"[", {"list": DecodeError, "stream": DecodeError}),
    "numbers": ("api", 200, b"[1", b"1", {"list": LimitExceededError}),
    "no list": ("api", 200, b"", b"\0", {"list": DecodeError}),
    "a body": ("api", 200, b"", b"x", {"get": LimitExceededError}),
    "a refusal": ("api", 403, b'{"error":"', b"x", {"list": ForbiddenError, "get": ForbiddenError}),
    "a token": ("token", 200, b'{"access_token":"', b"x", {"token": TokenError, "list": TokenError}),
    "a token's refusal": ("token", 401, b'{"error":"', b"x", {"token": CredentialsRejectedError}),
}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_costs_no_memory(name: str, coding: str) -> None:
    """100 MiB out of 100 KiB, anywhere: a clear error, and less than 4 MiB more memory than the warm client had."""
    where, status, head, filling, calls = BOMBS[name]
    body = bomb(head, filling, {"gzip": 31, "deflate": 15}[coding])
    assert len(body) < BOMB_BYTES // 900
    swollen = answer(status, body, f"Content-Encoding: {coding}\r\n")

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        armed = request.is_token == (where == "token") and request.target != "/api/v1/warm"
        writer.write(swollen if armed else token_answer())

    limits = Limits(body_bytes=MIB)
    for call, error in calls.items():
        async with (
            RawServer(handler) as server,
            ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none(), limits=limits) as session,
        ):
            clinic = session.clinic(server.credentials())
            if where == "api":
                await clinic.get("warm")
            gc.collect()
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                with pytest.raises(ArzamedError) as caught:
                    await CALLS[call](clinic)
                extra = tracemalloc.get_traced_memory()[1] - before
            finally:
                tracemalloc.stop()
        assert type(caught.value) is error
        assert extra < EXTRA_PEAK_BYTES, f"{call}: {extra / MIB:.1f} MiB"


@pytest.mark.parametrize(
    "head",
    [b"X-Filling: " + b"x" * 100_000 + b"\r\n", b"".join(b"X-%d: y\r\n" % n for n in range(5000))],
    ids=["one long header", "many headers"],
)
async def test_a_head_is_bounded(head: bytes) -> None:
    """A header line over 8 KiB, or more headers than 128, is no HTTP that is read, whatever comes behind it."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        else:
            writer.write(b"HTTP/1.1 200 X\r\n" + head + b"Content-Length: 2\r\n\r\n[]")

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session,
    ):
        with pytest.raises(TransportError, match="the answer is not HTTP"):
            await session.clinic(server.credentials()).doctors.list()
