"""The pytest plugin of arzamed_async: a fake Arzamed, a clinic of it, a session on it, and a clock to move.

pytest loads it in every run where the package is installed. So it stands outside of the package, whose import would
cost each of those runs, and would come before a coverage measurement has started; nothing is imported but pytest
until a fixture is used.

The fixtures are synchronous: whatever runs a test's coroutines (pytest-asyncio, anyio, asyncio.run) need not know of
them. The server has a thread and an event loop of its own; the session is closed on the event loop it was used in, or,
where that has ended with the test and has closed the connections itself, on another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from arzamed_async import ArzamedSession, ClinicCredentials
    from arzamed_async.testing import FakeArzamed, ManualClock

__all__ = ["arzamed_clinic", "arzamed_clock", "arzamed_session", "arzamed_session_options", "fake_arzamed"]

_CLOSED_WITHIN_SECONDS = 10.0


@pytest.fixture
def arzamed_clock() -> ManualClock:
    """A clock that stands still until `arzamed_clock.advance(seconds)`: the fake's tokens and the session go by it."""
    from arzamed_async.testing import ManualClock

    return ManualClock()


@pytest.fixture
def fake_arzamed(arzamed_clock: ManualClock) -> Iterator[FakeArzamed]:
    """An Arzamed on a loopback socket, in a thread of its own, without clinics yet."""
    from arzamed_async.testing import FakeArzamed

    with FakeArzamed(clock=arzamed_clock) as fake:
        yield fake


@pytest.fixture
def arzamed_clinic(fake_arzamed: FakeArzamed) -> ClinicCredentials:
    """The credentials of one clinic of `fake_arzamed`, "Milano", with a few invented records."""
    return fake_arzamed.add_clinic("Milano")


@pytest.fixture
def arzamed_session_options() -> dict[str, Any]:
    """Further arguments for `arzamed_session`: override this fixture, and return what your application passes."""
    return {}


class _SessionClock:
    """A session's clock. The session reads it on its event loop, which is therefore known at the end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> float:
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        return self._clock()

    def close(self, session: ArzamedSession) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            # asyncio.run would unset the event loop that a plugin may have set for the thread.
            loop = asyncio.new_event_loop()
            with contextlib.closing(loop):
                loop.run_until_complete(session.aclose())
        elif loop.is_running():  # the application has its own thread, which continues
            asyncio.run_coroutine_threadsafe(session.aclose(), loop).result(_CLOSED_WITHIN_SECONDS)
        else:
            loop.run_until_complete(session.aclose())


@pytest.fixture
def arzamed_session(
    fake_arzamed: FakeArzamed, arzamed_clock: ManualClock, arzamed_session_options: dict[str, Any]
) -> Iterator[ArzamedSession]:
    """An ArzamedSession on `fake_arzamed` and `arzamed_clock`: retries as usual, with negligible waits."""
    from arzamed_async import ArzamedSession, RetryPolicy

    clock = _SessionClock(arzamed_clock)
    options: dict[str, Any] = {
        "base_url": fake_arzamed.base_url,
        "retry": RetryPolicy(initial_backoff_seconds=0.001, max_backoff_seconds=0.001),
        "clock": clock,
        "wall_clock": arzamed_clock,
        **arzamed_session_options,
    }
    session = ArzamedSession(**options)
    yield session
    clock.close(session)
