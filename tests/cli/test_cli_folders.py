"""Folders and files that a command finds by the environment: none that is not absolute, and each is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest
from support.cli import Beside, ended, run

from arzamed_async import ConfigurationError
from arzamed_async.stores import FileTokenStore


def raises(*_: object, **__: object) -> str:
    raise KeyError("getpwuid(): uid not found: 54321")


FOLDERS: dict[str, Callable[..., str]] = {
    "unexpanded": lambda *_, **__: "~/.cache/arzamed-async",
    "relative": lambda *_, **__: "relative/arzamed-async",
    "empty": lambda *_, **__: "",
    "raises": raises,
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_no_folder_that_is_not_absolute(
    beside: Beside, place: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A cache folder that is not absolute is a ConfigurationError; a command says so in a line, and goes on."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", FOLDERS[kind])
    monkeypatch.setattr(platformdirs, "user_config_dir", FOLDERS[kind])
    with pytest.raises(ConfigurationError, match="the user's cache folder is not known: set HOME"):
        FileTokenStore()
    file = beside.clinics(place, "Milano")
    before = sorted(place.iterdir())
    done = beside.run("doctors", "--clinics", file, "--format", "csv")
    assert done.exit_code == 0
    assert done.stdout.startswith("clinic,name")
    assert done.stderr.count("\n") == 1
    assert "Tokens are not kept for the next command" in done.stderr
    assert sorted(place.iterdir()) == before
    nowhere = run("check")
    assert nowhere.exit_code == 2
    assert "no clinics: clinics.toml does not exist here, and" in " ".join(nowhere.stderr.split())


@pytest.mark.parametrize("arguments", [["check"], ["doctors", "--output", "out.csv"], ["model", "slots", "-o", "s.py"]])
def test_a_configuration_folder_that_cannot_be_looked_into(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """A folder that another user has closed, or whose name no file can have, holds no clinics: a line says what to do."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / ("x" * 300)))  # root, too, cannot look there
    done = run(*arguments)
    assert done.exit_code == 2
    assert "no clinics: clinics.toml does not exist here, " in " ".join(done.stderr.split())
    assert [each.name for each in place.iterdir()] == []


@pytest.mark.skipif(os.name != "posix", reason="user ids are others there")
def test_an_unknown_user_without_a_home(beside: Beside, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of a user id without an entry, and without HOME, reads, and writes no folder named `~`."""
    file = beside.clinics(place, "Milano")
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    program = (
        "import pwd\n"
        "def unknown(number): raise KeyError(number)\n"
        "pwd.getpwuid = unknown\n"
        "from arzamed_async.cli.main import main\nmain()"
    )
    arguments = ("doctors", "--clinics", file, "--base-url", beside.fake.base_url)
    status, written, said = ended(*arguments, command=[sys.executable, "-c", program])
    assert (status, written.count(b"\n")) == (0, 3), said
    assert said.count(b"\n") == 1
    assert b"the user's cache folder is not known" in said
    assert not (place / "~").exists()


@pytest.mark.parametrize("value", ["tokens", "~/tokens"])
def test_the_token_folder_of_the_environment_is_absolute(
    beside: Beside, place: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """ARZAMED_TOKEN_DIR is where tokens are kept; one that is not absolute is refused in a line, and none is kept."""
    file = beside.clinics(place, "Milano")
    monkeypatch.setenv("ARZAMED_TOKEN_DIR", str(place / "tokens here"))
    for _ in range(2):
        assert beside.run("doctors", "--clinics", file).exit_code == 0
    assert beside.fake.token_requests() == 1
    assert list((place / "tokens here").glob("*.json"))
    monkeypatch.setenv("ARZAMED_TOKEN_DIR", value)
    before = sorted(place.iterdir())
    done = beside.run("doctors", "--clinics", file)
    assert done.exit_code == 0
    assert " ".join(done.stderr.split()) == (
        "arzamed: ARZAMED_TOKEN_DIR must be an absolute path. Tokens are not kept for the next command"
    )
    assert sorted(place.iterdir()) == before


def test_a_clinics_file_in_the_configuration_folder(
    beside: Beside, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read where neither a path, ./clinics.toml nor variables name clinics; -v says which file it is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name, **_: str(place / "config" / name))
    (place / "config" / "arzamed-async").mkdir(parents=True)
    users = place / "config" / "arzamed-async" / "clinics.toml"
    missing = " ".join(run("check").stderr.split())
    assert f"{users} neither" in missing
    Path(beside.clinics(place, "Roma")).rename(users)
    done = beside.run("check", "-v")
    assert "ok Roma" in " ".join(done.stdout.split())
    assert f"clinics: {users}" in done.stderr
    here = Path(beside.clinics(place, "Milano"))
    here.rename(place / "clinics.toml")
    done = beside.run("check", "-v")
    assert "ok Milano" in " ".join(done.stdout.split())
    assert "clinics: clinics.toml" in done.stderr


def test_reveal_takes_one_clinic(beside: Beside, place: Path) -> None:
    """With several clinics --reveal is a usage error: a substitution takes one token. It takes the base URL, too."""
    file = beside.clinics(place, "Milano", "Roma")
    done = beside.run("token", "--clinics", file, "--reveal")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "choose the clinic with --clinic" in done.stderr
    chosen = beside.run("token", "--clinics", file, "--reveal", "--clinic", "Roma")
    assert (chosen.exit_code, chosen.stderr, chosen.stdout.count("\n")) == (0, "", 1)
    assert run("token", "--clinics", file, "--sandbox", "--clinic", "Roma").exit_code == 0


@pytest.mark.parametrize("encoding", ["utf-8", "cp850", "latin-1", "ascii"])
def test_a_table_has_the_encoding_of_the_terminal(
    beside: Beside, place: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A table is in the encoding of standard output; what that has no character for is a question mark."""
    file = beside.clinics(place, "Milano", doctors=["Dr. Inventata Ñandú 医"])
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    arguments = ("doctors", "--clinics", file, "--base-url", beside.fake.base_url, "--format", "table")
    status, written, said = ended(*arguments)
    assert (status, said) == (0, b"")
    expected = "Dr. Inventata Ñandú 医".encode(encoding, errors="replace")
    assert expected in b" ".join(written.split())
    output = place / "doctors.txt"
    assert ended(*arguments, "--output", str(output))[0] == 0
    assert "Ñandú 医" in " ".join(output.read_text(encoding="utf-8").split())


def test_the_package_is_a_program(place: Path) -> None:
    """`python -m arzamed_async` is `arzamed`."""
    status, written, said = ended("--version", command=[sys.executable, "-m", "arzamed_async"])
    assert (status, written.split()[0], said) == (0, b"arzamed-async", b"")
