"""The private names of other packages that a fork relies on: a version without one would fail here by name, and not in a child."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from aiohttp import ClientSession, TCPConnector
from support import RawServer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_an_event_loop_has_what_a_child_replaces() -> None:
    """It is asyncio's: the selector, its two sockets to itself, and the transports by descriptor."""
    loop = asyncio.new_event_loop()
    try:
        assert sorted({"_selector", "_ssock", "_csock", "_transports"} - set(dir(loop))) == []
    finally:
        loop.close()


@pytest.mark.asyncio
async def test_aiohttps_connector_names_its_connections() -> None:
    """Those that are idle by host, each with the time since when, and those that are in use."""
    async with RawServer() as server, ClientSession(connector=TCPConnector()) as client:
        connector = client.connector
        assert connector is not None
        async with client.get(f"{server.base_url}equipe/doctors") as response:
            await response.read()
        ((idle, _),) = next(iter(connector._conns.values()))
        assert idle.transport is not None
        assert connector._acquired == set()


@pytest.mark.asyncio
async def test_redis_pys_client_names_its_connections() -> None:
    """A pool has them idle and in use, and a lock; a connection has a reader and a writer."""
    asyncio_redis = pytest.importorskip("redis.asyncio")
    client = asyncio_redis.Redis()
    pool = client.connection_pool
    connection = asyncio_redis.Connection()
    try:
        assert sorted({"_available_connections", "_in_use_connections"} - set(vars(pool))) == []
        assert isinstance(getattr(pool, "_lock", None), (asyncio.Lock, type(None)))
        assert (connection._reader, connection._writer) == (None, None)
        node = sys.modules["redis.asyncio.cluster"].ClusterNode("node.example", 6379)
        assert list(node._connections) == []
    finally:
        await client.aclose()
