"""`arzamed` as a process of its own: pipes, signals, terminals."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_support import COMMAND, Beside, start, toml
from support import RawServer, token_answer

from arzamed_async import load_clinics

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and terminals are others there")

SECONDS = 60  # a bound for what should take a moment


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give a cache and an environment of its own to each test."""
    for name in [name for name in os.environ if name.startswith("ARZAMED_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return tmp_path


@contextlib.contextmanager
def running(*arguments, **options):
    """Run the command, and leave nothing of it."""
    process = start(*arguments, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def poll(condition, what):
    """Wait until it is so."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def waiting(pipe):
    """Return how many bytes wait in a pipe."""
    import fcntl
    import termios

    size = array.array("i", [0])
    fcntl.ioctl(pipe.fileno(), termios.FIONREAD, size)
    return size[0]


def test_a_closed_pipe_ends_quietly(place):
    """`| head -1`: whoever has read enough is not told of it, and the exit code is that of a closed pipe."""
    with Beside() as beside:
        file = beside.clinics(place, "Milano", doctors=lambda: (f"Dr. Inventata {n}" for n in range(200_000)))
        with running("doctors", "--clinics", file, "--base-url", beside.fake.base_url) as process:
            assert json.loads(process.stdout.readline())["name"] == "Dr. Inventata 0"
            process.stdout.close()
            assert process.wait(SECONDS) == 141
            assert process.stderr.read() == b""


def test_ctrl_c_ends_at_once_though_nobody_reads(place):
    """Ctrl-C is obeyed where the pipe is full and its reader stands still."""
    with Beside() as beside:
        file = beside.clinics(place, "Milano", doctors=lambda: (f"Dr. Inventata {n}" for n in range(200_000)))
        with running("doctors", "--clinics", file, "--base-url", beside.fake.base_url) as process:
            poll(lambda: waiting(process.stdout) >= 57_344, "the pipe never filled")  # less than a page is left at most
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 130
            assert b"interrupted" in process.stderr.read()


class Held(RawServer):
    """Sends the beginning of a list, and holds back the rest until the client is gone."""

    def __init__(self):
        super().__init__(self.hold)

    async def hold(self, request, writer):
        if request.is_token:
            return writer.write(token_answer())
        records = json.dumps([{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(500)]).encode()
        writer.write(
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(records) - 1, records[:-1])
        )
        await writer.drain()
        await asyncio.sleep(10 * SECONDS)


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["ndjson", "json", "csv"])
async def test_ctrl_c_ends_with_what_has_arrived(place, form):
    """Records are written while the server holds back the rest; Ctrl-C ends with them, and a JSON array is closed."""
    async with Held() as server:
        file = toml(place, [server.credentials()])
        process = start("doctors", "--clinics", file, "--base-url", server.base_url, "--format", form)
        try:
            first = b""
            while b"Dr. " not in first:
                first += await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), SECONDS)
            process.send_signal(signal.SIGINT)
            rest, said = await asyncio.to_thread(process.communicate, None, SECONDS)
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)
    text = (first + rest).decode()
    assert process.returncode == 130
    assert b"interrupted: what is written is not all" in said
    assert b"Traceback" not in said
    assert f"({text.count('Dr. '):,} records)".encode() in said
    if form == "json":
        assert json.loads(text)[0]["name"] == "Dr. Inventata 0"
    elif form == "ndjson":
        assert json.loads(text.splitlines()[-1])["clinic"] == "Milano"


#: The command, and at its end the peak of its memory (Linux; what `getrusage` tells includes the parent's).
MEASURED = """
import atexit, re, sys
from arzamed_async.cli.main import main
atexit.register(lambda: sys.stderr.write(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]))
main()
"""


@pytest.mark.parametrize("form", ["ndjson", "json", "csv"])
def test_memory_does_not_grow_with_the_list(place, form):
    """A list ten times as long takes no more memory, though its text alone would be megabytes."""
    with Beside() as beside:
        peaks = []
        for size in (10_000, 100_000):
            records = (f"Dr. Inventata {n}" for n in range(size))
            file = beside.clinics(place, f"{size}", doctors=lambda records=records: records)
            arguments = ["doctors", "--clinics", file, "--base-url", beside.fake.base_url, "--format", form]
            command = [sys.executable, "-c", MEASURED, *arguments]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
            peaks.append(int(done.stderr))
    assert peaks[1] - peaks[0] < 4_000, peaks  # KiB


def test_ctrl_c_does_not_wait_for_a_long_table(place):
    """Ctrl-C while a long table is laid out, which takes a minute, writes its first rows and says how many."""
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


COMMANDS = {
    "doctors": ("doctors", "--clinics", "FILE", "--base-url", "URL"),
    "check": ("check", "--clinics", "FILE", "--base-url", "URL"),
    "token": ("token", "--clinics", "FILE"),
    "init": ("init", "NEW"),
    "serve-fake": ("serve-fake",),
    "demo": ("demo",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line(place, command):
    """Output that cannot be written is a line and exit code 1, whatever the command."""
    device = Path("/dev/full")
    assert device.exists(), "this test needs Linux's /dev/full"
    with Beside() as beside, device.open("wb") as full:
        names = {"FILE": beside.clinics(place, "Milano"), "URL": beside.fake.base_url, "NEW": str(place / "new.toml")}
        arguments = [names.get(each, each) for each in COMMANDS[command]]
        with running(*arguments, stdout=full) as process:
            assert process.wait(SECONDS) == 1
            assert process.stderr.read() == b"arzamed: the output cannot be written (No space left on device)\n"


@pytest.mark.parametrize("command", ["check", "token", "init", "serve-fake", "demo"])
def test_a_pipe_that_is_closed_has_the_same_exit_code_for_all_commands(place, command):
    """A reader that has gone is 141, and not a word is said."""
    ours, theirs = os.pipe()
    os.close(ours)
    with Beside() as beside, os.fdopen(theirs, "wb") as pipe:
        names = {"FILE": beside.clinics(place, "Milano"), "URL": beside.fake.base_url, "NEW": str(place / "new.toml")}
        arguments = [names.get(each, each) for each in COMMANDS[command]]
        with running(*arguments, stdout=pipe) as process:
            assert process.wait(SECONDS) == 141
            assert process.stderr.read() == b""


def on_a_terminal(*arguments):
    """Run the command on a pseudo-terminal of 80 columns; return its exit code and what is seen."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=dict(os.environ))
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(ours, 65_536):
            seen += piece
    os.close(ours)
    return process.wait(SECONDS), seen.decode()


def test_on_a_terminal_there_is_a_table_and_progress(place, monkeypatch):
    """A person sees progress and a table, and no escape sequence of the data; NO_COLOR is obeyed."""
    monkeypatch.setenv("NO_COLOR", "1")
    with Beside() as beside:
        file = beside.clinics(place, "Milano", "Roma", doctors=["Dr. \x1b]0;taken\x07"])
        beside.do(lambda fake: fake.revoke_key("Roma"))
        code, seen = on_a_terminal("doctors", "--clinics", file, "--base-url", beside.fake.base_url)
    assert code == 3
    assert "Reading clinics" in seen
    assert "Clinic" in seen
    assert "\x1b]" not in seen
    assert not re.search(r"\x1b\[[\d;]*3\d", seen), "a colour"
    assert seen.index("Photo") < seen.index("arzamed: Roma: ")  # failures stand below the table
    assert all(len(re.sub(r"\x1b\[[\d;?]*\w", "", line)) <= 80 for line in re.split(r"[\r\n]+", seen))


def test_the_fake_serves_until_it_is_told_to_stop(place):
    """`serve-fake` writes a clinics file for its owner, answers, ends well on SIGTERM, and takes no file of others."""
    file = place / "fake.toml"
    arguments = ("serve-fake", "--count", "2", "--write-clinics", str(file))
    with running(*arguments) as process:
        base_url = process.stdout.readline().decode().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [clinic.name for clinic in load_clinics(file)] == ["fake-1", "fake-2"]
        reading = ("doctors", "--clinics", str(file), "--base-url", base_url)
        done = subprocess.run([*COMMAND, *reading], capture_output=True, check=False, timeout=SECONDS)
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(done.stdout.splitlines()) == 6
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    file.write_text("mine")
    with running(*arguments) as process:
        assert process.wait(SECONDS) == 2
        assert b"is left as it is" in process.stderr.read()
    assert file.read_text() == "mine"


def test_the_fake_without_a_file_prints_one(place):
    """Without --write-clinics standard output is the clinics file, and Ctrl-C is the end that was asked for."""
    with running("serve-fake", "--count", "1") as process:
        head = [process.stdout.readline() for _ in range(7)]
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    (place / "printed.toml").write_bytes(b"".join(head))
    assert [clinic.name for clinic in load_clinics(place / "printed.toml")] == ["fake-1"]
    assert head[1].startswith(b"# base URL: http://127.0.0.1:")


def test_a_port_that_is_taken_is_one_line(place):
    """`serve-fake` on a port that another has says so and exits with 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running("serve-fake", "--port", port) as process:
            assert process.wait(SECONDS) == 2
            said = process.stderr.read()
    assert said.startswith(f"arzamed: port {port} of 127.0.0.1 cannot be had (".encode())
    assert len(said.splitlines()) == 1


def test_without_standard_output_nothing_breaks(place):
    """With standard output closed (`>&-`) the command does its work and says nothing."""
    code = "import sys; sys.stdout = None; from arzamed_async.cli.main import main; main()"
    with Beside() as beside:
        file = beside.clinics(place, "Milano")
        for command in ("doctors", "check"):
            arguments = [sys.executable, "-c", code, command, "--clinics", file, "--base-url", beside.fake.base_url]
            done = subprocess.run(arguments, capture_output=True, check=False, timeout=SECONDS)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
