"""Libraries that write requests to a file: they get headers that every serialiser takes."""

from __future__ import annotations

import functools
import json
import types
from typing import Any

import aiohttp
import pytest
from support import SECRET, TOKEN, RawServer

from arzamed_async import ArzamedSession

pytestmark = pytest.mark.asyncio

RECORDER = """
def recorder(original, seen):
    @wraps(original)
    async def request(self, *args, **options):
        seen.append(dict(options["headers"]))
        return await original(self, *args, **options)
    return request
"""


def record(patch: pytest.MonkeyPatch, module: str) -> list[dict[str, Any]]:
    """Replace aiohttp's method as vcrpy does, from a module of this name; return the headers that arrive there."""
    seen: list[dict[str, Any]] = []
    namespace = types.ModuleType(module).__dict__
    namespace["wraps"] = functools.wraps
    exec(RECORDER, namespace)
    patch.setattr(aiohttp.ClientSession, "_request", namespace["recorder"](aiohttp.ClientSession._request, seen))
    return seen


async def test_vcrpy_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """vcrpy, which refuses to save a subclass of str, gets plain str: the secret's and the token's headers included."""
    seen = record(monkeypatch, "vcr.stubs.aiohttp_stubs")
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        await session.clinic(server.credentials()).doctors.list()
    assert len(seen) == 2
    assert {type(value) for headers in seen for value in headers.values()} == {str}
    assert seen[1]["Authorization"] == f"Bearer {TOKEN}"
    assert json.loads(json.dumps(seen)) == seen


async def test_others_get_masked_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other library that replaces the method gets headers whose repr is masked, as aiohttp does."""
    seen = record(monkeypatch, "invented_tracer")
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        await session.clinic(server.credentials()).doctors.list()
    assert seen[1]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(seen)
    assert SECRET not in repr(seen)
