"""The session `tests` of the noxfile, on machines with some of the promised Pythons only. nox is replaced, and nothing runs."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

NOXFILE = Path(__file__).parents[2] / "noxfile.py"


class Session:
    """Keeps the environment and the command of pytest."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.posargs: list[str] = []
        self.env: dict[str, str] = {}
        self.command: tuple[str, ...] = ()
        self._folder = folder

    def create_tmp(self) -> str:
        return str(self._folder)

    def install(self, *args: str) -> None:
        pass

    def run(self, *args: str) -> None:
        self.command = args
        (self._folder / "results.xml").write_text('<a><testsuite tests="1" failures="0" errors="0" skipped="0"/></a>')

    def error(self, *args: str) -> None:
        pytest.fail(" ".join(args))


@pytest.fixture
def on_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], dict[str, Session]]:
    """Return a callable that runs the session on each Python of a machine which has these, and returns the sessions."""

    def decorator(*args: Any, **options: Any) -> Any:
        return lambda function: function

    stub = SimpleNamespace(session=decorator, parametrize=decorator, options=SimpleNamespace(), Session=Session)
    monkeypatch.setitem(sys.modules, "nox", stub)
    monkeypatch.setattr("atexit.register", lambda function: function)
    monkeypatch.setattr("shutil.which", lambda name: None)

    def run_on(pythons: list[str]) -> dict[str, Session]:
        def start(command: list[str], **options: Any) -> SimpleNamespace:
            if command[0].removeprefix("python") not in pythons:
                raise FileNotFoundError
            return SimpleNamespace(returncode=0)

        monkeypatch.setattr(subprocess, "run", start)
        module = runpy.run_path(str(NOXFILE))
        assert module["FOUND"] == pythons
        sessions = {python: Session(python, tmp_path) for python in pythons}
        for session in sessions.values():
            module["tests"](session)
        return sessions

    return run_on


@pytest.mark.parametrize(
    ("pythons", "covered"),
    [
        *(([python], python) for python in ["3.11", "3.12", "3.13", "3.14", "3.15"]),
        (["3.11", "3.13"], "3.11"),
        (["3.11", "3.12", "3.13", "3.14", "3.15"], "3.15"),
    ],
)
def test_coverage_is_measured_once_and_by_what_the_python_can(
    on_machine: Callable[[list[str]], dict[str, Session]], pythons: list[str], covered: str
) -> None:
    """One Python measures it; only from 3.14 on it monitors branches: an older one warns, and warnings are errors."""
    sessions = on_machine(pythons)
    assert [python for python, session in sessions.items() if "--cov" in session.command] == [covered]
    monitoring = {python for python, session in sessions.items() if session.env.get("COVERAGE_CORE") == "sysmon"}
    assert monitoring == ({covered} if covered in {"3.14", "3.15"} else set())
    left_out = [{each for each in session.command if each.startswith("--ignore")} for session in sessions.values()]
    assert set.intersection(*left_out) == set(), "one Python at least runs it"
