"""What stands around an authorization server: a relay that counts its token requests, and the API behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from interop_clients import API, AUDIENCE, ORDINARY, Client
from interop_servers import Server
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from support import DOCTORS, Request

from arzamed_async import ArzamedSession, ClinicCredentials, Timeouts
from arzamed_async.credentials import READ_SCOPE

#: The times of a session whose tests fail for what is wrong, never for a slow machine.
PATIENT = Timeouts(total_seconds=300, connect_seconds=300, read_seconds=300, record_seconds=300)


def basic(client: Client) -> str:
    """Return the Authorization of a client, both parts form-encoded."""
    return aiohttp.encode_basic_auth(quote(client.client_id, safe=""), quote(client.client_secret, safe=""))


class Relay:
    """Hands the bytes of each connection on to a server and back, unchanged, and keeps the requests it sees."""

    def __init__(self, port: int) -> None:
        self.requests: list[Request] = []
        self._upstream = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        answers, requests = await asyncio.open_connection("127.0.0.1", self._upstream)
        back = asyncio.create_task(self._copy(answers, writer))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = Request(head, b"").headers.get("content-length", "0")
                request = Request(head[:-4], await reader.readexactly(int(length)))
                self.requests.append(request)
                requests.write(head + request.body)
                await requests.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            back.cancel()
            requests.close()
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


class JwtCheck:
    """Takes an RS256 JWT signed with a key that the server publishes, for this API, in time, with the scope."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self._keys: KeySet | None = None
        self._revoked: set[str] = set()

    async def __call__(self, token: str) -> bool:
        if self._keys is None:
            async with self._http.get(self._server.url("jwks")) as answer:
                self._keys = KeySet.import_key_set(await answer.json())
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self._server.origin},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            claims = jwt.decode(token, self._keys, algorithms=["RS256"]).claims
            rules.validate(claims)
        except (JoseError, ValueError):
            return False
        return READ_SCOPE in claims.get("scope", "").split() and token not in self._revoked

    async def revoke(self, token: str, client: Client) -> None:
        """Take the token no longer: a server cannot call a JWT back, whoever takes it has to know."""
        self._revoked.add(token)


class Introspection:
    """Takes a token of which the server says that it is active and has the scope (RFC 7662)."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http

    async def _ask(self, endpoint: str, token: str, client: Client) -> bytes:
        headers = {"Authorization": basic(client)}
        url = self._server.url(endpoint)
        async with self._http.post(url, data={"token": token}, headers=headers) as answer:
            assert answer.status == 200
            return await answer.read()

    async def __call__(self, token: str) -> bool:
        said: dict[str, Any] = json.loads(await self._ask("introspection", token, API))
        return bool(said["active"]) and READ_SCOPE in said["scope"].split()

    async def revoke(self, token: str, client: Client) -> None:
        """Have the server revoke the token (RFC 7009)."""
        await self._ask("revocation", token, client)


class Place:
    """A server, the relay before its token endpoint and the API behind it; `accepted` and `refused` are the API's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Place:
        # The server's own development host: a few connections at once are enough for it.
        self.http = await self._exits.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8))
        )
        kind = JwtCheck if self.server.kind.jwt else Introspection
        self._check: JwtCheck | Introspection = kind(self.server, self.http)
        self.relay = await self._exits.enter_async_context(Relay(self.server.port))
        app = web.Application()
        app.router.add_get("/api/v1/equipe/doctors", self._doctors)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._exits.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _doctors(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not await self._check(token):
            self.refused.append(token)
            return web.json_response({"error": "invalid token"}, status=401)
        self.accepted.append(token)
        return web.json_response(DOCTORS)

    async def status(self, token: str) -> int:
        """Ask the API with a token, past the library."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.get(f"{self.base_url}/equipe/doctors", headers=headers) as answer:
            return answer.status

    async def revoke(self, token: str, client: Client) -> None:
        """See to it that the token is good no longer."""
        await self._check.revoke(token, client)

    @property
    def token_requests(self) -> int:
        """How many token requests have come over the wire."""
        return len(self.relay.requests)

    def session(self, **options: Any) -> ArzamedSession:
        """Return a session for the API."""
        return ArzamedSession(base_url=self.base_url, timeouts=PATIENT, **options)

    def credentials(self, client: Client = ORDINARY, **fields: Any) -> ClinicCredentials:
        """Return a client's credentials, as its clinic would have them."""
        given = {"client_id": client.client_id, "client_secret": client.client_secret, **fields}
        return ClinicCredentials(token_url=self.relay.origin + self.server.ready["token"], **given)
