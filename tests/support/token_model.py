"""The token cache as DESIGN.md has it, sentence by sentence: what a call and a request must do, seen from outside.

The model moves in the very steps in which the cache does (a request starts, a request ends, a call comes, a 401 is
told), and writes down what it expected beside what happened. The rules that judge stand in test_token_machine.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from attrs import define, field

from arzamed_async import (
    ArzamedError,
    ClinicCredentials,
    CredentialsRejectedError,
    TokenError,
    TokenPolicy,
    TokenUnavailableError,
)
from arzamed_async._concurrency.single_flight import SingleFlight
from arzamed_async._tokens.cache import CachedToken, TokenCache, TokenSource
from arzamed_async._tokens.oauth2 import IssuedToken

#: Small, so that sums with it are nearly exact.
WALL = 5000.0


class Bug(Exception):  # noqa: N818 - it is no error that anybody foresaw
    """What no fetch should raise."""


FAILURES: dict[str, type[Exception]] = {
    "rejected": CredentialsRejectedError,
    "unavailable": TokenUnavailableError,
    "other": TokenError,
    "bug": Bug,
}


class Clock:
    """Seconds that pass when the test says so: for the token's age, and for the event loop as well."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_ahead = 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        """The time of day, which runs on in a suspend and may be set."""
        return WALL + self.now + self.wall_ahead


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop that takes one turn at a time, under a clock of the test's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._test_clock = clock
        self.timers = self.deadlines = self.turns = 0
        self.complaints: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _loop, context: self.complaints.append(context))

    def time(self) -> float:
        return self._test_clock.now

    def call_at(self, *args: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **options)

    def turn(self) -> None:
        """Run what is ready now, and nothing that gets ready by it."""
        self.turns += 1
        self.call_soon(self.stop)
        self.run_forever()

    @property
    def resting(self) -> bool:
        """Whether nothing is ready, and no timer due."""
        due = any(timer.when() <= self.time() and not timer.cancelled() for timer in self._scheduled)
        return not self._ready and not due


@define(eq=False)
class Kept:
    """A token, and the moments that rule its use."""

    request: Request
    held: CachedToken | None  # the cache's own, known from the first call that gets it
    asked_at: float
    wall_ahead: float  # when it was requested
    life: float
    for_401: bool | None  # None: it was on its way already when the 401 came
    accepted: bool = False
    blocked: bool = False

    def moment(self, now: float, wall_ahead: float) -> float:
        """Return the time by the clock that has seen more of this token's life."""
        return now + max(0.0, wall_ahead - self.wall_ahead)

    @property
    def expires_at(self) -> float:
        return self.asked_at + self.life

    def wait_at(self, policy: TokenPolicy) -> float:
        return self.expires_at - min(policy.margin_seconds, self.life / 4)

    def refresh_at(self, policy: TokenPolicy, jitter: float) -> float:
        ahead = min(policy.refresh_ahead_seconds + jitter, self.life / 2)
        return min(self.wait_at(policy), self.expires_at - ahead)


@define(eq=False)
class Call:
    """One caller, and what became of it."""

    clinic: Clinic
    loop: SteppedLoop
    deadline: float | None
    task: asyncio.Task[None] | None = None
    came_at: float | None = None
    came_ahead: float = 0.0  # how far the wall clock was ahead then
    expected: str = ""  # "token", "failure" or "wait"
    kept: Kept | None = None  # the token that it should get
    failure: Request | None = None  # the one whose failure it should get
    immediate: CachedToken | None = None
    request: Request | None = None  # the first that it waited for
    requests_before: int = 0
    must_refresh: bool = False
    requests_after: int | None = None
    waits: bool = False
    cancelled_at: float | None = None
    ended_at: float | None = None
    ended_ahead: float = 0.0
    token: CachedToken | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.task is not None and self.task.done()

    def cancel(self) -> None:
        """Cancel it, if it is not done."""
        if self.task is not None and not self.task.done():
            self.cancelled_at = self.clinic.clock.now
            self.task.cancel()


@define(eq=False)
class Request:
    """One token request, as the endpoint sees it, and what was the case when it started."""

    clinic: Clinic
    number: int
    loop: SteppedLoop
    started_at: float
    started_ahead: float
    caller: Call | None
    others: int  # requests for the same clinic under way then
    failed: Request | None  # a failure that still had to be shared then
    kept: Kept | None  # the token there was then
    quiet_until: float
    task: asyncio.Task[Any] | None = None
    asked_at: float | None = None
    asked_ahead: float = 0.0
    slept: bool = False  # its first token expired on its way by the wall clock alone: it was sent again
    verdict: asyncio.Future[float | Exception] | None = None  # a lifetime, or what went wrong
    awaited: bool = False
    abandoned: bool = False  # its loop had stopped, and there is a newer one
    cancelled: bool = False
    ended_at: float | None = None
    ended_in_turn: int = 0
    outcome: Kept | Exception | None = None

    @property
    def live(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def out(self) -> bool:
        """Whether its answer may come now."""
        return self.live and self.verdict is not None and not self.verdict.done()

    def end(self, verdict: float | type[Exception] | str) -> None:
        """Have it end: with a token of that life, with such an error, or cancelled."""
        assert self.task is not None
        if isinstance(verdict, str):
            self.cancelled = True
            self.task.cancel()
            return
        assert self.verdict is not None
        if isinstance(verdict, float):
            self.verdict.set_result(verdict)
        else:
            facts = {} if verdict is Bug else {"description": f"request {self.number}"}
            self.verdict.set_result(verdict(**facts))


@define(eq=False)
class Clinic:
    """One clinic: the cache, and beside it the model."""

    policy: TokenPolicy
    clock: Clock
    credentials: ClinicCredentials
    cache: TokenCache = field(init=False)
    requests: list[Request] = field(factory=list)
    calls: list[Call] = field(factory=list)
    handed: list[CachedToken] = field(factory=list)
    errors: list[ArzamedError] = field(factory=list)
    kept: Kept | None = None
    failure: Request | None = None
    failure_until: float = 0.0
    quiet_until: float = 0.0
    refused_at: float | None = None  # a 401 has dropped the token; None again with the next one
    keep_until: float = 0.0
    replaced_at: list[float] = field(factory=list)  # tokens that the API rejected
    verdicts_401: list[tuple[str, bool | None, bool]] = field(factory=list)  # what, expected, told

    def __attrs_post_init__(self) -> None:
        self.cache = TokenCache(
            TokenSource(self._fetch, self.policy, self.clock, self.clock.wall, SingleFlight(self._spawn)),
            self.credentials,
        )

    # What the cache is made of.

    def _spawn(self, work: Coroutine[Any, Any, Any], /) -> asyncio.Task[Any]:
        loop = asyncio.get_running_loop()
        caller = next((call for call in self.calls if call.task is asyncio.current_task()), None)
        for earlier in self.requests:
            earlier.abandoned = True
        request = Request(
            self, len(self.requests) + 1, loop, self.clock.now, self.clock.wall_ahead, caller,
            others=sum(each.live for each in self.requests if each.loop is loop),
            failed=self.shared_failure(), kept=self.kept, quiet_until=self.quiet_until,
        )  # fmt: skip
        if caller is not None and caller.waits and self.usable() is None:
            request.awaited = True
            caller.request = caller.request or request
        request.task = loop.create_task(work)
        self.requests.append(request)
        return request.task

    async def _fetch(self, credentials: ClinicCredentials, *_: object) -> IssuedToken:
        assert credentials is self.credentials
        request = next(each for each in self.requests if each.task is asyncio.current_task())
        request.asked_at, request.asked_ahead = self.clock.now, self.clock.wall_ahead
        asked_at = (self.clock.now, self.clock.wall())
        request.verdict = asyncio.get_running_loop().create_future()
        verdict = await request.verdict
        if isinstance(verdict, float) and not request.slept:
            passed = self.clock.now - request.asked_at
            request.slept = passed < verdict <= passed + self.clock.wall_ahead - request.asked_ahead
            if request.slept:  # it is fetched again
                return IssuedToken(f"token-{request.number}", verdict, asked_at)
        request.ended_at, request.ended_in_turn = self.clock.now, request.loop.turns
        if isinstance(verdict, Exception):
            self._failed(request, verdict)
            raise verdict
        self._came(request, verdict)
        return IssuedToken(f"token-{request.number}", verdict, asked_at)

    def _came(self, request: Request, life: float) -> None:
        assert request.asked_at is not None
        for_401: bool | None = self.refused_at is not None
        if for_401 and request.started_at < (self.refused_at or 0):
            for_401 = None
        kept = Kept(request, None, request.asked_at, request.asked_ahead, life, for_401)
        if self.moment(kept) >= kept.expires_at:
            self._failed(request, TokenError("expired on its way"))
            return
        request.outcome = kept
        if not request.abandoned:
            self.kept, self.failure, self.quiet_until, self.refused_at = kept, None, 0.0, None

    def _failed(self, request: Request, error: Exception) -> None:
        request.outcome = error
        if request.abandoned:
            return
        self.quiet_until = self.clock.now + self.policy.refresh_retry_seconds
        if isinstance(error, CredentialsRejectedError):
            self.failure, self.failure_until = request, self.clock.now + max(1.0, self.policy.rejected_seconds)
        elif isinstance(error, ArzamedError) and request.awaited:
            self.failure, self.failure_until = request, self.clock.now + 1.0

    # What there is now.

    def shared_failure(self) -> Request | None:
        """Return the request whose failure is still shared."""
        return self.failure if self.clock.now < self.failure_until else None

    def usable(self) -> Kept | None:
        """Return the token that callers take without waiting."""
        kept = self.kept
        return kept if kept is not None and self.moment(kept) < kept.wait_at(self.policy) else None

    def moment(self, kept: Kept) -> float:
        """Return the time now by the clock that has seen more of this token's life."""
        return kept.moment(self.clock.now, self.clock.wall_ahead)

    def live(self, loop: SteppedLoop) -> Request | None:
        """Return the request under way on this loop."""
        return next((each for each in self.requests if each.live and each.loop is loop), None)

    # What callers do.

    async def call(self, call: Call) -> None:
        """Do what the engine does for one caller."""
        now = call.came_at = self.clock.now
        call.came_ahead = self.clock.wall_ahead
        call.requests_before = len(self.requests)
        call.kept, call.failure = self.usable(), self.shared_failure()
        live = self.live(call.loop)
        call.expected = "token" if call.kept else "failure" if call.failure else "wait"
        if call.kept is not None and live is None and call.failure is None:
            refresh_at = call.kept.refresh_at(self.policy, 0.0)
            call.must_refresh = now >= self.quiet_until and self.moment(call.kept) >= refresh_at
        try:
            async with asyncio.timeout(None if call.deadline is None else call.deadline - now):
                call.immediate = self.cache.current()
                call.requests_after = len(self.requests)
                if call.immediate is None:
                    call.waits = True
                    call.request = live
                    if live is not None and call.expected == "wait":
                        live.awaited = True
                call.token = call.immediate or await self.cache.get()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is is judged
            call.error = error
        call.waits = False
        call.ended_at, call.ended_ahead = self.clock.now, self.clock.wall_ahead
        if call.token is not None:
            self._handed(call.token)
        if isinstance(call.error, ArzamedError):
            self.errors.append(call.error)

    def _handed(self, held: CachedToken) -> None:
        if held in self.handed:
            return
        self.handed.append(held)
        for request in self.requests:
            if isinstance(request.outcome, Kept) and held.issued.access_token == f"token-{request.number}":
                request.outcome.held = held

    def kept_of(self, held: CachedToken) -> Kept:
        """Return what the model knows of a token that was handed out."""
        return next(
            each.outcome for each in self.requests if isinstance(each.outcome, Kept) and each.outcome.held is held
        )

    def note_waiters(self) -> None:
        """See who waits for a second request, since the token of the first had expired when it woke."""
        for call in self.calls:
            first = call.request
            if call.waits and first is not None and first.ended_at is not None:
                live = self.live(call.loop)
                if live is not None and first.ended_in_turn < call.loop.turns:
                    live.awaited = True

    def reject(self, held: CachedToken) -> None:
        """Tell of a 401 for a token that was handed out."""
        kept, now = self.kept_of(held), self.clock.now
        requests = len(self.requests)
        told = self.cache.reject(held)
        assert len(self.requests) == requests, "a 401 by itself asks for nothing"
        if kept is not self.kept:
            self.verdicts_401.append(("old", True, told))
        elif now < self.keep_until:
            self.verdicts_401.append(("kept", False, told))
        elif kept.for_401 is not False and not kept.accepted and not kept.blocked and not told:
            self.verdicts_401.append(("blocked", False, told))
            kept.blocked = True
            self.keep_until = now + self.policy.rejected_seconds
        else:
            ordinary = kept.accepted or kept.blocked or (None if kept.for_401 is None else not kept.for_401)
            self.verdicts_401.append(("replaced", ordinary, told))
            if self.replaced_at and now < self.replaced_at[-1] + self.policy.rejected_seconds:
                self.keep_until = self.replaced_at[-1] + self.policy.rejected_seconds
            self.replaced_at.append(now)
            self.kept, self.refused_at = None, now

    def accept(self, held: CachedToken) -> None:
        """Tell of a success with a token that was handed out."""
        held.accept()
        self.kept_of(held).accepted = True
