"""`arzamed` and `arzamed demo`, in a process of their own and in this one."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console
from support.cli import neutral_environment, run

from arzamed_async import NotFoundError, PaceChanged, RetryScheduled, Success, TransportError, __version__
from arzamed_async.cli import demo, main
from arzamed_async.testing import FakeArzamed

FACTS = re.compile(
    r"^11 clinics read, 1 failed \(Bari: refused\), 12 tokens, (\d+) retries, 1 paced, (\d+\.\d) s$",
    re.MULTILINE,
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give each test an environment of its own, and back the signals that `main`, ending a process, resets."""
    neutral_environment(monkeypatch, tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def process(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, its output a pipe."""
    what = ["-c", code] if code else ["-m", "arzamed_async.cli", *arguments]
    return subprocess.run(
        [sys.executable, *what], capture_output=True, encoding="utf-8", timeout=60, check=False, env=dict(os.environ)
    )


@pytest.fixture
def quick(monkeypatch):
    """Take the slowness out of the demo's clinics."""
    monkeypatch.setattr(demo, "_SLOW_SECONDS", {})


def test_the_demo_in_a_pipe_prints_the_table_and_the_facts_and_exits_with_0():
    """`arzamed demo` reads 11 of 12 clinics, names the revoked one, and writes no control code into a pipe."""
    done = process("demo")
    assert (done.returncode, done.stderr) == (0, "")
    facts = FACTS.search(done.stdout)
    assert facts is not None, done.stdout
    assert int(facts[1]) >= 1
    assert "\x1b" not in done.stdout
    assert "Reading" not in done.stdout


def test_the_demo_fits_a_terminal_of_80_columns(quick):
    """No line is longer than 80 columns, and no cell is broken or cut."""
    out = io.StringIO()
    demo.run_demo(Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 4 + 12 + 2
    assert "…" not in out.getvalue()


def test_every_clinic_of_the_demo_has_a_row(quick):
    """Each clinic is there with its doctors' count and names, the revoked one with its reason, one with retries."""
    out = io.StringIO()
    demo.run_demo(Console(file=out, width=80))
    rows = {line.split()[0]: line.split() for line in out.getvalue().splitlines()[4:-2]}
    assert rows.keys() == set(demo._CITIES)
    assert " ".join(rows["Milano"][1:6]) == "2 Dr. Inventata, Dr. Finto"
    assert " ".join(rows["Roma"][1:]).startswith("7 Dr. Finto, Dr. Esempio and 5 more")
    assert " ".join(rows["Bari"][1:]).startswith("- key refused (401 invalid_client)")
    assert rows["Bologna"][-3] == "2"


def test_a_clinic_that_was_paced_is_marked():
    """The row of a clinic whose requests were paced says so, beside the number of its retries: the last line counts them."""
    tally = demo.Tally()
    board = demo._Board(tally, 2, 80)
    change = PaceChanged(
        scope="clinic",
        clinic="Catania",
        base_url="http://127.0.0.1:9",
        change="started",
        requests_per_second=2.0,
        reason="refused",
    )
    tally(change)
    retry = {"method": "GET", "path": "equipe/doctors", "attempt": 1, "delay_seconds": 0.1, "reason": "HTTP 503"}
    for clinic in ("Catania", "Bologna"):
        tally(RetryScheduled(clinic=clinic, **retry))
        board.add(Success(clinic=clinic, value=[], seconds=0.5))
    assert list(board.table.columns[3].cells) == ["1, paced", "1"]


def test_on_a_terminal_the_demo_shows_its_progress(quick):
    """A terminal sees the clinics being counted; NO_COLOR's effect is Rich's own."""
    out = io.StringIO()
    demo.run_demo(Console(file=out, width=80, force_terminal=True, color_system=None))
    assert "Reading clinics" in out.getvalue()
    assert "12/12" in out.getvalue()
    assert FACTS.search(out.getvalue())


def test_the_demo_is_a_subcommand(quick):
    """`arzamed demo` stays a subcommand while it is the only one."""
    done = run("demo")
    assert done.exit_code == 0
    assert FACTS.search(done.stdout)


def test_version_is_printed():
    """`arzamed --version` names the distribution and its version."""
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"arzamed-async {__version__}\n")


def test_without_a_command_the_help_is_shown():
    """`arzamed` alone lists its commands and exits with 2, as for any usage error."""
    done = process()
    assert done.returncode == 2
    assert "demo" in done.stdout + done.stderr


def test_main_runs_the_app_and_leaves_the_streams_as_they_were(monkeypatch, capsys):
    """The entry point hands over to the commands, ends by SystemExit, and takes its guards off again."""
    monkeypatch.setattr(sys, "argv", ["arzamed", "--version"])
    before = sys.stdout, sys.stderr
    with pytest.raises(SystemExit) as leaving:
        main.main()
    assert leaving.value.code == 0
    assert (sys.stdout, sys.stderr) == before
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_names_what_to_install(monkeypatch, capsys, missing):
    """Where Typer or Rich is missing, `arzamed` reports how to install the extra and exits with 2."""
    for name in [name for name in sys.modules if name.startswith("arzamed_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    if missing == "rich":
        for name in [name for name in sys.modules if name.startswith("rich.")]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as leaving:
        main.main()
    assert leaving.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "pip install '.[cli]'" in err


def test_without_the_extra_there_is_no_traceback():
    """The same in a process where neither package can be imported."""
    code = "import sys; sys.modules.update(typer=None, rich=None); from arzamed_async.cli.main import main; main()"
    done = process(code=code)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_module_that_is_not_the_extra_is_a_bug_and_shows(monkeypatch):
    """A module of our own that is missing is not blamed on the extra."""
    monkeypatch.setitem(sys.modules, "arzamed_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        main.main()


def test_other_failures_have_their_reasons(quick, monkeypatch):
    """A status is reported with the API's text, any other error by its name."""
    assert demo._reason(NotFoundError(404, "Not found")) == ("404", "HTTP 404 (Not found)")
    assert demo._reason(TransportError("reset")) == ("TransportError", "TransportError")


def test_a_demo_where_nothing_fails_reports_zero_failures(quick, monkeypatch):
    """Without a failure the facts give no reason."""
    monkeypatch.setattr(FakeArzamed, "revoke_key", lambda self, clinic: None)
    out = io.StringIO()
    demo.run_demo(Console(file=out, width=80))
    assert "12 clinics read, 0 failed, 12 tokens" in out.getvalue()
