"""The fake Arzamed: its start and end, its clinics and its faults."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from arzamed_async import ClinicCredentials, ConfigurationError, Doctor
from arzamed_async._extras import hides_arguments

from ._clinics import FakeClinic
from ._faults import Fault, Step, fault, refusal
from ._limited import Limited
from ._photos import photo_path
from ._records import DOCTORS, PATIENTS, SLOTS, Listing, Records, as_doctor
from ._script import On, SlowBody, checked_on, number
from ._server import BASE_PATH, Handler
from ._thread import ServerThread

__all__ = ["FakeArzamed"]

# The second of two waits in aiohttp's shutdown; zero would mean for ever.
_SHUTDOWN_SECONDS = 0.01


class FakeArzamed(Limited):
    """A fake Arzamed API on a loopback socket: the published protocol, invented clinics, faults on demand.

        async with FakeArzamed() as fake:
            milano = fake.add_clinic("Milano", doctors=["Dr. Inventata Uno"])
            fake.fail(503, times=2)
            async with ArzamedSession(base_url=fake.base_url) as session:
                doctors = await session.clinic(milano).doctors.list()
            assert fake.token_requests(milano) == 1

    Tokens look like RS256 JWTs, but their signature is random. Slots and patients are invented, field names
    included: the vendor has published none. Where a method takes a clinic, give its name or its credentials (found
    by client id); an unknown one raises ConfigurationError.

    `clock` returns seconds since the epoch and governs the expiry of tokens, and limits of the rate. May be changed at any time:
    `latency_seconds` and `token_latency_seconds` (before each response), `token_lifetime_seconds`, `compress` (gzip
    for clients that accept it). Starts once; the counters stay readable after the end. `port` 0 is any free one.

    `async with` serves in the running event loop; a plain `with` serves in a thread with its own loop, for tests that
    have no event loop, or several. All methods may be called from any thread; records given as a callable are called
    in the server's thread.
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
        """Listen on 127.0.0.1, in the running event loop. Raises OSError if the port cannot be bound."""
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
        """Stop a fake in its own thread, as `aclose` does: its port refuses connections from now on."""
        if self._thread is None:
            raise ConfigurationError("this FakeArzamed has no thread of its own: await its aclose()")
        self._thread.stop()

    async def aclose(self) -> None:
        """Stop listening, end open requests at once, close every connection. Calling it more than once is fine."""
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
        """Scheme, address and port."""
        if self._state == "new":
            raise ConfigurationError("this FakeArzamed has no port yet: use `async with`, or await its start()")
        return self._handler.origin

    @property
    def base_url(self) -> str:
        """The `base_url` for an ArzamedSession."""
        return self.origin + BASE_PATH.rstrip("/")

    def photo_url(self, name: str) -> str:
        """Return the URL of a photo drawn from `name`: a `profileImage`, which needs no token."""
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
        """Add a clinic with its own token endpoint, and return its credentials; id and secret are invented.

        Doctors are names, mappings as the API sends them, or Doctors; slots and patients are mappings of any
        shape. Each may be a callable that returns an iterable: it is called for each request, and encoded while it
        is sent. By default a clinic has a few invented records; the doctors have photos (see `photo_url`). The server
        must have been started.
        """
        if not name:
            raise ConfigurationError("a clinic of a FakeArzamed needs a name")
        n = len(self._handler.clinics) + 1
        token_path = f"/oauth2/{n}/token"
        secret = client_secret or f"fake-secret-{secrets.token_hex(8)}"
        credentials = ClinicCredentials(
            client_id or f"fake-{n}-{secrets.token_hex(4)}",
            secret,
            self.origin + token_path,
            name=name,
            basic_encoding=basic_encoding,
        )
        listings = {
            "equipe/doctors": Listing(self._invented() if doctors is None else doctors, as_doctor),
            "equipe/slots": SLOTS if slots is None else Listing(slots),
            "equipe/patients": PATIENTS if patients is None else Listing(patients),
        }
        self._handler.clinics.add(FakeClinic(credentials, secret, listings), token_path)
        return credentials

    def add_endpoint(self, path: str, clinic: ClinicCredentials | str, records: Records) -> None:
        """Serve another list at `path` below `base_url`, or other records at an existing path."""
        path = path.strip("/")
        convert = as_doctor if path == "equipe/doctors" else None
        self._handler.clinics.find(clinic).listings[path] = Listing(records, convert)

    def _invented(self) -> list[Doctor]:
        return [Doctor(name, self.photo_url(name)) for name in DOCTORS]

    # Faults

    def fail(
        self,
        status: int,
        times: int | None = 1,
        *,
        retry_after: float | str | None = None,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
        path: str | None = None,
        message: str = "",
    ) -> None:
        """Respond to the next `times` matching requests with `status` (None: to all, until `clear_faults`).

        Scripted failures are consumed in order. `on` is "api" or "token"; `path` (below `base_url`) and `clinic`
        narrow it down. `retry_after` is sent unchanged (seconds or an HTTP date), `message` as the `error`. A
        redirect points to this server, which would count the request that follows it.
        """
        refused = refusal(status, on, self.base_url, retry_after=retry_after, message=message)
        self._handler.faults.add(refused, times, on, self._find(clinic), path)

    def script(
        self,
        *steps: Step,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
        path: str | None = None,
    ) -> None:
        """Apply these steps to the next matching requests, one each and in order; later requests succeed again.

            fake.script(503, "cut", "ok", "hang", Answer(json=[{"name": 1}]))

        A number is a status, as with `fail`; "ok" a good response; "cut" a good one whose body is cut in the middle;
        "reset" a connection reset before the response; "hang" no response for as long as the client waits; "garbage"
        bytes that are not HTTP; an `Answer` is sent unchanged. Steps are added after those scripted earlier.
        """
        faults: list[Fault] = [fault(step, on, self.base_url) for step in steps]
        found = self._find(clinic)
        for each in faults:
            self._handler.faults.add(each, 1, on, found, path)

    def cut_body(
        self,
        after_bytes: int,
        times: int | None = 1,
        *,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
    ) -> None:
        """Close the connection in the middle of the next `times` good bodies, after `after_bytes` bytes on the wire."""
        cut = int(number("after_bytes", after_bytes))
        self._handler.cuts.add(cut, times, on, self._find(clinic))

    def slow_body(
        self,
        chunk_bytes: int,
        pause_seconds: float,
        times: int | None = None,
        *,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
    ) -> None:
        """Send good bodies in small chunks, with a pause after each (times=None: until `clear_faults`)."""
        slow = SlowBody(int(number("chunk_bytes", chunk_bytes, 1)), number("pause_seconds", pause_seconds))
        self._handler.slow_bodies.add(slow, times, on, self._find(clinic))

    def clear_faults(self, clinic: ClinicCredentials | str | None = None) -> None:
        """Drop all failures, scripts, limits, cut and slow bodies; with a clinic, only those set for it alone."""
        found = self._find(clinic)
        self._handler.limits.clear(found)
        for script in (self._handler.faults, self._handler.cuts, self._handler.slow_bodies):
            script.clear(found)

    def set_latency(self, seconds: float | None, clinic: ClinicCredentials | str, *, on: On = "api") -> None:
        """Set one clinic's delay before each response, instead of the common latency; None removes it."""
        latency = self._handler.clinics.find(clinic).latency_seconds
        if seconds is None:
            latency.pop(checked_on(on), None)
        else:
            latency[checked_on(on)] = number("seconds", seconds)

    def expire_tokens(self, clinic: ClinicCredentials | str | None = None) -> None:
        """Respond with 401 to all tokens issued so far, or to those of one clinic."""
        self._handler.tokens.expire(self._find(clinic))

    def revoke_key(self, clinic: ClinicCredentials | str, *, status: int = 401) -> None:
        """Reject the clinic's token requests (`status` and invalid_client) and its tokens (403) from now on."""
        self._handler.clinics.find(clinic).revoked_status = status
