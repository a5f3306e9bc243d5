"""Fixtures for the tests with third-party authorization servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from interop_servers import Server, Servers

if TYPE_CHECKING:
    from interop_place import Place


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Give the servers; each is started at the first wish."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture
def server(servers: Servers, kind: str) -> Server:
    """Give the server of a test's parameter `kind`."""
    return servers[kind]


@pytest_asyncio.fixture
async def place(server: Server) -> AsyncIterator[Place]:
    """Give the server with the API behind it."""
    from interop_place import Place  # needs the extra: by now its absence has skipped the test

    async with Place(server) as place:
        yield place
