"""`--output`, `--complete-only` and `--report`: files that are whole or not there, and what they hold."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import tracemalloc
from pathlib import Path

import pytest
from support.cli import SECONDS, Held, ended, poll, running, start
from support.clinics_files import toml

from arzamed_async.cli import destination, listing, spool
from arzamed_async.cli.destination import FileOutput, OutputError
from arzamed_async.cli.spool import BLOCK_BYTES, Spool
from arzamed_async.testing import Answer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and links are others there")

pytestmark = pytest.mark.usefixtures("place")

#: The third record is none, so that the list fails half-way.
HALF = ["Dr. Uno", "Dr. Due", {"name": 3, "profileImage": None}]


@pytest.fixture
def out(place):
    """Give a folder in which the command may leave its file, and nothing else."""
    (place / "out").mkdir()
    return place / "out"


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def clinics_of(text):
    return [json.loads(line)["clinic"] for line in text.splitlines()]


@pytest.mark.parametrize(("name", "begins"), [("a.json", "[\n"), ("a.CSV", "clinic,name"), ("a.txt", '{"clinic"')])
def test_the_output_is_a_file_for_its_owner(beside, place, out, name, begins):
    """--output writes all records to a file of mode 0600, in the format of its name, and the last line has the totals."""
    old = os.umask(0)
    try:
        done = beside.run("doctors", "--clinics", beside.clinics(place, "Milano"), "-o", f"out/{name}")
    finally:
        os.umask(old)
    assert (done.exit_code, done.stdout) == (0, "")
    text = (out / name).read_text()
    assert text.startswith(begins)
    assert text.count("Milano") == 3
    assert stat.S_IMODE((out / name).stat().st_mode) == 0o600
    assert names(out) == [name]
    (line,) = done.stderr.splitlines()
    assert line.startswith("arzamed: 1 of 1 clinic complete; 3 records in ")
    assert line.endswith(f", written to out/{name}")


def test_a_dash_is_standard_output(beside, place):
    """`--output -` writes to standard output."""
    done = beside.run("doctors", "--clinics", beside.clinics(place, "Milano"), "--output", "-")
    assert clinics_of(done.stdout) == ["Milano"] * 3


def test_a_file_is_replaced_with_its_mode_and_a_link_stays(beside, place, out):
    """An existing file keeps its mode, and a link is followed: what it leads to is replaced."""
    (place / "elsewhere").write_text("old")
    (place / "elsewhere").chmod(0o640)
    (out / "a.ndjson").symlink_to(place / "elsewhere")
    assert beside.run("doctors", "--clinics", beside.clinics(place, "Milano"), "-o", "out/a.ndjson").exit_code == 0
    assert (out / "a.ndjson").is_symlink()
    assert clinics_of((place / "elsewhere").read_text()) == ["Milano"] * 3
    assert stat.S_IMODE((place / "elsewhere").stat().st_mode) == 0o640
    assert names(out) == ["a.ndjson"]


def test_a_umask_takes_nothing_from_the_owner(beside, place, out):
    """Output and report have mode 0600 under a umask that would leave their owner no right."""
    file = beside.clinics(place, "Milano")
    old = os.umask(0o777)
    try:
        done = beside.run("doctors", "--clinics", file, "-o", "out/a.csv", "--report", "out/r.json", "--no-token-store")
    finally:
        os.umask(old)
    assert done.exit_code == 0
    assert [stat.S_IMODE((out / name).stat().st_mode) for name in ("a.csv", "r.json")] == [0o600] * 2


def test_the_mode_of_another_users_file_is_not_kept(beside, place, out, monkeypatch):
    """Who puts a file that all can read in the output's place does not get to read the records."""
    (out / "a.csv").write_text("planted")
    (out / "a.csv").chmod(0o666)
    file = beside.clinics(place, "Milano")
    monkeypatch.setattr(destination.os, "geteuid", lambda: os.getuid() + 1)
    assert beside.run("doctors", "--clinics", file, "-o", "out/a.csv", "--no-token-store").exit_code == 0
    assert "Milano" in (out / "a.csv").read_text()
    assert stat.S_IMODE((out / "a.csv").stat().st_mode) == 0o600


def test_a_link_of_another_user_is_not_followed(beside, place, out, monkeypatch):
    """A link that another user has put in the output's place is a usage error: nothing is read, nothing is replaced."""
    (place / "elsewhere").write_text("old")
    (out / "a.csv").symlink_to(place / "elsewhere")
    owners = {"a.csv": os.getuid() + 1, "out": os.getuid() + 2}
    monkeypatch.setattr(destination, "_owner", lambda path: owners[path.name])
    file = beside.clinics(place, "Milano")
    done = beside.run("doctors", "--clinics", file, "-o", "out/a.csv")
    assert (done.exit_code, beside.fake.requests) == (2, [])
    assert "out/a.csv is a link that belongs to another user" in done.stderr
    assert (place / "elsewhere").read_text() == "old"
    owners["out"] = owners["a.csv"]  # a link of the folder's own owner is followed
    assert beside.run("doctors", "--clinics", file, "-o", "out/a.csv").exit_code == 0
    assert "Milano" in (place / "elsewhere").read_text()


@pytest.mark.parametrize("name", ["/dev/stdout", "loop.csv"])
def test_what_leads_to_no_file_is_refused_before_anything_is_read(beside, place, name):
    """A link that leads to itself, and a standard output that is a pipe, are usage errors."""
    (place / "loop.csv").symlink_to("loop.csv")
    file = beside.clinics(place, "Milano")
    code, _, said = ended("doctors", "--clinics", file, "--base-url", beside.fake.base_url, "-o", name)
    assert (code, beside.fake.requests) == (2, [])
    assert f"--output: {name} ".encode() in said


def test_where_no_clinic_works_the_old_file_stays(beside, place, out):
    """Exit code 4 replaces nothing, and a line reports it."""
    (out / "a.ndjson").write_text("old")
    file = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.fail(403, times=None))
    done = beside.run("doctors", "--clinics", file, "-o", "out/a.ndjson")
    assert done.exit_code == 4
    assert (out / "a.ndjson").read_text() == "old"
    assert names(out) == ["a.ndjson"]
    assert done.stderr.splitlines()[-1].endswith("; out/a.ndjson is not written")


@pytest.mark.parametrize("form", ["ndjson", "json", "csv", "table"])
@pytest.mark.parametrize("to", ["a file", "standard output"])
def test_complete_only_leaves_out_half_a_clinic(beside, place, out, form, to):
    """With --complete-only a clinic that fails half-way has no row; without, its rows are there, and the totals count them."""
    file = toml(place, [*beside.do(lambda fake: [fake.add_clinic("Milano"), fake.add_clinic("Bari", doctors=HALF)])])
    where = ["-o", "out/a"] if to == "a file" else []

    def read(*more):
        done = beside.run("doctors", "--clinics", file, "--format", form, *where, *more)
        assert done.exit_code == 3
        return done.stderr, (out / "a").read_text() if where else done.stdout

    said, text = read("--complete-only")
    assert text.count("Milano") == 3
    assert "Bari" not in text
    assert "Dr. Uno" not in text
    assert "The 2 records received before the failure are left out" in said
    assert "1 of 2 clinics complete, 1 failed; 3 records in " in said
    said, text = read()
    assert text.count("Bari") == 2
    assert "5 records (2 of them from incomplete lists) in " in said


def test_a_complete_list_longer_than_memory_comes_back_whole(beside, place, out):
    """Records that go through the temporary file are those of the API, in their order, and none of that file is left."""
    doctors = [f"Dr. Inventata {n} {'x' * (n % 700)}" for n in range(3000)]
    file = beside.clinics(place, "Milano", "Roma", doctors=doctors)
    done = beside.run("doctors", "--clinics", file, "--complete-only", "-o", "out/a")
    assert done.exit_code == 0
    for clinic in ("Milano", "Roma"):
        lines = map(json.loads, (out / "a").read_text().splitlines())
        assert [each["name"] for each in lines if each["clinic"] == clinic] == doctors
    assert names(out) == ["a"]


def test_the_report_names_each_clinic(beside, place, out):
    """--report has outcome, records, attempts, seconds, error class and request id of each clinic, and the totals."""
    file = beside.clinics(place, "Milano", "Roma", "Bari")
    beside.do(lambda fake: fake.revoke_key("Roma"))
    beside.do(lambda fake: fake.script(503, Answer(403, headers={"X-Request-Id": "invented-7"}), clinic="Bari"))
    done = beside.run("doctors", "--clinics", file, "-o", "out/a.json", "--report", "out/r.json")
    assert done.exit_code == 3
    report = json.loads((out / "r.json").read_text())
    assert stat.S_IMODE((out / "r.json").stat().st_mode) == 0o600
    milano, roma, bari = report["clinics"]
    assert report["totals"] == {"clinics": 3, "complete": 1, "failed": 2, "records": 3}
    assert (report["exit_code"], report["output"], report["output_written"]) == (3, "out/a.json", True)
    assert (milano["outcome"], milano["records"], milano["attempts"], milano["error"]) == ("complete", 3, 1, None)
    assert (roma["outcome"], roma["attempts"], roma["token_requests"], roma["status"]) == ("failed", 0, 1, 401)
    assert roma["error"] == "CredentialsRejectedError"
    assert (bari["attempts"], bari["error"], bari["status"]) == (2, "ForbiddenError", 403)
    assert all(0 < each["seconds"] < SECONDS for each in report["clinics"])
    lines = [line.removeprefix("arzamed: ") for line in done.stderr.splitlines()]
    assert {roma["message"], bari["message"]} <= set(lines)
    assert milano["message"] is None
    assert bari["request_id"] == "invented-7"
    assert names(out) == ["a.json", "r.json"]
    assert done.stderr.splitlines()[-1].endswith(", written to out/a.json; report in out/r.json")


MISTAKES = {
    "a folder": (["-o", "out"], "--output: out is a folder"),
    "a folder that is not there": (["-o", "nowhere/a"], "--output: nowhere/a cannot be written: its folder does not"),
    "no regular file": (["-o", "/dev/null"], "--output: /dev/null is not a regular file"),
    "a long name": (["--report", "a" * 300], "cannot be written (File name too long)"),
    "one file twice": (["-o", "out/x", "--report", "out/../out/x"], "--output and --report name the same file"),
    "the keys": (["-o", "invented.toml"], "--output names the clinics file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_path_that_cannot_be_is_a_usage_error(beside, place, out, mistake):
    """Such a path is refused before anything is read, and the keys are never written over."""
    file = beside.clinics(place, "Milano")
    before = Path(file).read_text()
    arguments, words = MISTAKES[mistake]
    done = beside.run("doctors", "--clinics", file, *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert beside.fake.requests == []
    assert Path(file).read_text() == before
    assert names(out) == []


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing(beside, place, out, monkeypatch, step):
    """Where the file cannot be written, at whatever step: exit code 1, one line, the old file, no temporary one."""
    (out / "a").write_text("old")
    file = beside.clinics(place, "Milano")

    def full(*_):
        raise OSError(28, "No space left on device")

    if step == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif step == "write":
        monkeypatch.setattr(FileOutput, "_opened", full)
    else:
        monkeypatch.setattr(destination.os, step, full)
    done = beside.run("doctors", "--clinics", file, "-o", "out/a", "--no-token-store")
    monkeypatch.undo()
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-2] == "arzamed: out/a cannot be written (No space left on device)"
    assert (out / "a").read_text() == "old"
    assert names(out) == ["a"]


def test_a_report_that_cannot_be_written_is_exit_code_1(beside, place, out, monkeypatch):
    """The records are written, and the report's failure is a line."""
    file = beside.clinics(place, "Milano")

    def full(*_):
        raise OutputError("out/r cannot be written (No space left on device)")

    monkeypatch.setattr(listing, "write_report", full)
    done = beside.run("doctors", "--clinics", file, "-o", "out/a", "--report", "out/r")
    assert done.exit_code == 1
    assert "arzamed: out/r cannot be written (No space left on device)" in done.stderr.splitlines()
    assert names(out) == ["a"]


def test_a_temporary_file_that_cannot_be_written_is_exit_code_1(beside, place, out, monkeypatch):
    """A full disk under --complete-only is one line, and no traceback."""
    file = beside.clinics(place, "Milano", doctors=["x" * 1000] * 200)

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.tempfile, "TemporaryFile", full)
    done = beside.run("doctors", "--clinics", file, "-o", "out/a", "--complete-only")
    assert done.exit_code == 1
    assert "arzamed: a temporary file in" in done.stderr
    assert names(out) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [[], ["--complete-only"]])
async def test_a_signal_leaves_no_file(place, out, number, more):
    """Ctrl-C and SIGTERM half-way leave the old file, the report, and nothing else."""
    (out / "a").write_text("old")
    async with Held() as server:
        file = toml(place, [server.credentials()])
        process = start(
            "doctors", "--clinics", file, "--base-url", server.base_url, "-o", "out/a", "--report", "out/r", *more
        )
        try:
            await asyncio.to_thread(poll, lambda: len(names(out)) > 1, "no temporary file")
            await asyncio.sleep(0.3)  # so that records have arrived
            process.send_signal(number)
            _, said = await asyncio.to_thread(process.communicate, None, SECONDS)
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)
    assert process.returncode == 128 + number
    assert said == b"arzamed: interrupted: out/a is not written\n"
    assert (out / "a").read_text() == "old"
    assert names(out) == ["a", "r"]
    report = json.loads((out / "r").read_text())
    assert (report["exit_code"], report["clinics"][0]["outcome"]) == (128 + number, "not finished")


def test_a_broken_pipe_is_silent_and_has_a_report(beside, place, out):
    """`| head -1` with --report: exit code 141, no message, and the report is there."""
    file = beside.clinics(place, "Milano", doctors=lambda: (f"Dr. Inventata {n}" for n in range(50_000)))
    with running(
        "doctors", "--clinics", file, "--base-url", beside.fake.base_url, "--report", str(out / "r")
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(SECONDS) == 141
        assert process.stderr.read() == b""
    assert json.loads((out / "r").read_text())["exit_code"] == 1


def test_a_spool_uses_its_file_again_and_little_memory():
    """Blocks of clinics that are done are used again; of each clinic little more than a block is in memory."""
    record = os.urandom(1000)
    tracemalloc.start()
    with Spool(None) as kept:
        size = 0
        for _ in range(5):
            for _ in range(2000):
                for clinic in ("Milano", "Roma"):
                    kept.add(clinic, record)
            _, most = tracemalloc.get_traced_memory()
            assert most < 12 * BLOCK_BYTES
            assert all(each == record for each in kept.take("Milano"))
            kept.drop("Roma")
            assert list(kept.take("Roma")) == []
            size = size or kept.file_bytes
        assert 3_800_000 < size == kept.file_bytes < 4_100_000
    tracemalloc.stop()


def test_the_file_of_a_spool_is_private_and_gone_with_it(out):
    """Personal data there is for the owner alone, and no name of it is left in the folder."""
    with Spool(out) as kept:
        kept.add("Milano", b"x" * BLOCK_BYTES * 2)
        assert stat.S_IMODE(os.fstat(kept._file.fileno()).st_mode) == 0o600
        assert names(out) == []
        assert list(kept.take("Milano")) == [b"x" * BLOCK_BYTES * 2]
    assert names(out) == []
