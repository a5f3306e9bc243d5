"""Three clients of the simulated API: today's retries, botocore's adaptive mode, and pacing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from servers.simulated import Server

from arzamed_async._resilience.clinic_scope import ClinicScope
from arzamed_async._resilience.origin_scope import OriginScope
from arzamed_async._resilience.pacing import NoTurnError, Pacing

__all__ = ["Botocore", "Client", "Paced", "Retrying"]

DEADLINE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.1


class Client:
    """Retries with full jitter and a budget, as RetryPolicy() has them; a fan-out with 64 workers."""

    def __init__(self, server: Server, lots: random.Random) -> None:
        self.server = server
        self.lots = lots
        self.in_hand = 100.0
        self.owed: dict[int, float] = {}
        self.requests = 0
        self.turned_away = 0

    async def fan_out(self, clinics: list[int], fetch: Callable[[int], Awaitable[None]], workers: int = 64) -> None:
        left = iter(clinics)

        async def work() -> None:
            for clinic in left:
                await fetch(clinic)
                await self.room()

        await asyncio.gather(*[work() for _ in range(workers)])

    async def room(self) -> None:
        """A worker may draw the next clinic."""

    async def call(self, clinic: int) -> bool:
        """Return whether the call was served."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._call(clinic, asyncio.get_running_loop().time() + DEADLINE_SECONDS)
        except (TimeoutError, NoTurnError) as error:
            self.turned_away += isinstance(error, NoTurnError)
            return False

    async def _call(self, clinic: int, deadline: float) -> bool:
        for attempt in range(4):
            status, retry_after = await self.attempt(clinic, deadline)
            if status == 200:
                self._succeeded(clinic, retried=attempt > 0)
                return True
            if attempt == 3 or not self._spend(clinic) or (retry_after or 0) > 20:
                return False
            backoff = self.lots.uniform(0, min(8.0, 0.25 * 2**attempt))
            await asyncio.sleep(backoff if retry_after is None else retry_after)
        return False

    async def attempt(self, clinic: int, deadline: float) -> tuple[int, float | None]:
        self.requests += 1
        return await self.server.request(clinic)

    def _spend(self, clinic: int) -> bool:
        if self.in_hand < 1 or self.owed.get(clinic, 0) + 1 > 25:
            return False
        self.in_hand -= 1
        self.owed[clinic] = self.owed.get(clinic, 0) + 1
        return True

    def _succeeded(self, clinic: int, *, retried: bool) -> None:
        paid = 1.0 if retried else 0.1
        self.in_hand = min(100.0, self.in_hand + paid)
        self.owed[clinic] = max(0.0, self.owed.get(clinic, 0) - paid)


class Retrying(Client):
    """Retries alone."""


class Paced(Client):
    """Pacing, and the same retries for what it leaves to them."""

    def __init__(self, server: Server, lots: random.Random, known_rate: float | None = None) -> None:
        super().__init__(server, lots)
        self.changes: list[tuple[float, object, float | None, str]] = []
        self.origin = OriginScope(known_rate=known_rate, changed=self._changed)
        self.pacing = Pacing(self.origin, lots)
        self.clinics: dict[int, ClinicScope] = {}

    def _changed(self, clinic: ClinicScope | None, rate: float | None, why: str) -> None:
        self.changes.append((asyncio.get_running_loop().time(), clinic and clinic.name, rate, why))

    async def room(self) -> None:
        while self.pacing.crowded():  # noqa: ASYNC110 - as the lanes of a fan-out do
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def attempt(self, clinic: int, deadline: float) -> tuple[int, float | None]:
        scope = self.clinics.get(clinic)
        if scope is None:
            scope = self.clinics[clinic] = ClinicScope(str(clinic))
        status = 0
        retry_after: float | None = None
        while True:
            in_turn = self.origin.active
            if in_turn and not await self.pacing.turn(scope, deadline, status):
                return status, retry_after
            sent = self.origin.start_in_turn(scope) if in_turn else self.origin.start(scope)
            self.requests += 1
            try:
                status, retry_after = await self.server.request(clinic)
            except BaseException:
                self.origin.lost(scope, sent)
                raise
            now = asyncio.get_running_loop().time()
            if status == 200:
                self.pacing.accepted(scope, sent, now)
                return status, None
            if not self.pacing.refused(scope, sent, status, retry_after, now):
                return status, retry_after


class Botocore(Client):
    """The published rules of botocore's adaptive mode: one bucket a client, CUBIC, three attempts, 500 retries in hand."""

    def __init__(self, server: Server, lots: random.Random) -> None:
        super().__init__(server, lots)
        self.quota = 500
        self.enabled = False
        self.rate = 0.0
        self.tokens = 0.0
        self.capacity = 1.0
        self.at = 0.0
        self.last_max_rate = 0.0
        self.last_throttled = 0.0
        self.measured = 0.0
        self.counted = 0
        self.counted_from = 0.0
        self._lock: asyncio.Lock | None = None

    async def _call(self, clinic: int, deadline: float) -> bool:
        for attempt in range(3):
            status, _ = await self.attempt(clinic, deadline)
            if status == 200:
                self.quota = min(500, self.quota + (5 if attempt else 1))
                return True
            if attempt == 2 or self.quota < 5:
                return False
            self.quota -= 5
            await asyncio.sleep(self.lots.random() * min(20.0, 2.0**attempt))
        return False

    async def attempt(self, clinic: int, deadline: float) -> tuple[int, float | None]:
        loop = asyncio.get_running_loop()
        if self._lock is None:
            self._lock = asyncio.Lock()
        if self.enabled:
            async with self._lock:
                self._refill(loop.time())
                while self.tokens < 1:
                    await asyncio.sleep((1 - self.tokens) / self.rate + 1e-6)
                    self._refill(loop.time())
                self.tokens -= 1
        self.requests += 1
        status, retry_after = await self.server.request(clinic)
        self._measure(loop.time())
        self._update(loop.time(), throttled=status in {429, 503})
        return status, retry_after

    def _refill(self, now: float) -> None:
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def _measure(self, now: float) -> None:
        bucket = int(now * 2) / 2
        self.counted += 1
        if bucket > self.counted_from:
            self.measured = 0.8 * self.counted / (bucket - self.counted_from) + 0.2 * self.measured
            self.counted, self.counted_from = 0, bucket

    def _update(self, now: float, *, throttled: bool) -> None:
        if throttled:
            used = min(self.measured, self.rate) if self.enabled else self.measured
            self.last_max_rate = used
            self.last_throttled = now
            rate = used * 0.7
            self.enabled = True
        else:
            inflection = (self.last_max_rate * 0.3 / 0.4) ** (1 / 3)
            rate = 0.4 * (now - self.last_throttled - inflection) ** 3 + self.last_max_rate
        self._refill(now)
        self.rate = max(min(rate, 2 * self.measured), 0.5)
        self.capacity = max(self.rate, 1)
        self.tokens = min(self.tokens, self.capacity)
