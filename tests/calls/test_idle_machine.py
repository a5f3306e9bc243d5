"""Calls, handles, drops, expiry, failures and forgetting in any order: one state for a clinic, one request for a token."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.tokens import Clock

from arzamed_async import ClinicCredentials, TokenPolicy, TokenUnavailableError
from arzamed_async._calls import clinics
from arzamed_async._calls.clinics import ClinicRegistry, ClinicState
from arzamed_async._tokens.cache import TokenSource
from arzamed_async._tokens.oauth2 import IssuedToken

CLINICS = [ClinicCredentials(f"n{n}", "invented", "https://auth.invented.example/token") for n in range(3)]
LIFE = 1000.0
clinic = st.integers(0, len(CLINICS) - 1)


class IdleClinics(RuleBasedStateMachine):
    """A registry that keeps two idle clinics, and a model: until when each has a token, or a pause."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        policy = TokenPolicy(margin_seconds=0, refresh_ahead_seconds=0, jitter_seconds=0)
        source = TokenSource(self.fetch, policy, self.clock, self.clock.wall)
        with mock.patch.object(clinics, "MOST_IDLE", 2):
            self.registry = ClinicRegistry(source, None, 1)
        self.held: dict[int, list[ClinicState]] = {n: [] for n in range(len(CLINICS))}
        self.requests = [0] * len(CLINICS)
        self.under_way = [0] * len(CLINICS)
        self.good_until = [0.0] * len(CLINICS)
        self.paused_until = [0.0] * len(CLINICS)
        self.pause = 0.0
        self.gate: asyncio.Event | None = None
        self.waiting: list[asyncio.Task[object]] = []
        self.others = 0
        self.faults: list[str] = []

    def run(self, work: Callable[[], object]) -> None:
        """Run this in the event loop, and what becomes ready by it."""

        async def main() -> None:
            work()
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(main())

    async def fetch(self, credentials: ClinicCredentials, *_: object) -> IssuedToken:
        number = CLINICS.index(credentials)
        self.requests[number] += 1
        self.under_way[number] += 1
        if self.under_way[number] > 1:
            self.faults.append("two requests at once")
        if self.clock() < max(self.good_until[number], self.paused_until[number]):
            self.faults.append("a request too many")
        at, pause = (self.clock(), self.clock.wall()), self.pause
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.under_way[number] -= 1
        if pause:
            self.paused_until[number] = self.clock() + pause
            raise TokenUnavailableError("paused", status=429, retry_after_seconds=pause)
        self.good_until[number] = at[0] + LIFE
        return IssuedToken(f"token-{number}-{self.requests[number]}", LIFE, at)

    async def get(self, state: ClinicState) -> None:
        with contextlib.suppress(TokenUnavailableError):
            await state.tokens.get()

    @rule(number=clinic)
    def hold(self, number: int) -> None:
        """Somebody keeps a handle: all who have one for this clinic have the same state."""
        self.run(lambda: self.held[number].append(self.registry.make(CLINICS[number])))
        assert len({id(state) for state in self.held[number]}) == 1

    @rule(number=clinic)
    def let_go(self, number: int) -> None:
        """Nobody has a handle any more."""
        self.held[number].clear()

    @rule(number=clinic, callers=st.integers(1, 3))
    def call(self, number: int, callers: int) -> None:
        """Calls through new handles, and those that are kept."""

        def start() -> None:
            states = [self.registry.make(CLINICS[number]) for _ in range(callers)] + self.held[number][:1]
            for state in states:
                self.waiting.append(self.loop.create_task(self.get(state)))

        self.run(start)

    @rule(gated=st.booleans())
    def set_gate(self, gated: bool) -> None:
        """The requests under way come to their end; later ones wait, or not."""
        self.run(self.gate.set if self.gate is not None else lambda: None)
        self.gate = asyncio.Event() if gated else None

    @rule()
    def leave(self) -> None:
        """All callers that wait are cancelled; what they wait for goes on."""
        self.run(lambda: [task.cancel() for task in self.waiting])
        self.waiting.clear()
        gc.collect(1)  # a cancelled call may be garbage in a cycle

    @rule(seconds=st.sampled_from([1.0, LIFE / 2, LIFE, 30_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.0, 60.0, 5_000.0]))
    def set_pause(self, seconds: float) -> None:
        """The endpoint refuses from now on with this Retry-After, or no longer."""
        self.pause = seconds

    @rule(number=st.integers(1, 12))
    def see_others(self, number: int) -> None:
        """Other clinics come: what is idle is dropped."""

        def come() -> None:
            for _ in range(number):
                self.others += 1
                self.registry.make(
                    ClinicCredentials(f"other{self.others}", "invented", "https://auth.invented.example/token")
                )

        self.run(come)

    @rule(number=clinic)
    def forget(self, number: int) -> None:
        """The clinic starts again, unless its request is under way."""
        if not self.under_way[number]:
            self.registry.forget(CLINICS[number])
            self.held[number].clear()
            self.good_until[number] = self.paused_until[number] = 0.0

    @invariant()
    def no_request_is_too_many(self) -> None:
        """One at a time, and none while there is a token or a pause."""
        assert not self.faults

    @invariant()
    def few_are_kept(self) -> None:
        """Of idle clinics no more are kept than the limit, and what each look may leave."""
        assert len(list(self.registry)) <= 2 + 2 * len(CLINICS) + 1

    def teardown(self) -> None:
        self.gate, gate = None, self.gate
        self.run(gate.set if gate is not None else lambda: None)
        self.run(lambda: [task.cancel() for task in self.waiting])
        self.loop.close()


IdleClinics.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestIdleClinics = IdleClinics.TestCase
