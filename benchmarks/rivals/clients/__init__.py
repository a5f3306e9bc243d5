"""HTTP clients that a user could pick instead: a module each, used as its documentation recommends.

Each module has `opened(url, headers, connections)`, an async context manager that gives a coroutine function: one call is one
GET with those headers, whose JSON `decode` turns into a list of the expert's attrs class. Each has a pool that fits the
callers, a deadline of 30 s where the library knows one, and takes no proxy from the environment. `requirements.txt`
has the versions; they are in no extra of the project.
"""

from __future__ import annotations

import orjson

from rivals.with_aiohttp import Doctor, expert_converter

__all__ = ["CLIENTS", "DEADLINE_SECONDS", "decode"]

DEADLINE_SECONDS = 30.0
#: The clients by name, with their module and the distributions whose versions count.
CLIENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "httpx": ("with_httpx", ("httpx",)),
    "httpx2": ("with_httpx2", ("httpx2",)),
    "httpx over aiohttp": ("with_httpx_aiohttp", ("httpx-aiohttp",)),
    "niquests": ("with_niquests", ("niquests",)),
    "aiosonic": ("with_aiosonic", ("aiosonic",)),
    "curl_cffi": ("with_curl_cffi", ("curl_cffi",)),
    "pyreqwest": ("with_pyreqwest", ("pyreqwest",)),
    "wreq": ("with_wreq", ("wreq",)),
}

_structure = expert_converter()


def decode(status: int, body: bytes | memoryview) -> list[Doctor]:
    """Return the records of a response, as the expert does: orjson, then cattrs with strict checks."""
    if status != 200:
        raise RuntimeError(status)
    return _structure(orjson.loads(body), list[Doctor])
