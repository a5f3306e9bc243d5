"""The commands of `arzamed` against an Arzamed beside them: what they print, and how they end."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from pathlib import Path

import pytest
from support.cli import neutral_environment, run
from support.clinics_files import toml

from arzamed_async import ClinicCredentials, load_clinics
from arzamed_async.cli import sources
from arzamed_async.cli.init import TEMPLATE
from arzamed_async.cli.running import finish


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give a folder, a cache and an environment of its own to each test."""
    neutral_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(text):
    """Return the messages, each unwrapped to one line."""
    return text.replace("\n  ", " ").splitlines()


def records(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_all_clinics_worked_is_exit_code_0(beside, place):
    """Without a terminal each record is a line of JSON with its clinic, and nothing else is written."""
    done = beside.run("doctors", "--clinics", beside.clinics(place, "Milano", "Roma", doctors=["Dr. Inventata"]))
    assert (done.exit_code, done.stderr) == (0, "")
    assert sorted(each["clinic"] for each in records(done)) == ["Milano", "Roma"]
    assert records(done)[0]["name"] == "Dr. Inventata"


@pytest.mark.parametrize("form", ["table", "json", "ndjson", "csv"])
def test_some_clinics_failed_is_exit_code_3(beside, place, form):
    """The others' records are written whole; a line names the clinic, the reason and the remedy, and the last one the totals."""
    file = beside.clinics(place, "Milano", "Roma")
    beside.do(lambda fake: fake.revoke_key("Roma"))
    done = beside.run("doctors", "--clinics", file, "--format", form)
    assert done.exit_code == 3
    assert done.stdout.count("Dr. ") == 3
    line, last = lines(done.stderr)
    assert last.startswith("arzamed: 1 of 2 clinics complete, 1 failed; 3 records in ")
    assert line.startswith("arzamed: Roma: ")
    assert "invalid_client" in line
    assert "Check client_id, client_secret and token_url" in line
    if form == "json":
        assert len(json.loads(done.stdout)) == 3


def test_no_clinic_worked_is_exit_code_4(beside, place):
    """Where none worked the exit code shows it, and json is still an array."""
    file = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.fail(403, times=None))
    done = beside.run("doctors", "--clinics", file, "--format", "json")
    assert done.exit_code == 4
    assert json.loads(done.stdout) == []
    assert "Equipe Settings" in lines(done.stderr)[0]


def test_a_list_that_is_cut_short_reports_how_much_of_it_is_written(beside, place):
    """Records received before a bad one are written, and the clinic's line gives their number."""
    file = beside.clinics(place, "Milano", doctors=["Dr. Uno", "Dr. Due", {"name": 3, "profileImage": None}])
    done = beside.run("doctors", "--clinics", file)
    assert done.exit_code == 4
    assert len(records(done)) == 2
    assert "Its list is incomplete: 2 records were received before the failure" in lines(done.stderr)[0]


def test_clinics_are_picked_by_name(beside, place):
    """--clinic may be given more than once; the others are not read."""
    file = beside.clinics(place, "Milano", "Roma", "Bari")
    done = beside.run("doctors", "--clinics", file, "--clinic", "Bari", "--clinic", "Roma", "--clinic", "Bari")
    assert {each["clinic"] for each in records(done)} == {"Bari", "Roma"}
    assert beside.fake.token_requests("Milano") == 0


def test_params_and_path_reach_the_server(beside, place):
    """--param adds to the query, repeated keys too, and --path replaces the path."""
    file = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.add_endpoint("v/medici", "Milano", [{"name": "Dr. Altrove", "profileImage": None}]))
    arguments = ("--path", "v/medici", "--param", "day=2030-01-07", "--param", "q=a b", "--param", "q==")
    done = beside.run("doctors", "--clinics", file, *arguments)
    assert records(done)[0]["name"] == "Dr. Altrove"
    assert beside.fake.requests[-1].query == "day=2030-01-07&q=a b&q=%3D"


@pytest.mark.parametrize("kind", ["slots", "patients"])
def test_a_guessed_path_is_reported_in_one_line_and_a_given_one_is_not(beside, place, kind):
    """Slots and patients report that their path is a guess, never as a Python warning, until --path gives it."""
    file = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.add_endpoint("v/right", "Milano", [{"clinic": "x"}]))
    done = beside.run(kind, "--clinics", file)  # a Python warning would be an error here
    given = beside.run(kind, "--clinics", file, "--path", "v/right")
    (line,) = lines(done.stderr)
    assert line.startswith(f"arzamed: the path equipe/{kind} is a guess")
    assert line.endswith("give it with --path")
    assert len(records(done)) == 2
    assert given.stderr == ""
    assert records(given) == [{"clinic": "Milano", "data": {"clinic": "x"}}]


def test_a_wrong_unpublished_path_is_reported(beside, place):
    """A 4xx at a guessed path reports that the path itself may be wrong."""
    file = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.fail(404, path="equipe/slots"))
    done = beside.run("slots", "--clinics", file)
    assert done.exit_code == 4
    assert "This path is unpublished; the path itself may be wrong" in lines(done.stderr)[1]


def test_a_second_command_requests_no_token(beside, place):
    """Tokens are kept for the next command, but not with --no-token-store; check requests a new one."""
    file = beside.clinics(place, "Milano")
    for _ in range(2):
        assert beside.run("doctors", "--clinics", file).exit_code == 0
    assert beside.fake.token_requests() == 1
    assert beside.run("doctors", "--clinics", file, "--no-token-store").exit_code == 0
    assert beside.fake.token_requests() == 2
    assert beside.run("check", "--clinics", file).exit_code == 0
    assert beside.fake.token_requests() == 3


@pytest.mark.skipif(os.name != "posix", reason="modes mean nothing there")
@pytest.mark.parametrize("trap", ["open to others", "a file in its place"])
def test_a_token_folder_that_cannot_be_trusted_is_reported_and_not_used(beside, place, trap):
    """Such a folder costs a line of warning; the command goes on."""
    if trap == "open to others":
        (place / "cache" / "arzamed-async").mkdir(parents=True)
        (place / "cache" / "arzamed-async").chmod(0o777)
    else:
        (place / "cache").write_text("")
    done = beside.run("doctors", "--clinics", beside.clinics(place, "Milano"))
    assert done.exit_code == 0
    (line,) = lines(done.stderr)
    assert line.endswith("Tokens are not kept for the next command")


@pytest.mark.skipif(os.name != "posix", reason="modes mean nothing there")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_clinics_file_that_others_can_open_is_warned_of(beside, place, mode):
    """One line names the file and what to do; the command goes on."""
    file = beside.clinics(place, "Milano")
    Path(file).chmod(mode)
    done = beside.run("doctors", "--clinics", file)
    assert done.exit_code == 0
    assert f"chmod 600 {shlex.quote(file)}" in lines(done.stderr)[0]  # a folder may have a space in its name


def test_where_clinics_come_from(beside, place, monkeypatch):
    """The environment comes last, then ./clinics.toml, then ARZAMED_CLINICS, and --clinics is before all."""
    milano, roma, bari, lecce = (
        beside.do(lambda fake, name=name: fake.add_clinic(name)) for name in ("Milano", "Roma", "Bari", "Lecce")
    )
    for name, value in {
        "CLIENT_ID": milano.client_id, "CLIENT_SECRET": milano.client_secret, "TOKEN_URL": milano.token_url,
        "NAME": "Milano",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ARZAMED_{name}", value)

    def read(*arguments):
        return {each["clinic"] for each in records(beside.run("doctors", *arguments))}

    assert read() == {"Milano"}
    toml(place, [roma], "clinics.toml")
    assert read() == {"Roma"}
    toml(place, [bari], "other.toml")
    monkeypatch.setenv("ARZAMED_CLINICS", "other.toml")
    assert read() == {"Bari"}
    assert read("--clinics", toml(place, [lecce])) == {"Lecce"}


@pytest.mark.skipif(os.name != "posix", reason="modes and owners are others there")
@pytest.mark.parametrize("how", ["another user's", "everyone's"])
def test_a_found_clinics_file_of_others_is_not_read(beside, place, monkeypatch, how):
    """Another user's ./clinics.toml could send this one's secrets anywhere: it counts only where --clinics names it."""
    file = toml(place, [beside.do(lambda fake: fake.add_clinic("Milano"))], "clinics.toml")
    if how == "everyone's":
        Path(file).chmod(0o666)
    else:
        monkeypatch.setattr(sources.os, "geteuid", lambda: os.getuid() + 1)
        monkeypatch.setattr(sources, "_TRUSTED", ())
    done = beside.run("doctors", "--no-token-store")
    assert (done.exit_code, beside.fake.requests) == (2, [])
    assert "if you trust the file, pass --clinics clinics.toml" in " ".join(done.stderr.split())
    assert beside.run("doctors", "--no-token-store", "--clinics", "clinics.toml").exit_code == 0


def test_a_name_too_long_for_a_file_is_a_usage_error():
    """A path that no system has is no clinics file: one message, and no traceback."""
    done = run("check", "--clinics", "x" * 5000)
    assert done.exit_code == 2
    assert "no such file" in done.stderr


def test_the_deadline_is_one_over_the_whole_run(beside, place):
    """--deadline ends a clinic that hangs, and what the others sent is written."""
    file = beside.clinics(place, "Milano", "Roma")
    beside.do(lambda fake: fake.set_latency(600, "Roma"))
    done = beside.run("doctors", "--clinics", file, "--deadline", "0.7")
    assert done.exit_code == 3
    assert {each["clinic"] for each in records(done)} == {"Milano"}
    assert "Roma: deadline of 0.7 s exceeded" in lines(done.stderr)[0]


MISTAKES = {
    "no clinics at all": (["doctors"], "Create the file with `arzamed init`"),
    "no such file": (["check", "--clinics", "nowhere.toml"], "Create it with `arzamed init nowhere.toml`"),
    "a folder": (["check", "--clinics", "."], "cannot be read"),
    "a missing key": (["doctors", "--clinics", "half.toml"], "half.toml: [clinics.Milano]: token_url is missing"),
    "no TOML": (["doctors", "--clinics", "broken.toml"], "broken.toml: is not TOML"),
    "no UTF-8": (["token", "--clinics", "binary.toml"], "is not UTF-8 text"),
    "no such clinic": (["doctors", "--clinics", "good.toml", "--clinic", "Rma"], "(found Milano"),
    "a bad param": (["doctors", "--clinics", "good.toml", "--param", "novalue"], "--param takes key=value"),
    "a bad path": (["doctors", "--clinics", "good.toml", "--path", "/x"], "--path is relative"),
    "a bad path of slots": (["slots", "--clinics", "good.toml", "--path", "a/../b"], "--path must not contain"),
    "a bad base URL": (["doctors", "--clinics", "good.toml", "--base-url", "ftp://x"], "--base-url must begin"),
    "two places": (["doctors", "--sandbox", "--base-url", "https://x"], "cannot be combined"),
    "a bad deadline": (
        ["doctors", "--clinics", "good.toml", "--deadline", "0"],
        "--deadline must be greater than zero",
    ),
    "a bad timeout": (["check", "--clinics", "good.toml", "--timeout", "nan"], "--timeout must be greater than zero"),
    "a bad proxy": (["token", "--clinics", "good.toml", "--proxy", "socks5://x"], "--proxy must begin with"),
    "a bad concurrency": (["doctors", "--clinics", "good.toml", "--concurrency", "0"], "--concurrency"),
    "an unknown format": (["doctors", "--format", "xml"], "--format"),
    "an unknown option": (["doctors", "--formt", "csv"], "--formt"),
    "a file in the way": (["init", "good.toml"], "--force replaces it"),
    "no folder to write to": (["init", "nowhere/clinics.toml"], "cannot be written"),
    "no number": (["serve-fake", "--latency", "nan"], "--latency must be zero or more"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_exit_code_2_and_reads_well_in_80_columns(place, mistake):
    """A mistake of the user is reported in 80 columns, without a traceback, and nothing is read."""
    good = ClinicCredentials("id-Milano", "invented-secret-canary", "https://auth.example/token", name="Milano")
    toml(place, [good], "good.toml")
    for name, text in {
        "half.toml": b'[clinics.Milano]\nclient_id = "x"\nclient_secret = "invented-secret-canary"\n',
        "broken.toml": b"[clinics.Milano\n",
        "binary.toml": b"\xff\xfe",
    }.items():
        (place / name).write_bytes(text)
    arguments, words = MISTAKES[mistake]
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    said = " ".join(done.stderr.replace("│", " ").split())
    assert words in said
    assert "Traceback" not in said
    assert "canary" not in said
    assert max(map(len, done.stderr.splitlines())) <= 80


@pytest.mark.parametrize("command", [[], *([each] for each in ("doctors", "slots", "patients", "check", "token", "init", "serve-fake", "demo"))])  # fmt: skip
def test_help_reads_well_in_80_columns(command):
    """Every help fits, and that of what reads clinics lists the exit codes."""
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    codes = "0 all clinics worked, 3 some failed, 4 none worked, 2 usage error" in " ".join(done.stdout.split())
    assert codes == (command not in (["init"], ["serve-fake"], ["demo"]))


@pytest.mark.parametrize("kind", ["secret", "unset variable", "unreachable host", "no list"])
def test_a_failed_clinic_is_one_clear_line(beside, place, monkeypatch, kind):
    """A wrong secret, an unset variable, an unreachable host, a response that is not a list: reason and remedy."""
    good = beside.do(lambda fake: fake.add_clinic("Milano"))
    file, expected = "bad.toml", ""
    secret, url = 'client_secret = "invented-wrong"', good.token_url
    if kind == "secret":
        expected = "Check client_id, client_secret and token_url"
    elif kind == "unset variable":
        secret, expected = 'client_secret_env = "INVENTED_UNSET"', "INVENTED_UNSET is not set"
    elif kind == "unreachable host":
        secret, expected = f'client_secret = "{good.client_secret}"', "connection refused"
    else:
        secret, expected = f'client_secret = "{good.client_secret}"', "Check the path: the response is not a list"
        beside.do(lambda fake: fake.add_endpoint("equipe/doctors", "Milano", [{"wrong": 1}]))
    (place / file).write_text(f'[clinics.Milano]\nclient_id = "{good.client_id}"\n{secret}\ntoken_url = "{url}"\n')
    (place / file).chmod(0o600)
    away = ["--base-url", "http://127.0.0.1:1"] if kind == "unreachable host" else []
    done = run("doctors", "--clinics", file, "--base-url", beside.fake.base_url, *away)
    assert done.exit_code == 4
    (line,) = lines(done.stderr)
    assert line.startswith("arzamed: Milano: ")
    assert expected in line
    assert "invented-wrong" not in line
    assert max(map(len, done.stderr.splitlines())) <= 80


def test_check_reports_each_clinic_with_reason_and_remedy(beside, place):
    """A line for each clinic, working or not; one that has no doctors works."""
    file = beside.clinics(place, "Milano", "Roma")
    beside.do(lambda fake: fake.revoke_key("Roma"))
    beside.do(lambda fake: fake.add_endpoint("equipe/doctors", "Milano", []))
    done = beside.run("check", "--clinics", file)
    assert (done.exit_code, done.stderr) == (3, "")
    *clinics, last = lines(done.stdout)
    assert last == f"1 of 2 clinics work (neither production nor the sandbox, {beside.fake.base_url})"
    good, bad = sorted(clinics, reverse=True)
    assert good.startswith("ok      Milano: token until ")
    assert bad.startswith("failed  Roma: ")
    assert "Check client_id" in bad


def test_the_token_is_shown_only_on_demand(beside, place):
    """Expiry and claims are shown, the token itself with --reveal alone, which writes nothing else."""
    file = beside.clinics(place, "Milano", "Roma")
    beside.do(lambda fake: fake.revoke_key("Roma"))
    done = run("token", "--clinics", file)
    revealed = run("token", "--clinics", file, "--reveal", "--clinic", "Milano", "-v")
    assert (done.exit_code, revealed.exit_code) == (3, 0)
    assert "not verified" in done.stdout
    assert "https://api.nextgen.arzamed.com/read" in done.stdout
    assert "(in 60 min)" in done.stdout
    assert "hidden (--reveal shows it)" in done.stdout
    assert "eyJ" not in done.stdout + done.stderr
    assert re.fullmatch(r"eyJ[\w.-]+\n", revealed.stdout)
    assert lines(done.stderr)[0].startswith("arzamed: Roma: ")


@pytest.mark.skipif(os.name != "posix", reason="modes mean nothing there")
def test_init_writes_a_file_for_its_owner_alone_that_loads(place):
    """`init` writes mode 0600 whatever the umask, never over a file, and what it writes is a clinics file."""
    old = os.umask(0)
    try:
        done = run("init")
    finally:
        os.umask(old)
    assert done.exit_code == 0
    assert "arzamed check" in done.stdout
    file = place / "clinics.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [clinic.name for clinic in load_clinics(file)] == ["example"]
    file.write_text("mine")
    assert run("init").exit_code == 2
    assert file.read_text() == "mine"
    file.chmod(0o644)
    assert run("init", "--force").exit_code == 0
    assert file.read_text() == TEMPLATE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in place.iterdir()] == ["clinics.toml"]


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege there")
def test_init_follows_no_link(place):
    """A link in the file's place is not followed, a dangling one neither; --force replaces the link itself."""
    (place / "clinics.toml").symlink_to("elsewhere")
    assert run("init").exit_code == 2
    assert run("init", "--force").exit_code == 0
    assert not (place / "elsewhere").exists()
    assert not (place / "clinics.toml").is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="there are no such files there")
def test_init_replaces_only_a_file(place):
    """--force leaves a named pipe, a device or a socket what it is: a rename would remove it."""
    os.mkfifo(place / "pipe")
    done = run("init", "pipe", "--force")
    assert done.exit_code == 2
    assert "pipe cannot be written (it is not a regular file)" in done.stderr
    assert stat.S_ISFIFO((place / "pipe").lstat().st_mode)
    assert [each.name for each in place.iterdir()] == ["pipe"]


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output(place):
    """Only an error of standard output is reported as such: an unexpected missing file is a bug, with its traceback."""
    with pytest.raises(FileNotFoundError):
        finish(lambda voice: (place / "nowhere").stat().st_mode)
