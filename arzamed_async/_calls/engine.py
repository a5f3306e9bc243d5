"""What the handles of one session share: pool, clinics, policies, observers, and whether it is closed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from attrs import frozen

from .._concurrency.cancel_scope import Scope, Scopes
from .._concurrency.single_flight import Reads
from .._http.response import Answer
from .._http.transport import Transport
from .._resilience.budget import Quota
from .._resilience.retry import Retries, retry
from .._telemetry import TOKEN_PATH, Notices, Trace, origin
from .._tokens.cache import FetchedGrant, HeldToken, Known, TokenSource
from .._tokens.request import TokenRequest
from .._tokens.shared import SharedTokens
from .._validation import kinds
from ..config import BreakerPolicy, Endpoints, Limits, PoolLimits, RetryPolicy, Timeouts, TokenPolicy
from ..credentials import ClinicCredentials
from ..errors import ArzamedError, ConfigurationError, DeadlineExceededError, SessionClosedError
from ..events import Work, WorkKind
from ..models import PoolStats, Stats, Token
from ..token_store import TokenStore
from .clinics import Clinics, ClinicState

__all__ = ["Engine", "Options"]

R = TypeVar("R")


@frozen
class Options:
    """The policies one handle's calls run under."""

    retry: RetryPolicy
    timeouts: Timeouts
    limits: Limits

    def __attrs_post_init__(self) -> None:
        kinds((self.retry, RetryPolicy), (self.timeouts, Timeouts), (self.limits, Limits))


class Engine:
    """Everything the handles of one session share. One event loop at a time; tokens survive the change of loops."""

    def __init__(
        self,
        *,
        base_url: str,
        options: Options,
        pool: PoolLimits,
        tokens: TokenPolicy,
        breaker: BreakerPolicy | None,
        coalesce: bool,
        endpoints: Endpoints,
        notices: Notices,
        transport: Transport,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        token_store: TokenStore | None,
    ) -> None:
        self.base_url = base_url
        self.options = options
        self.endpoints = endpoints
        self.notices = notices
        self.transport = transport
        self.clock = clock
        self.wall_clock = wall_clock
        self.closed = False
        self.quota = Quota(options.retry.budget)
        source = TokenSource(self._fetch_token, tokens, clock)
        self.clinics = Clinics(source, breaker, pool.connections_per_clinic)
        self.reads = Reads(self.spawn) if coalesce else None
        self._shared = None if token_store is None else SharedTokens(token_store, tokens, (clock, wall_clock), notices)
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scopes: Scopes | None = None
        self._open_answers: set[Answer] = set()
        self._tasks: set[asyncio.Task[Any]] = set()  # shared reads

    def live(self, state: ClinicState) -> ClinicState:
        """Return the state for the next call: this one, or a new one if the clinic was forgotten meanwhile."""
        return self.clinics.make(state.credentials) if state.forgotten else state

    def enter(self, clinic: str = "") -> asyncio.AbstractEventLoop:
        """Return the running loop, now the one this session belongs to.

        Raises SessionClosedError, and ConfigurationError where another loop that runs has it already.
        """
        if self.closed:
            raise SessionClosedError(clinic=clinic)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        return loop

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop.is_running():
            raise ConfigurationError(
                "this ArzamedSession is in use by another event loop that is running: make one session for each loop"
            )
        self._loop = loop
        self._scopes = Scopes(loop)
        self._open_answers.clear()
        self._tasks.clear()
        self.clinics.leave_loop()
        if self.reads is not None:
            self.reads = Reads(self.spawn)
        self.transport.leave_loop()

    def scope(
        self, seconds: float, clinic: str = "", read_seconds: float = math.inf, *, spawned: bool = False
    ) -> Scope:
        """Return a guard for work of the current task: it ends in so many seconds, or with the session."""
        loop = self.enter(clinic)
        assert self._scopes is not None
        return Scope(self._scopes, loop.time() + seconds, read_seconds, spawned=spawned)

    def spawn(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """Start a task that belongs to the session: its aclose cancels it, and waits for its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def token(self, state: ClinicState, name: str, timeouts: Timeouts) -> Token:
        """Return the clinic's token; wait for one no longer than the deadline."""
        self.enter(name)
        held = state.tokens.current()
        if held is not None:
            return held.token
        scope = self.scope(timeouts.total_seconds)
        try:
            with scope:
                return (await named(name, self.new_token(state, name))).token
            if scope.ended == "closed":
                raise SessionClosedError(clinic=name)
            raise DeadlineExceededError(seconds=timeouts.total_seconds, last_failure="no token yet", clinic=name)
        except ArzamedError:
            state.failures += 1
            raise

    def new_token(self, state: ClinicState, name: str, trace: Trace | None = None) -> Awaitable[HeldToken]:
        """Wait for a token, as a part of the work of `trace`."""
        return self._traced_wait(state, name, trace) if self.notices.tracers else state.tokens.get()

    async def _traced_wait(self, state: ClinicState, name: str, trace: Trace | None) -> HeldToken:
        with Trace(self.notices, _token_work("token_wait", state.credentials, name), trace):
            return await state.tokens.get()

    async def _fetch_token(self, credentials: ClinicCredentials, known: Known | None) -> FetchedGrant:
        """Get a token, under the session's own retries and timeouts: it may serve many callers."""
        if not self.notices.tracers:
            return await self._fetch(credentials, known, None)
        with Trace(self.notices, _token_work("token", credentials, credentials.display_name)) as trace:
            return await self._fetch(credentials, known, trace)

    async def _fetch(self, credentials: ClinicCredentials, known: Known | None, trace: Trace | None) -> FetchedGrant:
        options = self.options
        timeouts = options.timeouts
        name = credentials.display_name
        scope = self.scope(timeouts.total_seconds, name, timeouts.read_seconds, spawned=True)
        request = TokenRequest(credentials, self.transport, options.retry, timeouts, scope, self.notices)
        request.clocks = self.clock, self.wall_clock
        request.counted = self.clinics.get(credentials)
        request.trace = trace

        async def ask() -> FetchedGrant:
            try:
                return await request.attempt()
            except ArzamedError as error:
                failure = error
            return await retry(request.attempt, failure, request, Retries(options.retry))

        with scope:
            return await (
                ask() if self._shared is None else self._shared.fetch(credentials, known, ask, scope.deadline)
            )
        if scope.ended == "closed":
            raise SessionClosedError(clinic=name)
        raise request.cut_short(timeouts.total_seconds)

    def keep(self, answer: Answer) -> None:
        """Remember an answer that stays open between two awaits, to be closed with the session."""
        self._open_answers.add(answer)

    def drop(self, answer: Answer) -> None:
        """Close such an answer."""
        self._open_answers.discard(answer)
        answer.close()

    def stats(self) -> Stats:
        """Return a snapshot."""
        in_use, opened, queued = self.transport.use()
        pool = PoolStats(connections=self._pool.connections, in_use=in_use, open=opened, queued=queued)
        return Stats(clinics=self.clinics.stats(), pool=pool, retry_budget_remaining=self.quota.in_hand)

    async def aclose(self) -> None:
        """End calls in flight with SessionClosedError, cancel token requests, close the pool. Twice is fine."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            if self._loop.is_running():
                raise ConfigurationError("close this ArzamedSession on the event loop that is using it")
            self._bind(loop)  # what the old loop has left belongs to nobody
        self.closed = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if self._scopes is not None:
            tasks |= {scope.task for scope in self._scopes if scope.spawned}  # token requests
            self._scopes.end()
        self.clinics.clear()
        for answer in tuple(self._open_answers):
            self.drop(answer)
        try:
            if tasks:
                await asyncio.wait(tasks)
            if self._shared is not None:
                await self._shared.settled()
        finally:
            await self.transport.close()


def _token_work(kind: WorkKind, credentials: ClinicCredentials, name: str) -> Work:
    return Work(kind=kind, clinic=name, method="POST", path=TOKEN_PATH, base_url=origin(credentials.token_url))


async def named(clinic: str, work: Awaitable[R]) -> R:
    """Return the outcome of the token cache's work; its error, shared with others, gets this handle's name."""
    try:
        return await work
    except ArzamedError as error:
        error.clinic = clinic
        raise
