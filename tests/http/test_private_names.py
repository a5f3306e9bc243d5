"""Names that aiohttp does not promise: each one that is used is guarded, and its absence ends the first call."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from support import RawServer

from arzamed_async import ArzamedSession, ConfigurationError, Limits, PoolLimits
from arzamed_async._http import handler, parsed, pool
from arzamed_async._http.handler import UNPROMISED_NAMES, Handler
from arzamed_async._http.made import make_transport
from arzamed_async._http.parsed import Parsed
from arzamed_async._http.pool import Pool

pytestmark = pytest.mark.asyncio

OWNERS = {"TCPConnector": aiohttp.TCPConnector, "ResponseHandler": ResponseHandler}
GUARDED = [(owner, name) for owner, names in UNPROMISED_NAMES.items() for name in names]


def remove(owner: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a name from a class of aiohttp: from the class that defines it, or from its instances."""
    kind: Any = OWNERS[owner]
    for each in kind.__mro__:
        if name in vars(each):
            is_slot = isinstance(vars(each)[name], types.MemberDescriptorType)  # without it instances have a dict entry
            monkeypatch.delattr(each, name)
            if not is_slot:
                return
    made: Callable[..., None] = kind.__init__

    def without(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        delattr(self, name)

    monkeypatch.setattr(kind, "__init__", without)


@pytest.mark.parametrize(("owner", "name"), GUARDED)
async def test_without_the_name_no_request_is_sent(owner: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under an aiohttp without the name the first call raises an error with the version and the name, and sends nothing."""
    remove(owner, name, monkeypatch)
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ConfigurationError) as caught:
            async with asyncio.timeout(60):  # unguarded, a call may wait in vain
                await session.clinic(server.credentials()).doctors.list()
    assert f"aiohttp {aiohttp.__version__} has no {owner}.{name}: use another version" in str(caught.value)
    assert server.connections == 0


async def test_all_missing_names_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names everything that is missing."""
    for owner, name in GUARDED:
        remove(owner, name, monkeypatch)
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ConfigurationError, match=", ".join(f"{owner}.{name}" for owner, name in GUARDED)):
            await session.clinic(server.credentials()).token()


async def test_a_session_that_is_given_needs_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With http= the pool is the caller's, and nothing of aiohttp's private names is used: the call succeeds."""
    async with RawServer() as server, aiohttp.ClientSession() as http:
        monkeypatch.setitem(UNPROMISED_NAMES, "TCPConnector", ["_no_such_name"])
        async with ArzamedSession(base_url=server.base_url, http=http) as session:
            assert len(await session.clinic(server.credentials()).doctors.list()) == 3


async def test_an_aiohttp_without_the_class_is_named_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where aiohttp has moved ResponseHandler, the import fails with the version and the name."""
    monkeypatch.delattr("aiohttp.client_proto.ResponseHandler")
    spec = importlib.util.spec_from_file_location("arzamed_async._http.again", handler.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(
        ImportError, match=rf"aiohttp {aiohttp.__version__} has no aiohttp\.client_proto\.ResponseHandler"
    ):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


async def test_an_aiohttp_without_its_error_is_named_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where aiohttp has moved HttpProcessingError, the import fails with the version and the name."""
    monkeypatch.delattr("aiohttp.http.HttpProcessingError")
    spec = importlib.util.spec_from_file_location("arzamed_async._http.again", handler.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=r"has no aiohttp\.http\.HttpProcessingError"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def other_request(*args: Any, **options: Any) -> None:
    raise TypeError("unexpected keyword argument 'loop'")


def other_parameters(self: Any, *, limits: Any) -> None:
    """Take other arguments than the present one."""


def takes_all(self: Any, data: bytes) -> tuple[bool, bytes]:
    """Report nothing of what was received, as a parser with other callbacks would."""
    return False, b""


def delivers_cut(self: Any, exc: BaseException | None) -> None:
    """Take a lost connection for the end of the body."""
    if self._payload is not None:
        self._payload.feed_eof()


CHANGES = {
    "another request": ("aiohttp.ClientRequest", other_request),
    "other parameters": ("aiohttp.client_proto.ResponseHandler.set_response_params", other_parameters),
    "other callbacks": ("aiohttp.client_proto.ResponseHandler.data_received", takes_all),
    "a cut body that is delivered": ("arzamed_async._http.handler.Handler.connection_lost", delivers_cut),
    "a connection that stays open": ("aiohttp.client_proto.ResponseHandler.should_close", False),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_with_an_aiohttp_that_behaves_otherwise_requests_take_the_ordinary_lane(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer aiohttp whose request or parser has changed is not used by the direct lane, and the pool names its version."""
    monkeypatch.setattr(aiohttp, "__version__", "9.9.9")
    transport = make_transport(PoolLimits(), Limits(), None, None, None, None, trust_env=False)
    with monkeypatch.context() as changed:
        changed.setattr(*CHANGES[change])
        transport._bound_client()
    await transport.close()
    assert transport.lane == "aiohttp: aiohttp 9.9.9 is not known here"


async def test_the_ordinary_lane_serves_where_the_direct_one_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With such an aiohttp a list is read all the same."""
    monkeypatch.setattr("arzamed_async._http.direct.parser_works", lambda loop: False)
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
        assert session.stats().pool.lane == f"aiohttp: aiohttp {aiohttp.__version__} is not known here"


async def test_with_this_aiohttp_requests_take_the_direct_lane() -> None:
    """The version that is installed behaves as the direct lane needs it."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        await session.clinic(server.credentials()).doctors.list()
        assert session.stats().pool.lane == "direct"


async def test_each_private_name_in_use_is_guarded() -> None:
    """A private name that a class derived from aiohttp's uses is its own, unknown to aiohttp, or it is guarded."""
    plain = aiohttp.TCPConnector()
    try:
        plain_handler = ResponseHandler(plain._loop)
        bases = {Pool.__name__: plain, Handler.__name__: plain_handler, Parsed.__name__: plain_handler}
        classes = {
            node.name: node
            for module in (pool, handler, parsed)
            for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
            if isinstance(node, ast.ClassDef) and node.name in bases
        }
        assert classes.keys() == bases.keys()
        used: set[tuple[str, str]] = set()
        for name, base in bases.items():
            own = {
                node.attr
                for node in ast.walk(classes[name])
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
            }
            own |= {node.name for node in ast.walk(classes[name]) if isinstance(node, ast.FunctionDef)}
            used |= {
                (type(base).__name__, each)
                for each in own
                if each.startswith("_") and not each.startswith("__") and hasattr(base, each)
            }
        assert used == {each for each in GUARDED if each[1].startswith("_")}
    finally:
        await plain.close()
