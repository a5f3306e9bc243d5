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
    RetryScheduled,
    TokenRequestFinished,
    TokenStore,
    TokenStoreFailed,
)

from .request import Request
from .voice import Voice

__all__ = ["open_session"]


@asynccontextmanager
async def open_session(
    request: Request, voice: Voice, *, endpoints: Endpoints = Endpoints(), limits: Limits = Limits()
) -> AsyncGenerator[ArzamedSession]:
    """Open a session under the request's options; close it and its token store at the end."""
    store = _store(voice) if request.token_store else None
    try:
        async with ArzamedSession(
            base_url=request.base_url,
            endpoints=endpoints,
            limits=limits,
            token_store=store,
            observers=[_observer(request, voice)],
        ) as session:
            yield session
    finally:
        if store is not None:
            await store.aclose()


def _store(voice: Voice) -> TokenStore | None:
    from arzamed_async.stores import FileTokenStore

    try:
        return FileTokenStore()
    except ConfigurationError as error:
        voice.say(f"{error}. Tokens are not kept for the next command")
    return None


def _observer(request: Request, voice: Voice) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, TokenStoreFailed):
            voice.say(f"the token store cannot be used ({event.error}). Tokens are not kept for the next command")
        elif not request.verbose:
            return
        elif isinstance(event, RetryScheduled):
            call = f"{event.method} {event.path}"
            what = f"attempt {event.attempt} met {event.reason}, again in {event.delay_seconds:.1f} s"
            voice.say(f"{event.clinic}: {call}: {what}")
        elif isinstance(event, TokenRequestFinished):
            voice.say(f"{event.clinic}: token request: {event.status or event.error} in {event.seconds:.1f} s")

    return tell
