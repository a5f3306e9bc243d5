"""Bombs: what swells to 100 MiB when it is decompressed costs next to no memory, wherever it comes."""

from __future__ import annotations

import functools
import gzip
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from fault_server import DOCTORS_JSON, TOKEN_JSON, Act, Side, Wire
from support import SECRET
from support.quick_loop import quickly

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ForbiddenError,
    LimitExceededError,
    Limits,
    RetryPolicy,
    TokenError,
)

MEBIBYTE = 1_048_576
BOMB_BYTES = 100 * MEBIBYTE
MOST_EXTRA_BYTES = 4 * MEBIBYTE
RECORD = b'{"name": "Dr. Inventata", "profileImage": "%b"}' % (b"x" * 1000)


@functools.cache
def bomb(start: bytes, filling: bytes, end: bytes) -> bytes:
    return gzip.compress(start + filling * (BOMB_BYTES // len(filling)) + end, compresslevel=6)


def sending(body: bytes, status: str) -> Act:
    async def act(wire: Wire) -> None:
        await wire.answer(body, "Content-Encoding: gzip", status=status)

    return act


async def count(clinic: Clinic) -> int:
    number = 0
    async with clinic.doctors.stream() as doctors:
        async for _ in doctors:
            number += 1
    return number


async def token(clinic: Clinic) -> None:
    await clinic.token()


async def read(clinic: Clinic) -> None:
    await clinic.doctors.list()


async def get(clinic: Clinic) -> None:
    await clinic.with_options(limits=Limits(body_bytes=MEBIBYTE)).get("equipe/doctors")


async def extra_bytes(act: Act, call: Callable[[Clinic], Awaitable[object]], *, at_token: bool) -> tuple[int, object]:
    """Return the extra peak of a call in bytes, and what came of it."""
    async with Side(TOKEN_JSON) as tokens, Side(DOCTORS_JSON) as api:
        url = f"http://127.0.0.1:{tokens.port}/token"
        base_url = f"http://127.0.0.1:{api.port}"
        async with ArzamedSession(base_url=base_url, retry=RetryPolicy.none()) as session:
            await session.clinic(ClinicCredentials("warm", SECRET, url)).doctors.list()
            clinic = session.clinic(ClinicCredentials("id", SECRET, url))
            (tokens if at_token else api).arm(act)
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                result: object = None
                try:
                    result = await call(clinic)
                except ArzamedError as error:
                    result = type(error)
                return tracemalloc.get_traced_memory()[1] - before, result
            finally:
                tracemalloc.stop()


SPACES = (b"[", b" ", b"]")
RECORDS = (b"[", RECORD + b",", RECORD + b"]")
ONE_RECORD = (b'[{"name": "', b"x", b'"}]')
ERROR = (b'{"error": "', b"x", b'"}')
CASES = {
    "a list of white space": (SPACES, "200 X", read, None),
    "one record without end": (ONE_RECORD, "200 X", read, LimitExceededError),
    "a stream of records": (RECORDS, "200 X", count, BOMB_BYTES // (len(RECORD) + 1) + 1),
    "a body of get": (RECORDS, "200 X", get, LimitExceededError),
    "a 403": (ERROR, "403 X", read, ForbiddenError),
    "a token answer": (ERROR, "200 X", token, TokenError),
    "a token endpoint's 403": (ERROR, "403 X", token, TokenError),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bomb_costs_next_to_no_memory(name: str) -> None:
    """100 MiB that come as 100 KiB of gzip raise the peak by less than 4 MiB, in lists, streams, errors and token answers."""
    filling, status, call, outcome = CASES[name]
    body = bomb(*filling)
    extra, result = quickly(extra_bytes(sending(body, status), call, at_token=call is token))
    print(f"{name}: {len(body):,} bytes sent, {extra:,} bytes extra at the peak")  # noqa: T201 - the figure
    assert result == outcome
    assert extra < MOST_EXTRA_BYTES
