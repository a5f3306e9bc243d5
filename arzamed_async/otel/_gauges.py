"""Gauges of a session's state, read when metrics are collected.

The collection often runs in another thread, but a session can be read on its event loop only. So the collecting
thread has the loop read it, and waits briefly. If the loop is blocked, or has ended, there is no measurement, since
an old one would be mistaken for a new one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from arzamed_async import ArzamedSession, ConfigurationError, Stats

__all__ = ["Gauges"]

#: How long a collecting thread waits for the event loop.
WAIT_SECONDS = 0.5
#: One read from another thread serves all gauges of a collection.
SAME_SECONDS = 0.1

#: Measured values, each with (attribute, value of the attribute), or None if there is only one.
Measured = Iterable[tuple[tuple[str, str] | None, float]]


class _Watched:
    """A session and its event loop."""

    def __init__(self, session: ArzamedSession, loop: asyncio.AbstractEventLoop) -> None:
        self._session = weakref.ref(session)
        self._loop = loop
        self._seen: Stats | None = None
        self._seen_at = -1.0

    def look(self) -> Stats | None:
        """Return the session's state, or None if it cannot be read now."""
        session = self._session()
        if session is None:
            return None
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None  # a thread without a loop
        if here is self._loop:
            return session.stats()
        if time.monotonic() - self._seen_at > SAME_SECONDS:
            self._seen = _on(self._loop, session.stats)
            self._seen_at = time.monotonic()
        return self._seen


def _on(loop: asyncio.AbstractEventLoop, look: Callable[[], Stats]) -> Stats | None:
    """Return the state as read in the loop's own thread; None if that takes too long."""
    seen: concurrent.futures.Future[Stats] = concurrent.futures.Future()
    if not loop.is_running():
        return None
    try:
        loop.call_soon_threadsafe(lambda: seen.set_result(look()))
        return seen.result(WAIT_SECONDS)
    except (RuntimeError, TimeoutError):  # the loop has been closed meanwhile, or is busy
        return None


class Gauges:
    """Gauges, as sums over all watched sessions. With `clinics`, requests are reported for each clinic."""

    def __init__(self, meter: Meter, *, clinics: bool) -> None:
        self._clinics = clinics
        self._watched: weakref.WeakKeyDictionary[ArzamedSession, _Watched] = weakref.WeakKeyDictionary()

        def gauge(name: str, unit: str, description: str, measure: Callable[[Stats], Measured]) -> None:
            def observe(options: CallbackOptions) -> Iterator[Observation]:
                return self._observations(measure)

            meter.create_observable_gauge(f"arzamed.{name}", [observe], unit, description)

        gauge("requests.in_flight", "{request}", "Requests that hold a slot, including open streams.", self._in_flight)
        gauge("requests.queued", "{request}", "Requests that wait for a slot of their clinic.", self._queued)
        gauge("pool.connections", "{connection}", "Open connections.", _connections)
        gauge("pool.limit", "{connection}", "The maximum number of connections.", _limit)
        gauge("pool.queued", "{request}", "Requests that wait for a connection.", _pool_queued)
        gauge(
            "retries.in_hand",
            "{retry}",
            "Retries left in the budget.",
            lambda seen: [(None, seen.retry_budget_remaining)],
        )
        gauge("pacing.rate", "{request}/s", "Requests a second to which an API is paced.", _paced_rate)
        gauge("pacing.waiting", "{request}", "Requests that wait for their turn at a paced API.", _paced_waiting)
        gauge("circuits", "{clinic}", "Clinics by the state of their circuit breaker.", _circuits)

    def watch(self, session: ArzamedSession) -> None:
        """Include this session from now on, until it is garbage-collected."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise ConfigurationError("call watch() on the event loop of the session, inside its `async with`")
        self._watched[session] = _Watched(session, loop)

    def _observations(self, measure: Callable[[Stats], Measured]) -> Iterator[Observation]:
        totals: dict[tuple[str, str] | None, float] = {}
        seen = [stats for each in list(self._watched.values()) if (stats := each.look()) is not None]
        for stats in seen:
            for key, value in measure(stats):
                totals[key] = totals.get(key, 0) + value
        for key, value in totals.items():
            yield Observation(value, {} if key is None else dict([key]))

    def _in_flight(self, stats: Stats) -> Measured:
        for name, each in stats.clinics.items():
            yield ("arzamed.clinic", name) if self._clinics else None, each.in_flight

    def _queued(self, stats: Stats) -> Measured:
        for name, each in stats.clinics.items():
            yield ("arzamed.clinic", name) if self._clinics else None, each.queued


def _connections(stats: Stats) -> Measured:
    pool = stats.pool
    if pool.open is not None and pool.in_use is not None:  # None: the pool belongs to the caller
        yield ("arzamed.pool.state", "used"), pool.in_use
        yield ("arzamed.pool.state", "idle"), max(pool.open - pool.in_use, 0)


def _limit(stats: Stats) -> Measured:
    if stats.pool.open is not None:
        yield None, stats.pool.connections


def _pool_queued(stats: Stats) -> Measured:
    if stats.pool.queued is not None:
        yield None, stats.pool.queued


def _paced_rate(stats: Stats) -> Measured:
    if stats.pacing is not None and stats.pacing.requests_per_second is not None:
        yield None, stats.pacing.requests_per_second


def _paced_waiting(stats: Stats) -> Measured:
    if stats.pacing is not None:
        yield None, stats.pacing.waiting


def _circuits(stats: Stats) -> Measured:
    states = Counter(each.breaker for each in stats.clinics.values())
    for state, clinics in states.items():
        if state is not None:
            yield ("arzamed.circuit.state", state), clinics
