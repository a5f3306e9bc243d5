"""The session: one HTTP pool and, for each clinic, one token cache. This module creates all parts and connects them."""

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
    """Import now what a call needs later, so that no call waits for an import."""
    load_backoff()
    for name in ("._fan_out.fan_out", "._readers.one", "._responses"):
        import_module(name, __package__)


class ArzamedSession:
    """Client of the API: reads live data of many clinics over one connection pool. One session per process is enough.

        async with ArzamedSession() as session:
            clinic = session.clinic(credentials)
            doctors = await clinic.doctors.list()

    You can create it outside an event loop. Use it from one event loop at a time. Raises ConfigurationError.

    Args:
        base_url: The address of the API.
        retry: Which failed requests are retried, how often, and the session's retry budget.
        timeouts: The time limits of a call.
        limits: The maximum sizes of responses and buffers.
        pool: The maximum number of connections, in total and per clinic.
        tokens: When tokens are refreshed, and how long a rejection is remembered.
        pacing: How requests are slowed down if the API limits their rate. None: they are not.
        breaker: When calls for a clinic that keeps failing raise CircuitOpenError without a request. None: never.
        coalesce: True: identical calls of `list()` or `one()` that run at the same time for one clinic share one request,
            with the session's own policies. Never for `personal` endpoints. Nothing is cached afterwards.
        token_store: Shares tokens between processes. Sessions can share one store; none closes it. None: memory only.
        endpoints: The paths of the endpoints that the vendor has not published.
        observers: Each is called with every Event. An observer that is a Tracer also creates spans.
        http: Your own aiohttp.ClientSession, which is never closed here, or a callable that returns one. It must not set
            Authorization. `pool`, `ssl_context`, `proxy` and `trust_env` cannot be given as well. aiohttp may resend a
            GET after a lost connection, which is not counted as an attempt.
        ssl_context: The TLS settings of all connections. None: Python's default context.
        proxy: The URL of an HTTP proxy, with user and password if it needs them.
        trust_env: True: use the proxies of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY. No .netrc file is read.
        app_info: Your program in the User-Agent header, before the library, such as `booking-portal/2.1`.
        clock: Returns monotonic seconds, for the age of tokens and the circuit breaker.
        wall_clock: Returns seconds since the epoch, for the expiry of tokens and for HTTP dates.
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
        """Close all connections. Calls in progress raise SessionClosedError. Can be called more than once."""
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
        """Return a handle of the clinic. Handles with equal credentials share one token and the pool.

        Raises SessionClosedError, ConfigurationError.

        Args:
            credentials: The clinic's credentials.
        """
        if self._engine.lifetime.closed:
            raise SessionClosedError
        return Clinic(self._engine, credentials)

    @hides_arguments
    def forget(self, credentials: ClinicCredentials) -> None:
        """Forget all that is remembered of a clinic: token, rejected key, learned rate limit, required pause, open circuit.

        Use it if a clinic is gone or its key has changed. Calls in progress continue. A handle that is used afterwards
        requests a new token. With a token store, it takes the token that is stored there. Raises ConfigurationError.

        Args:
            credentials: The credentials that the clinic was read with.
        """
        kinds(credentials=(credentials, ClinicCredentials))
        scope = self._engine.clinics.forget(credentials)
        self._engine.paces.forget(scope, credentials, credentials.token_url)
        self._fetcher.forget(credentials)

    def stats(self) -> Stats:
        """Return a snapshot of the session: counters for each clinic, work in progress, and the use of the pool."""
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
        """Run `fetch` for many clinics at once; yield one Success or Failure for each clinic as it finishes.

        Each clinic runs in a copy of the caller's context. An ArzamedError becomes a Failure. Any other exception is a
        bug: it cancels the rest and propagates unchanged (a CancelledError that nobody requested as a RuntimeError).
        Raises ConfigurationError, SessionClosedError.

        Args:
            clinics: An iterable or async iterable of Clinic or ClinicCredentials. It is read lazily, at most `concurrency`
                items ahead of the outcomes that you have taken. A generator is closed at the end.
            fetch: A coroutine function that takes a Clinic.
            concurrency: The maximum number of clinics in progress at a time.
            deadline_seconds: The deadline of the whole fan-out. After it, clinics that are running or not yet started fail
                with DeadlineExceededError. None: no such deadline.
            on_progress: Called after each clinic with `(done, failed, total)`. `total` is None if `clinics` has no length.
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
        """Run `fan_out` to its end and return all outcomes in the order of `clinics`.

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
        """Read streams of many clinics at once; yield a Record for each record as it arrives.

        After its records, each clinic yields one completion item: Finished with their count, or Failure. So an
        incomplete list is never mistaken for a complete one. The other arguments are those of `fan_out`. Raises what
        `fan_out` raises.

        Args:
            open_stream: A function that takes a Clinic and returns a RecordStream or another async iterable. What it
                returns is closed at the end.
            buffer: The maximum number of records that are buffered, for all clinics together.
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
