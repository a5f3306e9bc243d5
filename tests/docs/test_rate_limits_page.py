"""docs/how-to/rate-limits.md: its test of a limit passes as it stands."""

from __future__ import annotations

import pytest
from support.docs_pages import blocks_of

pytest_plugins = ["pytester"]


def test_the_test_of_the_page_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the fixtures of the plugin, a limit of the fake costs no clinic."""
    (block,) = [each for each in blocks_of("docs/how-to/rate-limits.md") if each.code.startswith("# test_limits.py\n")]
    pytester.makepyfile(test_limits=block.code)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = ("-p", "_arzamed_async_pytest", "-p", "pytest_asyncio.plugin")
    result = pytester.runpytest_subprocess(*plugins, "-o", "asyncio_default_fixture_loop_scope=function", "-W", "error")
    result.assert_outcomes(passed=1)
