"""A simulated API: limits of several kinds, outages and noise, and the requests that it was sent."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

__all__ = ["Bucket", "Concurrency", "FixedWindow", "Outage", "Server", "SlidingWindow"]

ACCEPTED_SECONDS = 0.015, 0.025
REFUSED_SECONDS = 0.002


class Bucket:
    """A number of requests a second, and `burst` at once: nginx's limit_req, most gateways."""

    def __init__(self, rate: float | Callable[[float], float], burst: float) -> None:
        self._rate = rate if callable(rate) else lambda _now: rate
        self._burst = self._tokens = burst
        self._at = 0.0

    def admit(self, now: float) -> bool:
        while self._at < now:  # in steps, for rates that change
            until = min(now, self._at + 0.05)
            self._tokens = min(self._burst, self._tokens + (until - self._at) * self._rate(self._at))
            self._at = until
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True


class FixedWindow:
    """A number of requests in each window of time."""

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests, self._seconds = requests, seconds
        self._window, self._used = -1, 0

    def admit(self, now: float) -> bool:
        window = int(now / self._seconds + 1e-9)
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used <= self._requests


class SlidingWindow:
    """A number of requests in any window of time."""

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests, self._seconds = requests, seconds
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        while self._admitted and self._admitted[0] <= now - self._seconds:
            self._admitted.popleft()
        if len(self._admitted) >= self._requests:
            return False
        self._admitted.append(now)
        return True


class Concurrency:
    """A number of requests at once."""

    def __init__(self, requests: int) -> None:
        self.free = requests

    def admit(self, now: float) -> bool:
        return self.free > 0


class Outage:
    """Nothing is admitted between two moments."""

    def __init__(self, start: float, end: float) -> None:
        self._start, self._end = start, end

    def admit(self, now: float) -> bool:
        return not self._start <= now < self._end


class Server:
    """The API. `exhausted` are clinics that are refused for ever; `of_clinics` limits of one clinic each."""

    def __init__(
        self,
        lots: random.Random,
        *,
        status: int = 429,
        retry_after: float | None = None,
        limits: tuple[Bucket | FixedWindow | SlidingWindow | Concurrency, ...] = (),
        outages: tuple[Outage, ...] = (),
        noise: float = 0.0,
        exhausted: Callable[[int], bool] = lambda clinic: False,
        of_clinics: Callable[[int], Bucket | None] = lambda clinic: None,
        hanging: Callable[[int], float] = lambda clinic: 0.0,
        spread: tuple[float, float] = ACCEPTED_SECONDS,
        network: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._lots = lots
        self._status, self._retry_after = status, retry_after
        self._limits, self._outages = limits, outages
        self._noise, self._exhausted, self._of_clinics, self._hanging = noise, exhausted, of_clinics, hanging
        self._spread, self._network = spread, network
        self.began = 0.0  # by the loop's time: limits and outages count from here
        self.sent = self.refused = 0
        self.log: list[tuple[float, bool]] = []

    async def request(self, clinic: int) -> tuple[int, float | None]:
        """Return a status and a Retry-After."""
        await self._transit()
        now = asyncio.get_running_loop().time() - self.began
        refusal = self._verdict(clinic, now)
        self.sent += 1
        self.refused += refusal is not None
        self.log.append((now, refusal is None))
        if refusal is not None:
            await asyncio.sleep(REFUSED_SECONDS)
            await self._transit()
            return refusal
        concurrent = [limit for limit in self._limits if isinstance(limit, Concurrency)]
        for limit in concurrent:
            limit.free -= 1
        try:
            await asyncio.sleep(self._lots.uniform(*self._spread) + self._hanging(clinic))
        finally:
            for limit in concurrent:
                limit.free += 1
        await self._transit()
        return 200, None

    async def _transit(self) -> None:
        if self._network != (0.0, 0.0):
            await asyncio.sleep(self._lots.uniform(*self._network))

    def _verdict(self, clinic: int, now: float) -> tuple[int, float | None] | None:
        if not all(outage.admit(now) for outage in self._outages) or self._lots.random() < self._noise:
            return 503, None
        of_clinic = self._of_clinics(clinic)
        if self._exhausted(clinic) or (of_clinic is not None and not of_clinic.admit(now)):
            return 429, self._retry_after
        if not all(limit.admit(now) for limit in self._limits):
            return self._status, self._retry_after
        return None
