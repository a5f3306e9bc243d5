"""How `arzamed` ends: its exit code and its last lines, whatever becomes of standard output, and at a signal."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import (
    COMMAND,
    SECONDS,
    Beside,
    Held,
    ended,
    neutral_environment,
    poll,
    run,
    running,
    start,
    toml,
    waiting,
)

from arzamed_async.cli import listing

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and signals are others there")

FULL = b"arzamed: the output cannot be written (No space left on device)\n"
#: Every command, and what Typer writes by itself.
FORMS = {
    "doctors": ("doctors", "--clinics", "FILE", "--base-url", "URL"),
    "slots": ("slots", "--clinics", "FILE", "--base-url", "URL"),
    "patients": ("patients", "--clinics", "FILE", "--base-url", "URL"),
    "check": ("check", "--clinics", "FILE", "--base-url", "URL"),
    "token": ("token", "--clinics", "FILE"),
    "init": ("init", "NEW"),
    "serve-fake": ("serve-fake",),
    "demo": ("demo",),
    "--help": ("--help",),
    "--version": ("--version",),
    "no command": (),
}
#: One of each kind: written by a thread, by lines, by Typer.
KINDS = ("doctors", "init", "--help")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give a cache and an environment of its own to each test."""
    neutral_environment(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def milano(tmp_path_factory):
    """Give a fake with a clinic that has all three lists, and its clinics file."""
    with Beside() as beside:
        file = beside.clinics(tmp_path_factory.mktemp("milano"), "Milano")
        for kind in ("slots", "patients"):
            beside.do(lambda fake, kind=kind: fake.add_endpoint(f"equipe/{kind}", "Milano", [{"invented": 1}]))
        yield {"FILE": file, "URL": beside.fake.base_url}


@pytest.fixture
def arguments(milano, place):
    """Give a function that fills in a form."""
    return lambda form: [{**milano, "NEW": str(place / "new.toml")}.get(each, each) for each in FORMS[form]]


@pytest.fixture
def full():
    """Give Linux's full disk."""
    with Path("/dev/full").open("wb") as device:
        yield device


@pytest.fixture
def broken():
    """Give the writing end of a pipe whose reader has closed it."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as pipe:
        yield pipe


def closed(number, arguments):
    """Return a command that runs ours with a descriptor closed (`>&-`)."""
    return ["sh", "-c", f'exec "$@" {number}>&-', "sh", *COMMAND, *arguments]


BUFFERING = [*((form, "") for form in FORMS), *((form, "1") for form in KINDS)]


@pytest.mark.parametrize(("form", "unbuffered"), BUFFERING)
def test_a_full_disk_is_exit_code_1_and_one_line(arguments, full, monkeypatch, form, unbuffered):
    """Output that cannot be written is reported in one line, whatever is run and however Python buffers."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    assert ended(*arguments(form), stdout=full) == (1, b"", FULL)


@pytest.mark.parametrize(("form", "unbuffered"), BUFFERING)
def test_a_broken_pipe_is_exit_code_141_without_a_message(arguments, broken, monkeypatch, form, unbuffered):
    """A reader that needs no output causes no message, whatever is run and however Python buffers."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    assert ended(*arguments(form), stdout=broken) == (141, b"", b"")


@pytest.mark.parametrize("form", ["doctors", "check", "serve-fake", "--version"])
def test_a_closed_standard_output_is_one_that_cannot_be_written(arguments, form):
    """With `>&-` nobody gets what was to be written: exit code 1 and one line."""
    line = b"arzamed: the output cannot be written (Bad file descriptor)\n"
    assert ended(command=closed(1, arguments(form))) == (1, b"", line)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("form", ["doctors", "--help", "demo"])
def test_a_pipe_that_breaks_after_the_first_line_is_silent(place, monkeypatch, form, unbuffered):
    """`| head -1`: 141 if more was to come than the pipe takes, else 0, and there is no message."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)  # a page, which `doctors --help` is longer than
    with Beside() as beside, os.fdopen(theirs, "wb") as pipe:
        file = beside.clinics(place, "Milano", doctors=lambda: (f"Dr. Inventata {n}" for n in range(200_000)))
        reading = ("doctors", "--clinics", file, "--base-url", beside.fake.base_url)
        with running(
            *{"doctors": reading, "--help": ("doctors", "--help"), "demo": ("demo",)}[form], stdout=pipe
        ) as process:
            pipe.close()
            with os.fdopen(ours, "rb", buffering=0) as reader:
                assert reader.readline()
            code = process.wait(SECONDS)
            assert process.stderr.read() == b""
        assert code == 141 or (form, code) == ("demo", 0)


@pytest.mark.parametrize(("state", "wrong_use"), [("full", 1), ("broken", 141), ("closed", 2)])
def test_messages_that_are_lost_are_no_traceback(milano, place, request, state, wrong_use):
    """Where standard error cannot be written the records are, and the code is what the clinics made it.

    The message of a usage error is all the output, so that its loss changes the code; unless it was not wanted (`2>&-`).
    """
    bad = place / "bad.toml"
    bad.write_text(
        Path(milano["FILE"]).read_text(encoding="utf-8")
        + '\n[clinics.Roma]\nclient_id="x"\nclient_secret_env="INVENTED_UNSET"\ntoken_url="http://127.0.0.1:1"\n'
    )
    bad.chmod(0o600)
    reading = ("doctors", "--clinics", str(bad), "--base-url", milano["URL"])
    wrong = ("doctors", "--nonsense")
    if state == "closed":
        read, used = (ended(command=closed(2, each)) for each in (reading, wrong))
    else:
        stream = request.getfixturevalue(state)
        read, used = (ended(*each, stderr=stream) for each in (reading, wrong))
    assert (read[0], len(read[1].splitlines())) == (3, 3)
    assert used == (wrong_use, b"", b"")


def test_wrong_use_writes_nothing_to_standard_output(full):
    """A full disk does not matter to what writes nothing there: the code is that of a usage error."""
    code, _, said = ended("doctors", "--nonsense", stdout=full)
    assert code == 2
    assert b"--nonsense" in said
    assert b"Traceback" not in said


def test_the_installed_command_ends_in_the_same_place(full):
    """The script `arzamed` ends where `python -m arzamed_async.cli` does."""
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="arzamed")
    code = f"import sys; from {script.module} import {script.attr}; sys.exit({script.attr}())"
    assert ended("--version", command=[sys.executable, "-c", code], stdout=full) == (1, b"", FULL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_package_is_imported_is_silent(place, monkeypatch, number):
    """The script `arzamed` ends by the signal, which a shell shows as 130 and 143, and not with a traceback."""
    (place / "aiohttp.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(600)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(place))  # instead of the package that takes longest to import
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="arzamed")
    code = f"from {script.module} import {script.attr}; {script.attr}()"
    with running("--version", command=[sys.executable, "-c", code]) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(SECONDS) == -number
        assert process.stderr.read() == b""


def test_importing_the_command_changes_nothing():
    """Signals, streams and the exception hook are those from before."""
    code = """
import signal, sys
def state(): return [signal.getsignal(each) for each in (2, 15)], sys.stdout, sys.stderr, sys.excepthook
before = state()
import arzamed_async.cli.app, arzamed_async.cli.listing, arzamed_async.cli.main
assert state() == before, state()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


def script(work):
    """Return a command that runs these lines as the product runs a command."""
    return [sys.executable, "-c", f"""
import asyncio, os, sys, time
from arzamed_async.cli.ending import end_process
from arzamed_async.cli.running import run
def say(line): print(line, flush=True)
{work}
end_process(work)
"""]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_has_arrived_ends_at_once(number):
    """For example while modules are imported, there is nothing to write: 128 and the signal's number."""
    with running(command=script("def work(): say('ready'); time.sleep(600)")) as process:
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
        assert process.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number):
    """Whatever the work does about the first one, the second one ends the process."""
    work = """
async def stubborn():
    os.write(1, b'ready\\n')
    while True:
        try: await asyncio.sleep(600)
        except asyncio.CancelledError: say('no')
def work(): run(stubborn())
"""
    with running(command=script(work)) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"no\n"
        process.send_signal(number)
        assert process.wait(SECONDS) == -number  # which a shell shows as 128 and the number
        assert process.stderr.read() == b""


@pytest.mark.parametrize("streams", ["stdout", "both"])
def test_a_signal_ends_a_write_that_is_stuck(streams):
    """Where nobody reads a pipe that is full, a command that writes to it from the main thread hears the signal."""
    work = """
async def write(): sys.stdout.write('x' * 1_000_000); sys.stdout.flush()
def work():
    try: run(write())
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        raise
"""
    stderr = {"stderr": subprocess.STDOUT} if streams == "both" else {}
    with running(command=script(work), **stderr) as process:
        poll(lambda: waiting(process.stdout) >= 57_344, "the pipe never filled")  # less than a page is left at most
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 143
        if process.stderr is not None:
            assert process.stderr.read() == b"interrupted\n"


async def interrupted(server, process, *numbers):
    """Send signals once the first record is written; return the code, the output, and the messages."""
    try:
        first = b""
        while b"Dr. " not in first:
            first += await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), SECONDS)
        for number in numbers:
            process.send_signal(number)
        rest, said = await asyncio.to_thread(process.communicate, None, SECONDS)
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
    return process.returncode, (first + rest).decode(), said.decode()


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", ["ndjson", "json", "csv"])
async def test_a_signal_ends_with_what_has_arrived(place, form, number):
    """While the server holds back the rest, Ctrl-C and SIGTERM end with the records, and a JSON array is closed."""
    async with Held() as server:
        file = toml(place, [server.credentials()])
        process = start("doctors", "--clinics", file, "--base-url", server.base_url, "--format", form)
        code, text, said = await interrupted(server, process, number)
    assert code == 128 + number
    assert said == f"arzamed: interrupted: the output is incomplete ({text.count('Dr. '):,} records)\n"
    if form == "json":
        assert json.loads(text)[0]["name"] == "Dr. Inventata 0"
    elif form == "ndjson":
        assert json.loads(text.splitlines()[-1])["clinic"] == "Milano"


def test_a_signal_after_the_last_record_closes_the_array_once(milano, monkeypatch):
    """Where a JSON array is complete already, Ctrl-C does not close it a second time."""

    def run_and_interrupt(work):
        asyncio.run(work)
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "run", run_and_interrupt)
    done = run("doctors", "--clinics", milano["FILE"], "--base-url", milano["URL"], "--format", "json")
    assert (done.exit_code, len(json.loads(done.stdout))) == (130, 3)


@pytest.mark.asyncio
async def test_a_signal_that_the_parent_has_set_to_be_ignored_is_ignored(place):
    """Under `nohup`, or with `&` in a script, Ctrl-C is meant for others: SIGTERM ends the command then."""
    async with Held() as server:
        file = toml(place, [server.credentials()])
        process = start("doctors", "--clinics", file, "--base-url", server.base_url, nohup=True)
        code, _, _ = await interrupted(server, process, signal.SIGINT, signal.SIGTERM)
    assert code == 143


@pytest.mark.parametrize("command", ["check", "token"])
def test_a_signal_ends_a_report_with_what_has_arrived(place, command):
    """The lines of the clinics read so far are written, and a message reports that there were more."""
    with Beside() as beside:
        file = beside.clinics(place, "Milano", "Roma")
        beside.do(lambda fake: fake.set_latency(600, "Roma"))
        beside.do(lambda fake: fake.set_latency(600, "Roma", on="token"))
        where = ("--base-url", beside.fake.base_url) if command == "check" else ()
        with running(command, "--clinics", file, *where) as process:
            first = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=SECONDS)
            assert process.returncode == 143
    assert b"Milano" in first
    assert said.startswith(b"arzamed: interrupted: not all ")
    assert len(said.splitlines()) == 1


def test_ctrl_c_ends_at_once_though_nobody_reads(place):
    """Ctrl-C is obeyed where the pipe is full and its reader stands still."""
    with Beside() as beside:
        file = beside.clinics(place, "Milano", doctors=lambda: (f"Dr. Inventata {n}" for n in range(200_000)))
        with running("doctors", "--clinics", file, "--base-url", beside.fake.base_url) as process:
            poll(lambda: waiting(process.stdout) >= 57_344, "the pipe never filled")  # less than a page is left at most
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 130
            assert b"interrupted" in process.stderr.read()


def test_ctrl_c_does_not_wait_for_a_long_table(place):
    """Ctrl-C while a long table is laid out, which takes a minute, writes its first rows and reports how many."""
    with Beside() as beside:
        file = beside.clinics(place, "Milano", doctors=lambda: (f"Dr. Inventata {n}" for n in range(100_000)))
        arguments = ("doctors", "--clinics", file, "--base-url", beside.fake.base_url, "--format", "table")
        with running(*arguments) as process:
            poll(lambda: beside.fake.requests, "no request")
            poll(lambda: beside.fake.open_requests == 0 and len(beside.fake.requests) == 2, "the list was not read")
            process.send_signal(signal.SIGINT)
            shown, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert b"(2,000 records)" in said
        assert shown.count(b"Dr. Inventata") == 2_000


def test_colours_are_no_cursor_movements(monkeypatch):
    """FORCE_COLOR gives colours in a pipe, and nothing that only a terminal understands."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, written, said = ended("demo")
    assert (code, said) == (0, b"")
    assert set(re.findall(rb"\x1b(?!\[[\d;]*m)", written)) == set()


def test_help_does_not_depend_on_docstrings(monkeypatch):
    """`python -OO` shows the same help."""
    usual = ended("--help")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    assert ended("--help") == usual
    assert b"Write a commented clinics file" in usual[1]


def test_a_locale_without_letters_is_no_error(place, milano, monkeypatch):
    """In LANG=C without UTF-8 mode records are UTF-8 as ever, and a message loses letters alone."""
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    # Without `site`: in this locale CPython does not start where a .pth file names a folder with such letters, as that of
    # an editable install may.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    bare = [sys.executable, "-S", "-m", "arzamed_async.cli"]
    with Beside() as beside:
        file = beside.clinics(place, "Città", doctors=["Dr. Perché"])
        reading = ("--clinics", file, "--base-url", beside.fake.base_url)
        code, written, said = ended("doctors", *reading, command=bare)
        assert (code, json.loads(written)["clinic"], said) == (0, "Città", b"")
        code, written, said = ended("check", *reading, command=bare)
        assert (code, said) == (0, b"")
        assert written.startswith(b"ok      Citt?: token until ")
        assert ended("demo", command=bare)[0] == 0
