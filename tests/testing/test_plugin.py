"""The pytest plugin, in runs of pytest of its own, as a user's suite has it."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from arzamed_async.testing import FakeArzamed

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = "_arzamed_async_pytest"

USERS_TESTS = """
import asyncio

import pytest

from arzamed_async import ArzamedSession, ServiceUnavailableError

MARK

async def test_reads(arzamed_session, arzamed_clinic, fake_arzamed):
    doctors = await arzamed_session.clinic(arzamed_clinic).doctors.list()
    assert [doctor.name for doctor in doctors][:1] == ["Dr. Inventata Uno"]
    fake_arzamed.assert_token_requests(arzamed_clinic, 1)
    fake_arzamed.assert_requested("equipe/doctors", clinic=arzamed_clinic, times=1)


async def test_an_hour_costs_one_more_token(arzamed_session, arzamed_clinic, fake_arzamed, arzamed_clock):
    clinic = arzamed_session.clinic(arzamed_clinic)
    await clinic.doctors.list()
    arzamed_clock.advance(3600)
    await asyncio.gather(*(clinic.doctors.list() for _ in range(5)))
    fake_arzamed.assert_token_requests(arzamed_clinic, 2)


async def test_faults_in_order(arzamed_session, arzamed_clinic, fake_arzamed):
    clinic = arzamed_session.clinic(arzamed_clinic)
    fake_arzamed.script(503, "cut", "ok")
    assert len(await clinic.doctors.list()) == 3
    fake_arzamed.assert_api_requests(arzamed_clinic, 3)
    fake_arzamed.fail(503, times=None)
    with pytest.raises(ServiceUnavailableError):
        await clinic.doctors.list()


async def test_a_call_is_left_running(arzamed_session, arzamed_clinic, fake_arzamed):
    fake_arzamed.script("hang")
    call = asyncio.ensure_future(arzamed_session.clinic(arzamed_clinic).doctors.list())
    call.add_done_callback(lambda call: call.cancelled() or call.exception())  # what is never taken is logged
    while not fake_arzamed.api_requests():
        await asyncio.sleep(0.001)
"""

#: Under PYTHONOPTIMIZE pytest warns that asserts outside tests are not run: users' tests need none there.
#: pytest before 9.1 warns where one process runs it twice, as these tests do and no user does.
ERRORS = (
    "-W", "error", "-W", "ignore:assertions not in test modules:pytest.PytestConfigWarning",
    "-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
)  # fmt: skip
STRICT = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
AUTO = (*STRICT, "-o", "asyncio_mode=auto")
ANYIO = ("-p", "anyio.pytest_plugin")
ON_ASYNCIO = """
@pytest.fixture
def anyio_backend():
    return "asyncio"

pytestmark = pytest.mark.anyio
"""
ASYNCIO = "pytestmark = pytest.mark.asyncio"

MODES = {
    "asyncio-strict": (STRICT, ASYNCIO),
    "asyncio-auto": (AUTO, ""),
    "asyncio-one-loop": (STRICT, 'pytestmark = pytest.mark.asyncio(loop_scope="session")'),
    "anyio": (ANYIO, ON_ASYNCIO),
    "both-strict": ((*STRICT, *ANYIO), ASYNCIO),
    "both-anyio": ((*STRICT, *ANYIO), ON_ASYNCIO),
}


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run tests in this process with our plugin and those given, and no other; warnings are errors."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("CI", raising=False)

    def run_tests(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        pytester.makeini("[pytest]")  # else the project's own is found, where its folder is above the temporary one
        plugins = ("-p", PLUGIN, "-p", "no:cacheprovider", *ERRORS)
        return pytester.runpytest_inprocess(*plugins, *options)

    return run_tests


@pytest.mark.parametrize("mode", MODES)
def test_the_fixtures_work_under_each_runner(run, mode: str) -> None:
    """Under pytest-asyncio (strict, auto, one loop for all) and anyio, alone and together, in any order of tests."""
    options, mark = MODES[mode]
    result = run(USERS_TESTS.replace("MARK", mark), *options, "-p", "pytest_randomly")
    result.assert_outcomes(passed=4)


def test_the_fixtures_work_without_any_runner(run) -> None:
    """A synchronous test uses them by asyncio.run, more than once, with no plugin for coroutines at all."""
    result = run("""
        import asyncio

        def test_sync(arzamed_session, arzamed_clinic, fake_arzamed):
            async def read():
                return await arzamed_session.clinic(arzamed_clinic).doctors.list()

            assert asyncio.run(read()) == asyncio.run(read())
            fake_arzamed.assert_token_requests(arzamed_clinic, 1)

        def test_nothing_is_used(arzamed_session):
            pass
    """)
    result.assert_outcomes(passed=2)


SHARED_TESTS = """
import pytest

MARK

@pytest.fixture(scope="SCOPE")
def arzamed_session_options_per_SCOPE():
    return {"coalesce": True}


@pytest.mark.parametrize("time", range(3))
async def test_shares(time, arzamed_session_per_SCOPE, arzamed_clinic_per_SCOPE, fake_arzamed_per_SCOPE, arzamed_clock_per_SCOPE):
    arzamed_clock_per_SCOPE.advance(60)
    assert len(await arzamed_session_per_SCOPE.clinic(arzamed_clinic_per_SCOPE).doctors.list()) == 3
    fake_arzamed_per_SCOPE.assert_token_requests(arzamed_clinic_per_SCOPE, 1)
    fake_arzamed_per_SCOPE.assert_api_requests(arzamed_clinic_per_SCOPE, time + 1)
"""


@pytest.mark.parametrize("scope", ["module", "session"])
@pytest.mark.parametrize("mode", ["asyncio-strict", "asyncio-one-loop", "anyio"])
def test_the_fixtures_have_twins_of_a_wider_scope(run, mode: str, scope: str) -> None:
    """The tests of a module, or of a run, share a fake, a clinic, a session and its token, though each has its own loop."""
    options, mark = MODES[mode]
    result = run(SHARED_TESTS.replace("MARK", mark).replace("SCOPE", scope), *options)
    result.assert_outcomes(passed=3)


def test_a_session_in_use_by_another_thread_is_closed_there(run) -> None:
    """Where the application runs its event loop in a thread, and still runs, the session is closed on that loop."""
    result = run("""
        import asyncio, threading

        import pytest

        @pytest.fixture(scope="session")
        def app():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()
            yield loop
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

        def test_app(app, arzamed_session, arzamed_clinic):
            doctors = arzamed_session.clinic(arzamed_clinic).doctors
            assert len(asyncio.run_coroutine_threadsafe(doctors.list(), app).result(60)) == 3
    """)
    result.assert_outcomes(passed=1)


def test_options_of_the_session_are_the_users(run) -> None:
    """What arzamed_session_options returns goes to the session, above the fixture's own."""
    result = run("""
        import asyncio

        import pytest
        from arzamed_async import RetryPolicy, ServiceUnavailableError

        @pytest.fixture
        def arzamed_session_options():
            return {"retry": RetryPolicy.none()}

        def test_once(arzamed_session, arzamed_clinic, fake_arzamed):
            async def read():
                return await arzamed_session.clinic(arzamed_clinic).doctors.list()

            fake_arzamed.script(503)
            with pytest.raises(ServiceUnavailableError):
                asyncio.run(read())
            fake_arzamed.assert_api_requests(arzamed_clinic, 1)
    """)
    result.assert_outcomes(passed=1)


def test_the_installed_plugin_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    """Found by its entry point, it is loaded by pytest without aiohttp and without the package; its fixtures are there."""
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "site" / "arzamed_async_here-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: arzamed-async-here\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in entry_points.items()]
    (installed / "entry_points.txt").write_text("[pytest11]\n" + "\n".join(lines) + "\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text("import sys\nAT_START = set(sys.modules)\n")
    (tmp_path / "test_it.py").write_text(
        "import asyncio\nfrom conftest import AT_START\n\n"
        "def test_loaded():\n"
        f"    assert {PLUGIN!r} in AT_START\n"
        "    assert not AT_START & {'aiohttp', 'arzamed_async', 'attrs', 'cattrs', 'orjson', 'pytest_asyncio'}\n\n"
        "def test_used(arzamed_session, arzamed_clinic):\n"
        "    assert len(asyncio.run(arzamed_session.clinic(arzamed_clinic).doctors.list())) == 3\n"
    )
    # Of all plugins that are installed here, this one alone, by the name it has for pytest.
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, "-X", "dev", "-m", "pytest", "-q", "-p", "arzamed_async", "-p", "no:cacheprovider"]
    command += ERRORS
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_testing_page_is_true(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of docs/how-to/testing.md runs as it stands, and the reference's tables name what is there."""
    page = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
    tables = (ROOT / "docs" / "reference" / "test-fixtures.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```python") == 10
    for name, source in blocks:
        (pytester.path / name).write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_inprocess("-p", PLUGIN, *STRICT, "-p", "no:cacheprovider", *ERRORS)
    result.assert_outcomes(passed=14)
    runpy.run_path(str(pytester.path / "without_pytest.py"))
    called = set(re.findall(r"`(?:await )?(\w+)\([^`]*\)`", page + tables)) - {"Answer"}
    assert len(called) > 10
    assert [name for name in sorted(called) if not hasattr(FakeArzamed, name)] == []
    module = importlib.import_module(PLUGIN)
    assert [name for name in module.__all__ if f"`{name}`" not in tables] == []
