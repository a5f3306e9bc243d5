"""The pytest plugin of arzamed_async: fixtures for a fake API, a clinic, a session, and a clock.

pytest loads this module in every run, if the package is installed. So it is not in the package: importing that would take
time in every run, and would happen before coverage starts. Until a fixture is used, it imports only pytest.

Each fixture has two variants with a wider scope, `..._per_module` and `..._per_session`. A variant uses the others of the
same scope.

The fixtures are synchronous, so that they work with pytest-asyncio, anyio and asyncio.run. The server runs in a thread with
its own event loop. The session is closed on the event loop that it was used on. If that loop has ended, its connections
are closed already, and the session is closed on another loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from arzamed_async import ArzamedSession, ClinicCredentials
    from arzamed_async.testing import FakeArzamed, ManualClock

__all__ = [
    "arzamed_clinic",
    "arzamed_clinic_per_module",
    "arzamed_clinic_per_session",
    "arzamed_clock",
    "arzamed_clock_per_module",
    "arzamed_clock_per_session",
    "arzamed_session",
    "arzamed_session_options",
    "arzamed_session_options_per_module",
    "arzamed_session_options_per_session",
    "arzamed_session_per_module",
    "arzamed_session_per_session",
    "fake_arzamed",
    "fake_arzamed_per_module",
    "fake_arzamed_per_session",
]

_CLOSED_WITHIN_SECONDS = 10.0


@pytest.fixture
def arzamed_clock() -> ManualClock:
    """A ManualClock for the fake and the session: `arzamed_clock.advance(seconds)` moves it."""
    from arzamed_async.testing import ManualClock

    return ManualClock()


@pytest.fixture
def fake_arzamed(arzamed_clock: ManualClock) -> Iterator[FakeArzamed]:
    """A FakeArzamed on a loopback socket, in a thread of its own. It has no clinics yet."""
    from arzamed_async.testing import FakeArzamed

    with FakeArzamed(clock=arzamed_clock) as fake:
        yield fake


@pytest.fixture
def arzamed_clinic(fake_arzamed: FakeArzamed) -> ClinicCredentials:
    """The credentials of one clinic of `fake_arzamed`, "Milano", with a few invented records."""
    return fake_arzamed.add_clinic("Milano")


@pytest.fixture
def arzamed_session_options() -> dict[str, Any]:
    """More arguments for `arzamed_session`. Override this fixture to return those that your application passes."""
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


@contextlib.contextmanager
def _session(fake: FakeArzamed, manual: ManualClock, given: dict[str, Any]) -> Generator[ArzamedSession]:
    from arzamed_async import ArzamedSession, RetryPolicy

    clock = _SessionClock(manual)
    options: dict[str, Any] = {
        "base_url": fake.base_url,
        "retry": RetryPolicy(initial_backoff_seconds=0.001, max_backoff_seconds=0.001),
        "clock": clock,
        "wall_clock": manual,
        **given,
    }
    session = ArzamedSession(**options)
    yield session
    clock.close(session)


@pytest.fixture
def arzamed_session(
    fake_arzamed: FakeArzamed, arzamed_clock: ManualClock, arzamed_session_options: dict[str, Any]
) -> Iterator[ArzamedSession]:
    """An ArzamedSession for `fake_arzamed` and `arzamed_clock`. It retries as usual, with very short delays."""
    with _session(fake_arzamed, arzamed_clock, arzamed_session_options) as session:
        yield session


# The twins of a module.


@pytest.fixture(scope="module")
def arzamed_clock_per_module() -> ManualClock:
    """The `arzamed_clock` of a module."""
    from arzamed_async.testing import ManualClock

    return ManualClock()


@pytest.fixture(scope="module")
def fake_arzamed_per_module(arzamed_clock_per_module: ManualClock) -> Iterator[FakeArzamed]:
    """The `fake_arzamed` of a module: requests add up, and faults and clinics stay, from one test to the next."""
    from arzamed_async.testing import FakeArzamed

    with FakeArzamed(clock=arzamed_clock_per_module) as fake:
        yield fake


@pytest.fixture(scope="module")
def arzamed_clinic_per_module(fake_arzamed_per_module: FakeArzamed) -> ClinicCredentials:
    """The `arzamed_clinic` of a module."""
    return fake_arzamed_per_module.add_clinic("Milano")


@pytest.fixture(scope="module")
def arzamed_session_options_per_module() -> dict[str, Any]:
    """Further arguments for `arzamed_session_per_module`: override this fixture, with scope="module"."""
    return {}


@pytest.fixture(scope="module")
def arzamed_session_per_module(
    fake_arzamed_per_module: FakeArzamed,
    arzamed_clock_per_module: ManualClock,
    arzamed_session_options_per_module: dict[str, Any],
) -> Iterator[ArzamedSession]:
    """The `arzamed_session` of a module: its tests share tokens, and event loops follow one another."""
    with _session(fake_arzamed_per_module, arzamed_clock_per_module, arzamed_session_options_per_module) as session:
        yield session


# The twins of a whole run.


@pytest.fixture(scope="session")
def arzamed_clock_per_session() -> ManualClock:
    """The `arzamed_clock` of a run of pytest."""
    from arzamed_async.testing import ManualClock

    return ManualClock()


@pytest.fixture(scope="session")
def fake_arzamed_per_session(arzamed_clock_per_session: ManualClock) -> Iterator[FakeArzamed]:
    """The `fake_arzamed` of a run of pytest: requests add up, and faults and clinics stay, from one test to the next."""
    from arzamed_async.testing import FakeArzamed

    with FakeArzamed(clock=arzamed_clock_per_session) as fake:
        yield fake


@pytest.fixture(scope="session")
def arzamed_clinic_per_session(fake_arzamed_per_session: FakeArzamed) -> ClinicCredentials:
    """The `arzamed_clinic` of a run of pytest."""
    return fake_arzamed_per_session.add_clinic("Milano")


@pytest.fixture(scope="session")
def arzamed_session_options_per_session() -> dict[str, Any]:
    """Further arguments for `arzamed_session_per_session`: override this fixture, with scope="session"."""
    return {}


@pytest.fixture(scope="session")
def arzamed_session_per_session(
    fake_arzamed_per_session: FakeArzamed,
    arzamed_clock_per_session: ManualClock,
    arzamed_session_options_per_session: dict[str, Any],
) -> Iterator[ArzamedSession]:
    """The `arzamed_session` of a run of pytest: all tests share tokens, and event loops follow one another."""
    with _session(fake_arzamed_per_session, arzamed_clock_per_session, arzamed_session_options_per_session) as session:
        yield session
