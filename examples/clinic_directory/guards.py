"""What stands around the application: only known hosts are answered, every answer is strict, readers leave without a trace."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable

from anyio import BrokenResourceError, ClosedResourceError
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["KnownHosts", "QuietLeaving", "SafeHeaders"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(rb"(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")

log = logging.getLogger("clinic_directory")


def _plain(host: str) -> str:
    """Return a host as it is compared: in lower case, without the dot at its end, an address in its short form."""
    host = host.strip("[]").lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


class KnownHosts:
    """Refuses requests whose Host is neither this machine nor one of `hosts`.

    Otherwise a page of anyone could read the data: it lets its own name resolve to 127.0.0.1 after it has been loaded (DNS
    rebinding), and the browser takes this server for that page's.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts = frozenset(map(_plain, (*LOOPBACK, *hosts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 400 (no valid Host) or 421 (another server's)."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"host"]
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            await PlainTextResponse("The request has no valid Host.\n", 400)(scope, receive, send)
        elif _plain((found[1] or found[2]).decode()) not in self.hosts:
            await PlainTextResponse("This server does not answer for that host: see --name.\n", 421)(
                scope, receive, send
            )
        else:
            await self.app(scope, receive, send)


class QuietLeaving:
    """Ends the request of a reader who has left with a line for debugging, where the framework's streams raise errors."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        left = False

        async def receive_and_note() -> Message:
            nonlocal left
            message = await receive()
            left = left or message["type"] == "http.disconnect"
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal left
            try:
                await send(message)
            except OSError:  # what ASGI servers raise for a reader who has left
                left = True
                raise

        try:
            await self.app(scope, receive_and_note, send_and_note)
        except Exception as error:
            if not (left and _of_leaving(error)):
                raise
            log.debug("a reader left %s", scope["path"])


def _of_leaving(error: BaseException) -> bool:
    """Return whether an error is nothing but the end of a stream that nobody reads any more."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_of_leaving, error.exceptions))
    return isinstance(error, (BrokenResourceError, ClosedResourceError, ClientDisconnect, OSError))


class SafeHeaders:
    """Puts the headers of a strict page on every answer; it touches neither body nor disconnection."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        photos = " ".join(("'self'", *scope["state"]["place"].photos))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            f"img-src {photos}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", policy.encode("latin-1")),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self.app(scope, receive, send_safely)
