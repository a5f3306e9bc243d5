"""The simulated API over HTTP, in a process of its own: what it decides is what servers.simulated decides.

A clinic is a number: that of the path of its token endpoint, and of its token. `start` begins a scenario.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from aiohttp import web

from servers.process import serve_until_the_starter_ends, server_process
from servers.simulated import Server

__all__ = ["LimitedServer", "limited_server"]

_DOCTORS = b'[{"name": "Dr. Inventata", "profileImage": null}]'


def fullest_second(times: list[float]) -> int:
    """Return the most requests in any second."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


class _State:
    def __init__(self) -> None:
        self.api = self.tokens = Server(random.Random(0))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            return await self.token(request)
        if request.path == "/start":
            return self.start(request.query["scenario"], int(request.query["seed"]))
        if request.path == "/counts":
            return self.counts()
        number = request.headers["Authorization"].rpartition("-")[2]
        return self.response(await self.api.request(int(number)), _DOCTORS)

    async def token(self, request: web.BaseRequest) -> web.Response:
        number = request.path.rpartition("/")[2]
        body = {"access_token": f"invented-{number}", "token_type": "Bearer", "expires_in": 3600}
        return self.response(await self.tokens.request(int(number)), json.dumps(body).encode())

    def response(self, verdict: tuple[int, float | None], body: bytes) -> web.Response:
        status, retry_after = verdict
        if status == 200:
            return web.Response(body=body, content_type="application/json")
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        return web.Response(status=status, headers=headers)

    def start(self, name: str, seed: int) -> web.Response:
        from tools.socket_scenarios import SOCKET_SCENARIOS

        scenario = SOCKET_SCENARIOS[name]
        lots = random.Random(seed)
        self.api = scenario.server(lots)
        self.tokens = Server(lots) if scenario.tokens is None else scenario.tokens(lots)
        self.api.began = self.tokens.began = asyncio.get_running_loop().time()
        return web.Response()

    def counts(self) -> web.Response:
        servers = {"api": self.api, "token": self.tokens}
        return web.json_response(
            {
                name: {
                    "sent": server.sent,
                    "refused": server.refused,
                    "fullest_second": fullest_second([at for at, _ in server.log]),
                }
                for name, server in servers.items()
            }
        )


class LimitedServer:
    """What the benchmark knows of its server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"

    def start(self, scenario: str, seed: int) -> None:
        """Begin a scenario: its clock starts now."""
        with urlopen(f"{self.origin}/start?scenario={quote(scenario)}&seed={seed}"):
            pass

    def counts(self) -> dict[str, dict[str, Any]]:
        with urlopen(f"{self.origin}/counts") as response:
            return json.load(response)


@contextlib.contextmanager
def limited_server() -> Iterator[LimitedServer]:
    """Start the server; stop it by its process id."""
    with server_process("servers.limited") as port:
        yield LimitedServer(port)


async def _main() -> None:
    runner = web.ServerRunner(web.Server(_State().handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    await serve_until_the_starter_ends(runner.addresses[0][1])
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main())
