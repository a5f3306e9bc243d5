"""What tests of tokens share: a clock, and a fetch that a test directs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from arzamed_async import ArzamedError, ClinicCredentials, TokenPolicy
from arzamed_async._tokens.oauth2 import IssuedToken

CREDENTIALS = ClinicCredentials("id", "invented", "https://auth.invented.example/token")
POLICY = TokenPolicy(jitter_seconds=0)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_ahead = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def wall(self) -> float:
        """The time of day, which runs on in a suspend and may be set."""
        return 1_700_000_000.0 + self.now + self.wall_ahead

    def set_wall(self, seconds: float) -> None:
        """Move the time of day alone: by a suspend, or by hand."""
        self.wall_ahead += seconds


class Endpoint:
    """A fetch that counts, and that waits, fails or lives as the test says."""

    def __init__(self, clock: Clock, life: float = 3600.0) -> None:
        self.clock = clock
        self.life = life
        self.calls = 0
        self.gate: asyncio.Event | None = None
        self.error: Callable[[], ArzamedError] | None = None
        self.concurrent = self.most_concurrent = 0

    async def __call__(self, credentials: ClinicCredentials, *_: object) -> IssuedToken:
        assert credentials is CREDENTIALS
        self.calls += 1
        number = self.calls
        asked_at = (self.clock(), self.clock.wall())
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)
            if self.error is not None:
                raise self.error()
        finally:
            self.concurrent -= 1
        return IssuedToken(f"token-{number}", self.life, asked_at)
