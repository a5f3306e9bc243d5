"""The fake Arzamed: its start and end, its clinics and its faults."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from arzamed_async import ClinicCredentials, ConfigurationError, Doctor
from arzamed_async._extras import hides_arguments

from ._clinics import FakeClinic, FakeKey
from ._clinics_file import text_of as clinics_text
from ._clinics_file import write as write_clinics
from ._endpoints import EndpointTable, FakeEndpoint
from ._photos import photo_path
from ._records import DOCTORS, PATIENTS, SLOTS, Records
from ._server import BASE_PATH, Handler
from ._serving import Serving
from ._thread import ServerThread

__all__ = ["FakeArzamed"]

# The second of two waits in aiohttp's shutdown; zero would mean for ever.
_SHUTDOWN_SECONDS = 0.01


class FakeArzamed(Serving):
    """A fake Arzamed API on a loopback socket: the published protocol, invented clinics, faults on demand.

        async with FakeArzamed() as fake:
            milano = fake.add_clinic("Milano", doctors=["Dr. Inventata Uno"])
            fake.fail(503, times=2)
            async with ArzamedSession(base_url=fake.base_url) as session:
                doctors = await session.clinic(milano).doctors.list()
            assert fake.token_requests(milano) == 1

    `async with` serves on the running event loop. A plain `with` serves in a thread with its own loop, for tests that have
    no event loop, or several. It can be started once; the counters stay readable after its end. All methods can be called
    from any thread. Records given as a function are called in the server's thread.

    Tokens look like RS256 JWTs, but their signature is random. The fields of slots and patients are invented, since the
    vendor has not published them.

    The attributes can be changed at any time.

    Args:
        clock: Returns seconds since the epoch, for the expiry of tokens.
        port: The port to listen on. 0: any free one.

    Attributes:
        latency_seconds: The delay before each response of the API.
        token_latency_seconds: The delay before each response of the token endpoints.
        token_lifetime_seconds: The lifetime of new tokens.
        compress: True: bodies are sent as gzip to clients that accept it.
    """

    @hides_arguments
    def __init__(self, *, clock: Callable[[], float] = time.time, port: int = 0) -> None:
        self.latency_seconds: float = 0.0
        self.token_latency_seconds: float = 0.0
        self.token_lifetime_seconds: float = 3600
        self.compress: bool = False
        self._handler = Handler(self, clock)
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._thread: ServerThread | None = None
        self._state: Literal["new", "running", "closed"] = "new"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._thread = ServerThread(self.start, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def start(self) -> None:
        """Listen on 127.0.0.1, in the running event loop.

        Raises:
            OSError: The port cannot be bound.
            ConfigurationError: The server was started before.
        """
        if self._state != "new":
            raise ConfigurationError("a FakeArzamed starts once: create a new one")
        self._state = "running"
        server = web.Server(self._handler, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=4096).start()
        except OSError:
            await self._stop()
            raise
        self._handler.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def close(self) -> None:
        """Stop a server that runs in its own thread (plain `with`). Its port then refuses connections.

        Raises:
            ConfigurationError: The server does not run in its own thread: use `aclose`.
        """
        if self._thread is None:
            raise ConfigurationError("this FakeArzamed has no thread of its own: await its aclose()")
        self._thread.stop()

    async def aclose(self) -> None:
        """Stop the server: end open requests at once and close all connections. Can be called more than once."""
        if not vars(self):  # the constructor has raised
            return
        if self._thread is None:
            await self._stop()
        else:
            self._thread.stop()  # takes milliseconds, and does not wait for this event loop

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        self._state = "closed"
        if runner is None:
            return
        for site in runner.sites:
            await site.stop()
        if open_requests := set(self._handler.tasks):
            for task in open_requests:
                task.cancel()
            await asyncio.wait(open_requests)
        await runner.cleanup()

    @property
    def origin(self) -> str:
        """Scheme, address and port of the server, such as `http://127.0.0.1:8080`."""
        if self._state == "new":
            raise ConfigurationError("this FakeArzamed has no port yet: use `async with`, or await its start()")
        return self._handler.origin

    @property
    def base_url(self) -> str:
        """The `base_url` for an ArzamedSession."""
        return self.origin + BASE_PATH.rstrip("/")

    def photo_url(self, name: str) -> str:
        """Return the URL of an invented photo, for `profileImage`. It needs no token.

        Args:
            name: The name to draw the photo from: the same name gives the same photo.
        """
        return self.origin + photo_path(name)

    # Clinics

    @hides_arguments
    def add_clinic(
        self,
        name: str,
        *,
        doctors: Records | None = None,
        slots: Records | None = None,
        patients: Records | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        basic_encoding: Literal["form", "raw"] = "form",
    ) -> ClinicCredentials:
        """Add a clinic with its own token endpoint; return its credentials.

        By default it has a few invented records, and its doctors have photos (see `photo_url`). A list can also be a
        function that returns an iterable: it is called for each request, and its records are encoded while they are sent.

        Args:
            name: The clinic's name.
            doctors: Names, mappings as the API sends them, or Doctors.
            slots: Mappings of any shape.
            patients: Mappings of any shape.
            client_id: The client id. None: an invented one.
            client_secret: The secret. None: an invented one.
            basic_encoding: The encoding that the token endpoint expects.

        Raises:
            ConfigurationError: The name is empty or taken, or the server has not been started.
        """
        if not name:
            raise ConfigurationError("a clinic of a FakeArzamed needs a name")
        given = {"equipe/doctors": doctors, "equipe/slots": slots, "equipe/patients": patients}
        own = {path: FakeEndpoint(path, each, only_lists=True) for path, each in given.items() if each is not None}
        invented = {"equipe/doctors": self._invented(), "equipe/slots": SLOTS, "equipe/patients": PATIENTS}
        clinics = self._handler.clinics
        with clinics.lock:
            n = len(clinics) + 1
            token_path = f"/oauth2/{n}/token"
            secret = client_secret or _new_secret()
            credentials = ClinicCredentials(
                client_id or f"fake-{n}-{secrets.token_hex(4)}",
                secret,
                self.origin + token_path,
                name=name,
                basic_encoding=basic_encoding,
            )
            default = {path: FakeEndpoint(path, records) for path, records in invented.items()}
            endpoints = EndpointTable({**default, **clinics.endpoints_of_all(), **own})
            clinics.add(FakeClinic([FakeKey(credentials, secret)], endpoints), token_path)
        return credentials

    @hides_arguments
    def rotate_key(
        self, clinic: ClinicCredentials | str, *, client_id: str | None = None, client_secret: str | None = None
    ) -> ClinicCredentials:
        """Create a new key for a clinic; return its credentials. The clinic's older keys work until they are revoked.

            new = fake.rotate_key(old)
            fake.revoke_key(old)

        Args:
            clinic: The clinic's name, or its credentials.
            client_id: The client id of the new key. None: the same as before.
            client_secret: The new secret. None: an invented one.

        Raises:
            ConfigurationError: The clinic is unknown, or the client id and secret are taken.
        """
        clinics = self._handler.clinics
        found = clinics.find(clinic)
        secret = client_secret or _new_secret()
        with clinics.lock:
            before = found.credentials
            credentials = ClinicCredentials(
                client_id or before.client_id,
                secret,
                before.token_url,
                name=before.name,
                scope=before.scope,
                basic_encoding=before.basic_encoding,
            )
            clinics.add_key(found, FakeKey(credentials, secret))
        return credentials

    @hides_arguments
    def write_clinics(self, path: str | os.PathLike[str]) -> None:
        """Write a clinics file with the newest key of each clinic, for `load_clinics` and the `arzamed` command.

        The file has mode 0600. One that a fake wrote is replaced, any other is kept.

        Args:
            path: The path of the file.

        Raises:
            ConfigurationError: There is another file, or the file cannot be written.
        """
        write_clinics(Path(path), clinics_text(self.base_url, self._handler.clinics.credentials()))

    def _invented(self) -> list[Doctor]:
        return [Doctor(name, self.photo_url(name)) for name in DOCTORS]


def _new_secret() -> str:
    return f"fake-secret-{secrets.token_hex(8)}"
