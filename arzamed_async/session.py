"""The session: one HTTP pool and, for each clinic, one token cache. The parts are put together here, and only here."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from ._arguments import clock_function, function, kinds, observer_functions
from ._calls.clinics import ClinicRegistry
from ._calls.engine import Engine, Options, not_pickled, paces_of
from ._concurrency.clocks import Clocks
from ._concurrency.lifetime import Lifetime
from ._concurrency.single_flight import SingleFlight
from ._frozen import total_repr
from ._http.made import make_transport
from ._http.transport import Http
from ._resilience.budget import RetryBudget
from ._resilience.retry import load as load_backoff
from ._telemetry import Observers
from ._tokens.cache import TokenSource
from ._tokens.fetch import TokenFetcher, shared_tokens
from ._tokens.provider import TokenProvider
from ._tokens.request import TokenClient
from ._tracebacks import hides_arguments
from ._validation import api_url
from .clinic import Clinic, clinic_of
from .config import (
    PRODUCTION,
    BreakerPolicy,
    Endpoints,
    Limits,
    PacingPolicy,
    PoolLimits,
    RetryPolicy,
    Timeouts,
    TokenPolicy,
)
from .credentials import ClinicCredentials
from .errors import SessionClosedError
from .events import Observer
from .token_store import TokenStore

if TYPE_CHECKING:
    from ._fan_out.fan_out import FanOut
    from ._fan_out.merge import Merge
    from ._fan_out.workers import FanOutPlan, Progress
    from .models import Outcome, Stats

__all__ = ["ArzamedSession"]

T = TypeVar("T")
ClinicIterable = Iterable[Clinic | ClinicCredentials] | AsyncIterable[Clinic | ClinicCredentials]


def _load() -> None:
    """Import what a session needs later: no call reads a file."""
    load_backoff()
    for name in ("._fan_out.fan_out", "._readers.one", "._responses"):
        import_module(name, __package__)


class ArzamedSession:
    """Reads live data of many clinics. One for each process (or event loop) is enough.

        async with ArzamedSession() as session:
            clinic = session.clinic(credentials)
            doctors = await clinic.doctors.list()

    May be built outside a running event loop; used from one loop at a time. Raises ConfigurationError.

    Args:
        base_url: The address of the API.
        retry: Which failed attempts are retried, and the budget of retries.
        timeouts: The time limits of a call.
        limits: The limits of size, and of buffered bytes.
        pool: The limits of connections.
        tokens: When tokens are replaced, and how long rejections are remembered.
        pacing: How requests are paced where the API limits their rate; None: not at all.
        breaker: When a clinic whose API keeps failing gets no requests for a while (CircuitOpenError); None: never.
        coalesce: Identical concurrent `list()` calls of one clinic become one request under the session's own options,
            never for `personal` endpoints; nothing is kept beyond it.
        token_store: Where processes share tokens. Several sessions may have one store, and none closes it.
        endpoints: The paths of the endpoints that the vendor has not published.
        observers: Each is called with every Event; one that is a Tracer also creates spans.
        http: An aiohttp.ClientSession of the caller's, never closed here, or a callable that makes one, without an
            Authorization of its own. `pool`, `ssl_context`, `proxy` and `trust_env` are its owner's business then, as are
            its resolver and aiohttp's habit to send a GET again, uncounted, when a connection is lost.
        ssl_context: The TLS settings of all connections; None: Python's default context.
        proxy: The URL of a proxy, with its login if it needs one.
        trust_env: Takes the proxies from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, and reads no .netrc.
        app_info: The program's name in each User-Agent, before the library's: `booking-portal/2.1`; with `http=`, too.
        clock: Returns seconds that never go back, for the age of tokens and the circuit breaker.
        wall_clock: Returns seconds since the epoch, for the expiry of tokens and HTTP dates.
    """

    @hides_arguments
    def __init__(
        self,
        *,
        base_url: str = PRODUCTION,
        retry: RetryPolicy = RetryPolicy(),
        timeouts: Timeouts = Timeouts(),
        limits: Limits = Limits(),
        pool: PoolLimits = PoolLimits(),
        tokens: TokenPolicy = TokenPolicy(),
        pacing: PacingPolicy | None = PacingPolicy(),
        breaker: BreakerPolicy | None = None,
        coalesce: bool = False,
        token_store: TokenStore | None = None,
        endpoints: Endpoints = Endpoints(),
        observers: Iterable[Observer] = (),
        http: Http | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        app_info: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        kinds(tokens=(tokens, TokenPolicy), endpoints=(endpoints, Endpoints), coalesce=(coalesce, bool))
        _load()
        base_url = api_url("base_url", base_url)
        options, observed = Options(retry, timeouts, limits), Observers(observer_functions(observers))
        lifetime, clocks = Lifetime(), Clocks(clock_function("clock", clock), clock_function("wall_clock", wall_clock))
        transport = make_transport(pool, limits, http, ssl_context, proxy, app_info, trust_env=trust_env)
        client = TokenClient(transport, retry, timeouts, observed, clocks, paces_of(pacing, base_url, retry, observed))
        shared = shared_tokens(token_store, tokens, clocks, observed, lifetime, client.secrets)
        self._pool, self._fetcher, flights = pool, TokenFetcher(lifetime, client, shared), SingleFlight(lifetime.spawn)
        source = TokenSource(self._fetcher.fetch, tokens, clock, wall_clock, flights)
        clinics = ClinicRegistry(source, breaker, pool.connections_per_clinic)
        self._engine = Engine(
            base_url=base_url,
            options=options,
            endpoints=endpoints,
            observers=observed,
            clocks=clocks,
            lifetime=lifetime,
            transport=transport,
            retry_budget=RetryBudget(retry.budget),
            paces=client.pacing,
            tokens=TokenProvider(lifetime, observed),
            clinics=clinics,
            reads=flights if coalesce else None,
        )
        lifetime.on_new_loop(transport.leave_loop, clinics.leave_loop, flights.leave_loop, client.pacing.leave_loop)
        lifetime.on_fork(transport.leave_process)

    @total_repr
    def __repr__(self) -> str:
        return f"<ArzamedSession {self._engine.base_url}{' closed' if self._engine.lifetime.closed else ''}>"

    __reduce__ = not_pickled

    async def __aenter__(self) -> Self:
        self._engine.lifetime.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pool. Calls in flight end with SessionClosedError; more than once is fine."""
        if not vars(self):  # the constructor has raised
            return
        engine = self._engine
        engine.lifetime.close()
        engine.clinics.clear()
        try:
            await engine.lifetime.ended()
        finally:
            engine.observers.flush()
            await engine.transport.close()

    @hides_arguments
    def clinic(self, credentials: ClinicCredentials) -> Clinic:
        """Return a handle of the clinic. Handles of equal credentials share token and pool.

        Raises SessionClosedError, ConfigurationError.

        Args:
            credentials: The clinic's credentials.
        """
        if self._engine.lifetime.closed:
            raise SessionClosedError
        return Clinic(self._engine, credentials)

    @hides_arguments
    def forget(self, credentials: ClinicCredentials) -> None:
        """Drop token and limits of a clinic that is gone, or whose key has changed, and lift a pause of its token endpoint.

        Calls under way go on. A handle that is used afterwards starts again, with a new token. Raises ConfigurationError.

        Args:
            credentials: The clinic's credentials, as they were used.
        """
        kinds(credentials=(credentials, ClinicCredentials))
        scope = self._engine.clinics.forget(credentials)
        self._engine.paces.forget(scope, credentials, credentials.token_url)
        self._fetcher.forget(credentials)

    def stats(self) -> Stats:
        """Return what each clinic has cost, what is going on now, and the use of the pool: a frozen snapshot."""
        return self._engine.stats(self._pool.connections)

    @hides_arguments
    def fan_out(
        self,
        clinics: ClinicIterable,
        fetch: Callable[[Clinic], Awaitable[T]],
        *,
        concurrency: int = 64,
        deadline_seconds: float | None = None,
        on_progress: Progress | None = None,
    ) -> FanOut[T]:
        """Run `fetch` for each of many clinics; yield a Success or a Failure for each as it finishes.

        Each clinic runs in a copy of the caller's context. An ArzamedError becomes a Failure; any other exception is a
        bug: it cancels the rest and propagates unchanged (a CancelledError without a cancellation as a RuntimeError).
        Raises ConfigurationError, SessionClosedError.

        Args:
            clinics: Each Clinic or ClinicCredentials, an iterable or async iterable. They are drawn lazily, never more than
                `concurrency` ahead of what has been taken; a generator is closed at the end.
            fetch: A coroutine function of a clinic.
            concurrency: The most clinics that are read at a time.
            deadline_seconds: After this time running fetches are cancelled, and clinics drawn later are not started: all fail
                with DeadlineExceededError. None: no deadline for the whole.
            on_progress: Called after each with the numbers `(done, failed, total)`; total is None where `clinics` has no length.
        """
        from ._fan_out.fan_out import FanOut

        plan = self._plan(clinics, concurrency=concurrency, deadline_seconds=deadline_seconds, on_progress=on_progress)
        return FanOut(plan, function("fetch", fetch, "a coroutine function of a clinic"))

    async def gather(
        self,
        clinics: ClinicIterable,
        fetch: Callable[[Clinic], Awaitable[T]],
        *,
        concurrency: int = 64,
        deadline_seconds: float | None = None,
        on_progress: Progress | None = None,
    ) -> list[Outcome[T]]:
        """Run `fan_out` to its end, and return all outcomes in the order of `clinics`.

        The arguments are those of `fan_out`. Raises what `fan_out` raises.
        """
        from ._fan_out.fan_out import gather

        try:
            outcomes = self.fan_out(
                clinics, fetch, concurrency=concurrency, deadline_seconds=deadline_seconds, on_progress=on_progress
            )
        finally:
            clinics = fetch = concurrency = deadline_seconds = on_progress = cast("Any", None)  # see hides_arguments
        return await gather(outcomes)

    @hides_arguments
    def merge(
        self,
        clinics: ClinicIterable,
        open_stream: Callable[[Clinic], AsyncIterable[T]],
        *,
        concurrency: int = 64,
        buffer: int = 1024,
        deadline_seconds: float | None = None,
        on_progress: Progress | None = None,
    ) -> Merge[T]:
        """Open a stream for each of many clinics; yield a Record for each record as it arrives.

        Each clinic drawn yields one completion item after its records: Finished with their count, or Failure. A list
        that was cut short is never taken for a complete one. The other arguments are those of `fan_out`. Raises what
        `fan_out` raises.

        Args:
            open_stream: Returns a RecordStream or any other async iterable of a clinic, which is closed.
            buffer: The most records of all clinics together that are held.
        """
        from ._fan_out.merge import Merge

        plan = self._plan(
            clinics, concurrency=concurrency, deadline_seconds=deadline_seconds, on_progress=on_progress, buffer=buffer
        )
        return Merge(plan, function("open_stream", open_stream, "a function of a clinic that returns a stream"))

    def _plan(self, clinics: ClinicIterable, **options: Any) -> FanOutPlan[Clinic]:
        from ._fan_out.feed import ClinicFeed
        from ._fan_out.workers import FanOutPlan

        engine = self._engine  # and not the session: the results may outlive it
        if engine.lifetime.closed:
            raise SessionClosedError
        feed = ClinicFeed(clinics, partial(clinic_of, engine))
        return FanOutPlan(clinics=feed, enter=engine.lifetime.enter, crowded=engine.paces.crowded, **options)
