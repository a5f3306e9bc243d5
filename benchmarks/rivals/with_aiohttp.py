"""What a user would write instead of `await clinic.doctors.list()`, with aiohttp: as an expert has it, as the tutorials do.

Each is a context manager that gives a coroutine function: one call is one GET of a clinic's doctors, made into a list
of objects. All have a token before the first call that counts, and a pool of `connections`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import cattrs
import orjson
from cattrs.gen import make_dict_structure_fn, override
from multidict import CIMultiDict
from servers.requests import TOKEN
from yarl import URL

__all__ = ["PATH", "Call", "Doctor", "expert", "expert_converter", "tutorial"]

Call = Callable[[], Awaitable[list[Any]]]
PATH = "/api/v1/equipe/doctors"


@attrs.frozen
class Doctor:
    """The expert's class."""

    name: str
    profile_image: str | None


def expert_converter() -> Callable[[Any, Any], list[Doctor]]:
    """Return cattrs' own generated code for the class, with strict checks for each kind of field it has."""
    converter = cattrs.Converter(detailed_validation=False)

    def text(value: Any, _: Any) -> Any:
        if value.__class__ is not str:
            raise TypeError("text")
        return value

    def text_or_null(value: Any, _: Any) -> Any:
        if value.__class__ is not str and value is not None:
            raise TypeError("text or null")
        return value

    converter.register_structure_hook(str, text)
    converter.register_structure_hook(str | None, text_or_null)
    converter.register_structure_hook(
        Doctor, make_dict_structure_fn(Doctor, converter, profile_image=override(rename="profileImage"))
    )
    return converter.get_structure_hook(list[Doctor])


@contextlib.asynccontextmanager
async def expert(origin: str, connections: int, *, total_seconds: float | None = 30.0) -> AsyncIterator[Call]:
    """(a) aiohttp by an expert's hand: all that can be is made once; no retry, no token logic, no limit on the body."""
    url = URL(origin + PATH, encoded=True)
    headers = CIMultiDict({"Authorization": f"Bearer {TOKEN}"})
    structure = expert_converter()
    kind = list[Doctor]
    loads = orjson.loads
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, limit_per_host=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "User-Agent": "by-hand"},
        timeout=aiohttp.ClientTimeout(total=total_seconds),
    ) as http:
        get = http.get

        async def call() -> list[Doctor]:
            async with get(url, headers=headers) as response:
                body = await response.read()
                if response.status != 200:
                    raise RuntimeError(response.status)
            return structure(loads(body), kind)

        yield call


@attrs.define
class TutorialDoctor:
    """A class with the API's own names, as default cattrs wants it."""

    name: str
    profileImage: str | None  # noqa: N815


@contextlib.asynccontextmanager
async def tutorial(origin: str, connections: int) -> AsyncIterator[Call]:
    """(b) aiohttp as the tutorials have it."""
    url = origin + PATH
    token = TOKEN
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, limit_per_host=connections)
    ) as session:

        async def call() -> list[TutorialDoctor]:
            async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
                response.raise_for_status()
                return cattrs.structure(await response.json(), list[TutorialDoctor])

        yield call
