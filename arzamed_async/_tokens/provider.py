"""Gives a caller the clinic's token: the cached one, or a new one, within the caller's own deadline."""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import urlsplit

from .._concurrency.lifetime import Lifetime
from .._spans import Spans, token_work
from .._telemetry import Observers, caused_by, current_call_id, new_call_id
from ..config import Timeouts
from ..credentials import ClinicCredentials
from ..errors import ArzamedError, DeadlineExceededError, SessionClosedError
from .cache import CachedToken, TokenCache

__all__ = ["TokenProvider", "waiting_for_token"]


def waiting_for_token(credentials: ClinicCredentials) -> str:
    """Return the phase of a call that waits for a token, for the error if its deadline passes."""
    return f"waiting for a token from {urlsplit(credentials.token_url).netloc}"


class TokenProvider:
    """Waits for tokens on behalf of the callers of one session."""

    def __init__(self, lifetime: Lifetime, observers: Observers) -> None:
        self._lifetime = lifetime
        self._observers = observers

    async def wait(self, cache: TokenCache, name: str, timeouts: Timeouts) -> CachedToken:
        """Wait for a token for `clinic.token()`, which has a deadline of its own. Raises as a call does."""
        scope, call_id = self._lifetime.scope(timeouts.total_seconds), new_call_id()
        host = urlsplit(cache.credentials.token_url).netloc
        try:
            with scope, caused_by(call_id):
                scope.set_phase(waiting_for_token(cache.credentials))
                return await self.new_token(cache, name)
        except ArzamedError as error:
            error.clinic = name  # the failure is shared with other handles, each under its own name
            error.host, error.call_id = host, call_id
            raise
        if scope.cancelled_by == "closed":
            raise SessionClosedError(clinic=name, host=host, call_id=call_id)
        raise DeadlineExceededError(
            seconds=timeouts.total_seconds, phase=scope.phase, clinic=name, host=host, call_id=call_id
        )

    def new_token(self, cache: TokenCache, name: str, spans: Spans | None = None) -> Awaitable[CachedToken]:
        """Wait for a token; the span of the wait is a child of `spans`."""
        return self._traced(cache, name, spans) if self._observers.tracers else cache.get()

    async def _traced(self, cache: TokenCache, name: str, spans: Spans | None) -> CachedToken:
        work = token_work("token_wait", name, cache.credentials.token_url, call_id=current_call_id())
        with Spans(self._observers, work, spans):
            return await cache.get()
