"""The session of a command: its token store, its time limits, its proxy, and what is reported on standard error."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from arzamed_async import (
    ArzamedSession,
    ConfigurationError,
    Endpoints,
    Event,
    Limits,
    Observer,
    PacingPolicy,
    Timeouts,
    TokenStore,
    TokenStoreFailed,
)

from .messages import StderrReporter
from .request import Request
from .verbose import environment_proxies, place_of, proxy_of, verbose_log

__all__ = ["open_session"]

_FOLDER = "ARZAMED_TOKEN_DIR"


@asynccontextmanager
async def open_session(
    request: Request,
    reporter: StderrReporter,
    *,
    endpoints: Endpoints = Endpoints(),
    limits: Limits = Limits(),
    observers: Sequence[Observer] = (),
    reads_api: bool = True,
) -> AsyncGenerator[ArzamedSession]:
    """Open a session under the request's options; close it and its token store at the end."""
    with ExitStack() as stack:
        if request.verbose:
            if reads_api:
                reporter.message(f"environment: {place_of(request.base_url)}")
            reporter.message(f"proxy: {proxy_of(request)}")
            stack.enter_context(verbose_log(reporter))
        store = _store(reporter) if request.token_store else None
        try:
            async with ArzamedSession(
                base_url=request.base_url,
                endpoints=endpoints,
                limits=limits,
                timeouts=_timeouts(request.timeout_seconds),
                pacing=PacingPolicy(max_requests_per_second=request.requests_per_second),
                token_store=store,
                observers=[_observer(reporter), *observers],
                proxy=request.proxy,
                trust_env=request.proxy is None and bool(environment_proxies()),
            ) as session:
                yield session
        finally:
            if store is not None:
                await store.aclose()


def _timeouts(seconds: float | None) -> Timeouts:
    """Return the time limits for `--timeout`. A longer one lets a slow response take half of it, as by default."""
    usual = Timeouts()
    if seconds is None:
        return usual
    return Timeouts(total_seconds=seconds, read_seconds=max(usual.read_seconds, seconds / 2), record_seconds=seconds)


def _store(reporter: StderrReporter) -> TokenStore | None:
    from arzamed_async.stores import FileTokenStore

    folder = os.environ.get(_FOLDER) or None
    try:
        if folder is not None and not Path(folder).is_absolute():
            raise ConfigurationError(f"{_FOLDER} must be an absolute path")
        return FileTokenStore(folder)
    except ConfigurationError as error:
        reporter.message(f"{error}. Tokens are not kept for the next command")
    return None


def _observer(reporter: StderrReporter) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if isinstance(event, TokenStoreFailed):
            reporter.message(f"token store not available ({event.error}). Tokens are not kept for the next command")

    return report
