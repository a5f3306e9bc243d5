"""A session in a process that was forked: it leaves its parent's connections behind, and keeps the tokens."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from support import RawServer, Request, json_answer, token_answer

from arzamed_async import ArzamedSession, ConfigurationError

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]

PROGRAM = Path(__file__).parents[1] / "support" / "fork_program.py"


class Named(RawServer):
    """Each clinic's token and doctors have its name. Counts the connections over which each clinic's requests come."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(self.named, tls=tls)
        self.connections_of: dict[str, set[int]] = {}

    async def named(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Respond with the name of the clinic."""
        if request.is_token:
            writer.write(token_answer(request.target.rpartition("/")[2]))
            return
        name = request.headers["authorization"].removeprefix("Bearer ")
        self.connections_of.setdefault(name, set()).add(id(writer))
        await asyncio.sleep(0.001)
        writer.write(json_answer(200, [{"name": name, "profileImage": None}]))


# TLS with each way to fork and with each lane, but not with both: each of these is a program of its own.
@pytest.mark.parametrize(
    ("how", "lane", "tls"),
    [
        pytest.param(how, lane, (m + n) % 2 == 1, id=f"{how}-{lane}-{'tls' if (m + n) % 2 else 'plain'}")
        for m, how in enumerate(["running", "stopped", "same"])
        for n, lane in enumerate(["direct", "ordinary", "callable"])
    ],
)
async def test_a_forked_child_leaves_its_parents_connections_alone(
    how: str, lane: str, tls: bool, tmp_path: Path
) -> None:
    """Parent and child read at once and get their own records; the child opens connections, and keeps the tokens.

    After the child has used, closed and freed its session, and has ended, the parent's connection still serves.
    """
    authority = trustme.CA()
    context = None
    more: list[str] = []
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        more = [str(tmp_path / "ca.pem")]
    async with Named(context) as server:
        program = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), how, lane, server.origin, *more,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await asyncio.wait_for(program.communicate(), 60)
    assert errors.decode() == ""
    found: dict[str, Any] = json.loads(out)
    assert found["foreign"] == found["child"]["foreign"] == 0
    assert server.token_requests == 3  # a, b and c: that of b is the parent's, and the child used it
    assert len(server.connections_of["c"]) == 1
    assert not server.connections_of["c"] & server.connections_of["a"]
    assert len(server.connections_of["a"] | server.connections_of["b"] | server.connections_of["c"]) <= 3
    if how == "running":
        assert found["refused"].startswith("ConfigurationError: this is process ")
        assert "start a new event loop (asyncio.run), and open a session in it" in found["refused"]


def in_child(work: Any) -> str:
    """Fork, and return what `work` returns or raises in the child."""
    reader, writer = os.pipe()
    if not os.fork():
        try:
            try:
                text = str(work())
            except BaseException as error:  # noqa: BLE001 - it is told to the parent
                text = f"{type(error).__name__}: {error}"
            os.write(writer, text.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as from_child:
        text = from_child.read()
    os.wait()
    return text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_given_http_session_is_not_used_in_a_child() -> None:
    """The caller's aiohttp session has its parent's connections: in a child a call says so, whether it was used or not."""
    async with RawServer() as server, aiohttp.ClientSession() as http:
        session = ArzamedSession(base_url=server.base_url, http=http)
        clinic = session.clinic(server.credentials("a"))
        assert "belongs to the process that this one was forked from" in in_child(
            lambda: asyncio.run(clinic.doctors.list())
        )
        assert len(await clinic.doctors.list()) == 3
        text = in_child(lambda: asyncio.run(clinic.doctors.list()))
        assert text.startswith(
            "ConfigurationError: a: GET equipe/doctors: the aiohttp session given as http= belongs to the process"
        )
        assert len(await clinic.doctors.list()) == 3


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_child_closes_what_it_never_used() -> None:
    """Closing a session in a child waits for no task of its parent, and says nothing of another event loop."""
    release = asyncio.Event()

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await RawServer.good(server, request, writer)

    async with RawServer(slow) as server, ArzamedSession(base_url=server.base_url) as session:
        call = asyncio.create_task(session.clinic(server.credentials("a")).doctors.list())
        while not server.requests:
            await asyncio.sleep(0.001)
        assert in_child(lambda: session.stats().pool.open) == "0"
        assert in_child(lambda: asyncio.run(asyncio.wait_for(session.aclose(), 60))) == "None"
        release.set()
        assert len(await call) == 3
        assert server.connections == 1
        with pytest.raises(ConfigurationError, match="in use by another event loop"):
            await asyncio.to_thread(asyncio.run, session.clinic(server.credentials("a")).doctors.list())
