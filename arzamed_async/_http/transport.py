"""Sends one request and returns its response, with a body to be read piece by piece, over one of two lanes.

Most requests take the direct lane (`direct`). The ordinary lane, aiohttp's own request, serves where a part of aiohttp
has to see or change requests: a session given by the caller, a proxy, trace configurations, a patched session.

Every exception of aiohttp, ssl or the operating system ends here as a TransportError made of facts, while the body
streams, too. Nothing is chained: aiohttp's exceptions hold the request's headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from .._concurrency.byte_budget import ByteBudget
from .._concurrency.cancel_scope import CancelScope
from .._concurrency.forks import lead_nowhere
from .._concurrency.queueing import wait_in_queue
from .._concurrency.semaphore import FairSemaphore
from .._concurrency.threads import Threads
from .._logs.setup import write
from ..config import PoolLimits, Timeouts
from ..errors import ArzamedError, ConfigurationError
from .decompress import ACCEPT_ENCODING
from .direct import Direct
from .failures import transport_error
from .given import OF_PARENT, check_given, check_http, check_made, login_clash
from .handler import HEADER_BYTES, MOST_HEADERS, PATCHED_WHY, is_patched
from .inbound import ConnectionFlow, Inbound
from .pool import Pool, close_with_loop, connect_timeout, given_timeout, sockets_of
from .proxy_logins import ProxyChoice
from .request_bytes import recordable
from .response import HttpResponse, not_final, read_timed_out

if TYPE_CHECKING:
    from .outgoing import Outgoing

__all__ = ["Http", "Transport"]


_POOL_QUEUE = "waiting for one of the session's {} connections (PoolLimits.connections)"

#: In the ordinary lane a connection is read until twice as much waits to be used.
BUFFER_BYTES = 32_768

Http = aiohttp.ClientSession | Callable[[], aiohttp.ClientSession]


class Transport:
    """The HTTP pool of one session: one aiohttp.ClientSession for each event loop it is used in."""

    def __init__(
        self,
        *,
        pool: PoolLimits,
        buffered_bytes: int,
        http: Http | None,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        trust_env: bool,
        user_agent: str,
    ) -> None:
        if isinstance(http, aiohttp.ClientSession):
            check_given(http)
        check_http(http, aiohttp.ClientSession)
        self._limits, self._buffered_bytes = pool, buffered_bytes
        self.budget = ByteBudget(buffered_bytes, pool.connections)
        self.threads = Threads()
        self._given = http
        self._ssl_context = ssl_context
        self._proxies = ProxyChoice(proxy, trust_env=trust_env)
        self._client: aiohttp.ClientSession | None = None
        self._made: aiohttp.ClientSession | None = None  # the same, but for one that is given
        self._closer: AsyncGenerator[None, None] | None = None
        self._of_parent = False  # a given session, in a forked child
        self._timeouts: tuple[Timeouts, aiohttp.ClientTimeout] | None = None
        self.pool: Pool | None = None
        self._direct: Direct | None = None
        self.lane = ""  # which lane requests take, and why if it is not the direct one
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": user_agent,
        }

    def _make_client(self) -> aiohttp.ClientSession:
        if callable(self._given):
            made = self._given()
            check_made(made, aiohttp.ClientSession)
            return made
        self.pool = Pool(self._limits.connections, self._ssl_context, self.threads)
        return aiohttp.ClientSession(
            connector=self.pool,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            proxy=self._proxies.given,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=MOST_HEADERS,
        )

    def _made_client(self) -> aiohttp.ClientSession:
        client = self._made
        if client is None:
            client = self._made = self._make_client()
            # asyncio.run closes what async generators a loop has left: so the pool of a session not closed goes, too.
            self._closer = close_with_loop(client)
            with contextlib.suppress(StopIteration):
                self._closer.__anext__().send(None)  # runs to its yield, which awaits nothing
        return client

    def _bound_client(self) -> aiohttp.ClientSession:
        client = self._client
        if client is None:  # the first use in this loop
            if self._of_parent:
                raise ConfigurationError(OF_PARENT)
            client = self._given if isinstance(self._given, aiohttp.ClientSession) else self._made_client()
            check_given(client)
            self._client = client
            self._choose_lane(client)
        if client.closed:
            raise ConfigurationError("the aiohttp session given as http= is closed")
        return client

    def _choose_lane(self, client: aiohttp.ClientSession) -> None:
        """Decide whether requests may take the direct lane: the one place for that, except for later patches."""
        self._direct, why = None, ""
        if self.pool is None:
            why = "the aiohttp session is given as http="
        elif self._proxies.given is not None:
            why = "there is a proxy"
        elif self._proxies.environment is not None:
            why = "proxies come from the environment"
        elif client.trace_configs:
            why = "there are trace configurations"
        elif is_patched():
            why = PATCHED_WHY
        if self.pool is not None and not why:
            direct = Direct(client, self.pool, self._headers, self.budget)
            if direct.fits():
                self._direct = direct
            else:
                why = f"aiohttp {aiohttp.__version__} is not known here"
        self._note_lane(why)

    def _note_lane(self, why: str) -> None:
        self.lane = f"aiohttp: {why}" if why else "direct"
        write(logging.DEBUG, "requests take the lane: %s", self.lane)

    def _timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        """Return aiohttp's timeouts."""
        if self._timeouts is None or self._timeouts[0] is not timeouts:
            made = given_timeout(timeouts) if self.pool is None else connect_timeout(timeouts)
            self._timeouts = (timeouts, made)
        return self._timeouts[1]

    def acquire_slot_nowait(self) -> bool:
        """Acquire a slot of the pool if one is free. `open` must follow; it, or else its response, releases the slot."""
        if self._direct is None:  # with a direct lane there is a client, and no one but `close` closes it
            self._bound_client()
        return self.pool is None or self.pool.slots.acquire_nowait()

    async def acquire_slot(self, scope: CancelScope) -> None:
        """Wait for a slot, after `acquire_slot_nowait` found none."""
        if self.pool is not None:
            await wait_in_queue(scope, self.pool.slots, _POOL_QUEUE)

    def release_slot(self) -> None:
        """Release a slot that is acquired, where `open` does not follow."""
        if self.pool is not None:
            self.pool.slots.release()

    def open(self, outgoing: Outgoing, headers: Mapping[str, str], scope: CancelScope) -> Awaitable[HttpResponse]:
        """Send one request, with an acquired slot. Returns the response, whatever its status; raises TransportError.

        Closing the response releases the clinic's slot. If this raises, the caller releases it.
        """
        direct = self._direct
        if direct is not None:
            if not is_patched():
                if self.lane != "direct":
                    self._note_lane("")
                return direct.open(outgoing, headers, scope)
            if self.lane == "direct":
                self._note_lane(PATCHED_WHY)
        return self._open(outgoing, headers, scope)

    def _failure(self, client: aiohttp.ClientSession, error: Exception, host: str, proxy: str | None) -> ArzamedError:
        clash = login_clash(client, error, host) if self.pool is None else None
        status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None
        now, failure = asyncio.get_running_loop().time(), transport_error(error, host)
        return clash or self._proxies.failed(proxy, failure, status, now)

    async def _open(self, outgoing: Outgoing, headers: Mapping[str, str], scope: CancelScope) -> HttpResponse:
        client, pool = self._bound_client(), self.pool
        if pool is not None:
            pool.expect(scope)
        result: HttpResponse | None = None
        reused: asyncio.Transport | None = None
        failure: ArzamedError
        host, proxy = "", None
        try:
            proxy = self._proxies.proxy_for(outgoing.url, asyncio.get_running_loop().time())
            host = (target := URL(outgoing.url, encoded=True)).authority
            response = await client.request(
                outgoing.method,
                target,
                data=outgoing.body,
                headers=recordable(headers if pool else {**self._headers, **headers}, client),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,
                timeout=self._timeout(outgoing.timeouts),
                proxy=proxy,
                read_bufsize=BUFFER_BYTES,
            )
        except asyncio.CancelledError:
            if not scope.read_timed_out():
                raise
            failure = read_timed_out(host)
        except ConfigurationError:  # of the environment
            raise
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            failure = self._failure(client, error, host, proxy)
        else:
            if response.status >= 200:
                slots = (pool.slots if pool else None, outgoing.clinic_slot)
                result = _response(
                    response, Inbound(response.content, self.budget, ConnectionFlow(response)), host, scope, slots
                )
                return result
            response.close()  # after 101 the connection speaks another protocol
            failure = not_final(response.status, host)
        finally:
            scope.got_bytes()
            if pool is not None:
                reused = pool.expect_no_more(scope)
                if result is None:
                    pool.slots.release()
        _close_suspects(pool, reused)
        raise failure

    def use(self) -> tuple[int, int, int] | tuple[None, None, None]:
        """Return the connections in use and open, and the requests waiting for one; None for a session of the caller's."""
        pool = self.pool
        if pool is not None:
            return pool.slots.taken, pool.sockets.open_count(), pool.slots.waiting
        return (0, 0, 0) if self._given is None else (None, None, None)

    def leave_loop(self) -> None:
        """Drop the pool of an event loop that no longer runs, without awaiting anything."""
        self._client = self._made = self._closer = self.pool = self._direct = None
        self.budget = ByteBudget(self._buffered_bytes, self._limits.connections)

    def leave_process(self) -> object:
        """Leave the connections to the parent of this forked child. Returns what must not be freed here."""
        client, closer, pool, direct = self._made, self._closer, self.pool, self._direct
        given = self._given if isinstance(self._given, aiohttp.ClientSession) else None
        connector = getattr(given or client, "connector", None)
        self.leave_loop()
        self._of_parent = given is not None
        if pool is not None:
            pool.leave_process()
        else:
            lead_nowhere(sockets_of(connector))
        if client is not None and closer is not None:
            client.detach()  # it counts as closed
            with contextlib.suppress(StopIteration):
                closer.aclose().send(None)
        return client, closer, connector, direct, self.threads.leave_process()

    async def close(self) -> None:
        """Close the pool, unless it belongs to the caller."""
        closer, self._closer = self._closer, None
        direct, self._client, self._made, self._direct = self._direct, None, None, None
        if direct is not None:
            direct.close()
        if closer is not None:
            await closer.aclose()


def _close_suspects(pool: Pool | None, reused: asyncio.Transport | None) -> None:
    if pool is not None and reused is not None:
        pool.sockets.abort_idle_before(reused)


def _response(
    got: aiohttp.ClientResponse, body: Inbound, host: str, scope: CancelScope, slots: tuple[FairSemaphore | None, ...]
) -> HttpResponse:
    return HttpResponse(got.status, got.headers, body, got.close, host, scope, transport_error, slots)
