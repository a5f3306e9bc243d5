"""`arzamed` as a process of its own: memory, terminals, servers. (How it ends: test_cli_ending.)"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys

import pytest
from support.cli import COMMAND, SECONDS, Beside, neutral_environment, running

from arzamed_async import load_clinics

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and terminals are others there")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give a cache and an environment of its own to each test."""
    neutral_environment(monkeypatch, tmp_path)
    return tmp_path


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
    """A person sees progress with rate and time left, and a table, and no escape sequence of the data; NO_COLOR is obeyed."""
    monkeypatch.setenv("NO_COLOR", "1")
    with Beside() as beside:
        file = beside.clinics(place, "Milano", "Roma", doctors=["Dr. \x1b]0;taken\x07"])
        beside.do(lambda fake: fake.revoke_key("Roma"))
        code, seen = on_a_terminal("doctors", "--clinics", file, "--base-url", beside.fake.base_url)
    assert code == 3
    assert re.search(r"Reading clinics .*\d records, \d+/s .* left ", seen), (
        "clinics, records, their rate, the time left"
    )
    assert "Clinic" in seen
    assert "\x1b]" not in seen
    assert not re.search(r"\x1b\[[\d;]*3\d", seen), "a colour"
    assert seen.index("Photo") < seen.index("arzamed: Roma: ")  # failures stand below the table
    assert all(len(re.sub(r"\x1b\[[\d;?]*\w", "", line)) <= 80 for line in re.split(r"[\r\n]+", seen))


def test_the_fake_serves_until_it_is_stopped(place):
    """`serve-fake` writes a clinics file for its owner, serves, ends well on SIGTERM, and replaces no other file."""
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
        assert b"already exists; not overwritten" in process.stderr.read()
    assert file.read_text() == "mine"


def test_the_fake_without_a_file_prints_one(place):
    """Without --write-clinics standard output is the clinics file, and Ctrl-C ends it with exit code 0."""
    with running("serve-fake", "--count", "1") as process:
        head = [process.stdout.readline() for _ in range(7)]
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    (place / "printed.toml").write_bytes(b"".join(head))
    assert [clinic.name for clinic in load_clinics(place / "printed.toml")] == ["fake-1"]
    assert head[1].startswith(b"# base URL: http://127.0.0.1:")


def test_a_port_that_is_taken_is_one_line(place):
    """`serve-fake` on a port in use reports it and exits with 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running("serve-fake", "--port", port) as process:
            assert process.wait(SECONDS) == 2
            said = process.stderr.read()
    assert said.startswith(f"arzamed: cannot bind 127.0.0.1:{port} (".encode())
    assert len(said.splitlines()) == 1
