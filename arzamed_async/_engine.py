"""What the handles of one session share: pool, tokens, policies, observers, and whether it is closed."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import warnings
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from attrs import Factory, field, frozen

from ._checks import kinds
from ._protocol import SentSecret
from ._retry import Retrier
from ._scope import Scope
from ._token_request import TokenRequest
from ._tokens import FetchedGrant, TokenCache
from ._answers import Answer
from ._transport import Transport
from .config import Endpoints, Limits, RetryPolicy, Timeouts, TokenPolicy
from .credentials import ClinicCredentials
from .errors import ArzamedError, ConfigurationError, DeadlineExceededError, SessionClosedError
from .events import Event, UnknownField
from .models import Token
from .protocols import Observer

__all__ = ["ClinicState", "Engine", "Options"]

R = TypeVar("R")

#: A key may be anything, a person's name too: only what looks like a field's name is told, and not without end.
_FIELD_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
MOST_UNKNOWN_FIELDS = 64
MOST_ENDPOINTS_WATCHED = 256

logger = logging.getLogger("arzamed_async")


def _retrier(options: Options) -> Retrier:
    kinds((options.retry, RetryPolicy), (options.timeouts, Timeouts), (options.limits, Limits))
    return Retrier(options.retry)


@frozen
class Options:
    """The policies one handle's calls run under."""

    retry: RetryPolicy
    timeouts: Timeouts
    limits: Limits
    retrier: Retrier = field(init=False, eq=False, repr=False, default=Factory(_retrier, takes_self=True))


class ClinicState:
    """What all handles of equal credentials share."""

    __slots__ = ("credentials", "sent", "tokens")

    def __init__(self, credentials: ClinicCredentials, tokens: TokenCache) -> None:
        self.credentials = credentials
        self.tokens = tokens
        self.sent: SentSecret | None = None  # to be masked in whatever the API says


class Engine:
    """Everything the handles of one session share: pool, tokens, policies, observers, and whether it is closed."""

    def __init__(
        self,
        *,
        base_url: str,
        options: Options,
        tokens: TokenPolicy,
        endpoints: Endpoints,
        observers: Sequence[Observer],
        transport: Transport,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.base_url = base_url
        self.options = options
        self.endpoints = endpoints
        self.observers = tuple(observers)
        self.transport = transport
        self.clock = clock
        self.wall_clock = wall_clock
        self.closed = False
        self._token_policy = tokens
        self._clinics: dict[ClinicCredentials, ClinicState] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scopes: set[Scope] = set()
        self._open_answers: set[Answer] = set()
        self._warned: set[str] = set()
        self._unknown: dict[str, set[str]] = {}

    def clinic(self, credentials: ClinicCredentials) -> ClinicState:
        """Return the state of this clinic, the same for equal credentials."""
        state = self._clinics.get(credentials)
        if state is None:

            async def fetch() -> FetchedGrant:
                return await self._fetch_token(made)

            made = state = ClinicState(credentials, TokenCache(fetch, self._token_policy, self.clock))
            self._clinics[credentials] = state
        return state

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
        self._scopes.clear()
        self._open_answers.clear()
        self.transport.leave_loop()

    def scope(self, seconds: float, clinic: str = "", read_seconds: float = math.inf) -> Scope:
        """Return a guard for work of the current task: it ends in so many seconds, or with the session."""
        loop = self.enter(clinic)
        return Scope(loop, self._scopes, loop.time() + seconds, read_seconds)

    async def token(self, state: ClinicState, name: str, timeouts: Timeouts) -> Token:
        """Return the clinic's token; wait for one no longer than the deadline."""
        self.enter(name)
        held = state.tokens.current()
        if held is not None:
            return held.token
        scope = self.scope(timeouts.total_seconds)
        with scope:
            return (await named(name, state.tokens.get())).token
        if scope.ended == "closed":
            raise SessionClosedError(clinic=name)
        raise DeadlineExceededError(seconds=timeouts.total_seconds, last="no token yet", clinic=name)

    async def _fetch_token(self, state: ClinicState) -> FetchedGrant:
        """Ask the token endpoint, under the session's own retries and timeouts: it may serve many callers."""
        timeouts = self.options.timeouts
        scope = self.scope(timeouts.total_seconds, read_seconds=timeouts.read_seconds)
        request = TokenRequest(
            state.credentials,
            self.transport,
            self.options.retry,
            timeouts,
            scope,
            self.clock,
            self.wall_clock,
            self.emit,
        )
        with scope:
            fetched = await self.options.retrier.run(request)
            state.sent = request.sent
            return fetched
        if scope.ended == "closed":
            raise SessionClosedError(clinic=state.credentials.display_name)
        raise request.cut_short(timeouts.total_seconds)

    def emit(self, event: Event) -> None:
        """Tell every observer; one that raises is named in the log and disturbs nothing."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 - whatever an observer does, the call goes on
                kind = type(error).__name__
            else:
                continue
            logger.error("an observer raised %s for %s", kind, type(event).__name__)

    def note_unknown(self, clinic: str, path: str, fields: Iterable[str]) -> None:
        """Tell observers of fields that an endpoint's class does not know, each once."""
        if path not in self._unknown and len(self._unknown) >= MOST_ENDPOINTS_WATCHED:
            return
        told = self._unknown.setdefault(path, set())
        for name in fields:
            if name not in told and len(told) < MOST_UNKNOWN_FIELDS and _FIELD_NAME.fullmatch(name):
                told.add(name)
                self.emit(UnknownField(clinic=clinic, path=path, field=name))

    def warn_once(self, key: str, text: str, category: type[Warning], stacklevel: int) -> None:
        """Warn of something once in the life of the session."""
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(text, category, stacklevel=stacklevel + 1)

    def keep(self, answer: Answer) -> None:
        """Remember an answer that stays open between two awaits, to be closed with the session."""
        self._open_answers.add(answer)

    def drop(self, answer: Answer) -> None:
        """Close such an answer."""
        self._open_answers.discard(answer)
        answer.close()

    async def aclose(self) -> None:
        """End calls in flight with SessionClosedError, cancel token requests, close the pool. Twice is fine."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            if self._loop.is_running():
                raise ConfigurationError("close this ArzamedSession on the event loop that is using it")
            self._bind(loop)  # what the old loop has left belongs to nobody
        self.closed = True
        for scope in tuple(self._scopes):
            scope.end("closed")
        flights = [flight for state in self._clinics.values() if (flight := state.tokens.cancel())]
        self._clinics.clear()
        for answer in tuple(self._open_answers):
            self.drop(answer)
        try:
            if flights:
                await asyncio.wait(flights)
        finally:
            await self.transport.close()


async def named(clinic: str, work: Awaitable[R]) -> R:
    """Return the outcome of the token cache's work; its error, shared with others, gets this handle's name."""
    try:
        return await work
    except ArzamedError as error:
        error.clinic = clinic
        raise
