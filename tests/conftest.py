"""Fixtures and rules for all tests."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses
from hypothesis import HealthCheck, settings

# What tests import has asserts of its own. Rewritten, they hold under PYTHONOPTIMIZE too, and say what they compared.
pytest.register_assert_rewrite(
    "support",
    *(
        path.stem
        for path in Path(__file__).parent.rglob("*.py")
        if path.parent.name != "support" and not path.name.startswith(("test_", "conftest"))
    ),
)

# pytest-asyncio asks for the current event loop, which Python before 3.14 then makes where none has ever been set, and
# leaves it open. pytest before 8.4 fails whichever test runs when that is collected.
asyncio.set_event_loop(None)

# Without a database: no run depends on an earlier one, leaves a folder behind, or needs one that it can write to. The blob
# that a failure prints repeats it.
settings.register_profile(
    "default",
    database=None,
    deadline=None,
    print_blob=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("few", settings.get_profile("default"), max_examples=20)
settings.register_profile("deep", settings.get_profile("default"), max_examples=500)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Look at what each module leaves behind."""
    from support.leftovers import (
        Watch,  # not above: its asserts are rewritten, and this folder is on the path, from here on
    )

    config.pluginmanager.register(Watch(), "leftovers")


@pytest.fixture(scope="session", autouse=True)
def _place_for_temporary_files(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give tests, and the processes they start, a folder for temporary files that nobody else uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "TMPDIR", str(tmp_path_factory.mktemp("t"))
        )  # a short name: those of Unix sockets have to be short
        patch.setattr(tempfile, "tempdir", None)
        with pytestconfig.pluginmanager.get_plugin("leftovers").watching():
            yield


@pytest.fixture(scope="session", autouse=True)
def lane() -> Iterator[None]:
    """Have all requests take aiohttp's own lane where ARZAMED_TESTS_LANE is aiohttp, as a tracer's patch has it."""
    from support.raw_server import take_ordinary_lane  # not before it is registered above

    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("ARZAMED_TESTS_LANE") == "aiohttp":
            take_ordinary_lane(patch)
        yield


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Give aioresponses, as users have it: no socket at all.

    Its 0.7.9 builds a ClientResponse without the stream_writer that aiohttp 3.14 wants.
    """
    original = ClientResponse.__init__

    def init(self: ClientResponse, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("stream_writer", Mock())
        original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(ClientResponse, "__init__", init)
    with aioresponses() as mock:
        yield mock


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failed run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == 0:
        reporter.write_line("a skipped test is a failure here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
