"""Completion by the shell: the script of each shell, and the names of clinics."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import COMMAND, SECONDS, ended

from arzamed_async.cli.completion import clinic_names

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shells are others there")

CLINICS = """
[clinics.milano]
client_id = "milano-portal"
client_secret_env = "NOT_SET_HERE"
token_url = "https://auth.example.com/milano/token"
[clinics."Roma Nord"]
[clinics."mi$(touch evil)"]
[clinics."mi\\u001b[31m"]
"""

WORDS = "arzamed check --clinics clinics.toml --clinic mi"
ASKED = {
    "bash": {"COMP_WORDS": WORDS, "COMP_CWORD": "5"},
    "zsh": {"_TYPER_COMPLETE_ARGS": WORDS},
    "fish": {"_TYPER_COMPLETE_ARGS": WORDS, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", ASKED)
def test_each_shell_gets_its_script_and_the_names(place: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """The script of the shell is there; after --clinic it completes names that need no quotes, and resolves no secret."""
    (place / "clinics.toml").write_text(CLINICS.replace("\\\\", "\\"), encoding="utf-8")
    monkeypatch.setenv("_ARZAMED_COMPLETE", f"source_{shell}")
    status, script, said = ended()
    assert (status, said) == (0, b"")
    assert b"_ARZAMED_COMPLETE=complete_" + shell.encode() in script
    monkeypatch.setenv("_ARZAMED_COMPLETE", f"complete_{shell}")
    for name, value in ASKED[shell].items():
        monkeypatch.setenv(name, value)
    status, written, said = ended()
    assert (status, said) == (0, b"")
    assert b"milano" in written
    assert b"touch" not in written
    assert b"\x1b" not in written


def test_bash_completes_by_the_script(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bash that has read the script completes a command, and a clinic of ./clinics.toml."""
    (place / "clinics.toml").write_text('[clinics.milano]\n[clinics."milano-due"]\n[clinics.roma]\n', encoding="utf-8")
    program = place / "arzamed"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m arzamed_async.cli "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("_ARZAMED_COMPLETE", "source_bash")
    script = ended(command=COMMAND)[1].decode()
    monkeypatch.delenv("_ARZAMED_COMPLETE")
    asked = (
        script
        + "\nCOMP_WORDS=(arzamed che); COMP_CWORD=1; _arzamed_completion arzamed; echo ${COMPREPLY[*]}"
        + "\nCOMP_WORDS=(arzamed check --clinic mi); COMP_CWORD=3; _arzamed_completion arzamed; echo ${COMPREPLY[*]}"
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.splitlines() == ["check", "milano milano-due"]
    assert done.stderr == ""


@pytest.mark.parametrize("text", [None, "", "[clinics", "clinics = 1", "[clinics]\na = 1"])
def test_what_cannot_be_read_completes_nothing(place: Path, text: str | None) -> None:
    """No message is written into what is being typed."""
    if text is not None:
        (place / "clinics.toml").write_text(text, encoding="utf-8")
    assert clinic_names(None, "") == []
