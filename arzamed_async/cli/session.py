"""The session of a command: its token store, and the events that are reported on standard error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from arzamed_async import (
    ArzamedSession,
    ConfigurationError,
    Endpoints,
    Event,
    Limits,
    PaceChanged,
    PacingPolicy,
    RetryScheduled,
    TokenRequestFinished,
    TokenStore,
    TokenStoreFailed,
)

from .messages import StderrReporter
from .request import Request

__all__ = ["open_session"]


@asynccontextmanager
async def open_session(
    request: Request, reporter: StderrReporter, *, endpoints: Endpoints = Endpoints(), limits: Limits = Limits()
) -> AsyncGenerator[ArzamedSession]:
    """Open a session under the request's options; close it and its token store at the end."""
    store = _store(reporter) if request.token_store else None
    try:
        async with ArzamedSession(
            base_url=request.base_url,
            endpoints=endpoints,
            limits=limits,
            pacing=PacingPolicy(max_requests_per_second=request.requests_per_second),
            token_store=store,
            observers=[_observer(request, reporter)],
        ) as session:
            yield session
    finally:
        if store is not None:
            await store.aclose()


def _store(reporter: StderrReporter) -> TokenStore | None:
    from arzamed_async.stores import FileTokenStore

    try:
        return FileTokenStore()
    except ConfigurationError as error:
        reporter.message(f"{error}. Tokens are not kept for the next command")
    return None


def _observer(request: Request, reporter: StderrReporter) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if isinstance(event, TokenStoreFailed):
            reporter.message(f"token store not available ({event.error}). Tokens are not kept for the next command")
        elif not request.verbose:
            return
        elif isinstance(event, RetryScheduled):
            call = f"{event.method} {event.path}"
            retry = f"attempt {event.attempt} failed ({event.reason}), retrying in {event.delay_seconds:.1f} s"
            reporter.message(f"{event.clinic}: {call}: {retry}")
        elif isinstance(event, PaceChanged):
            if event.change != "changed":
                reporter.message(f"{event.clinic or event.base_url}: pacing {event.change} ({event.reason})")
        elif isinstance(event, TokenRequestFinished):
            result = f"HTTP {event.status}" if event.status else event.error
            reporter.message(f"{event.clinic}: token request: {result} in {event.seconds:.1f} s")

    return report
