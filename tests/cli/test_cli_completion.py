"""Completion by the shell: the script of each shell, and the names of clinics."""

from __future__ import annotations

import os
import re
import shlex
import shutil
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


#: What is typed, and what may follow in the place of its last word.
TYPED = {
    "arzamed che": {"check"},
    "arzamed doctors --form": {"--format"},
    "arzamed doctors --format ": {"table", "json", "ndjson", "csv", "excel-csv", "parquet"},
    "arzamed check --clinic mi": {"milano", "milano-due"},
}
#: How each shell shows it. zsh completes at a terminal only: it gets one, and a compadd that shows what is added to the list. Nothing
#: is typed before its prompt is there: until then the terminal itself would edit the line.
ASKING = {
    "bash": """. ./script; echo COMPLETING
        read -ra COMP_WORDS <<<"$1"; case $1 in *" ") COMP_WORDS+=("") ;; esac; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _arzamed_completion arzamed; printf '<%s>\\n' "${COMPREPLY[@]}" """,
    "fish": """source ./script; echo COMPLETING; for each in (complete -C$argv[1]); echo '<'(string split -- \\t $each)[1]'>'; end""",
    "zsh": r"""
        zmodload zsh/zpty
        shows() { zpty -r shell seen "*$1*" || exit 1 }
        zpty shell zsh -f -i
        zpty -w shell 'stty -echo; unsetopt prompt_sp; autoload -Uz compinit; compinit -u -D; source ./script
            compadd() { local -a f; builtin compadd -O f "$@"; print -rl -- "<"$^f">"; builtin compadd "$@" }
            ask() { zle expand-or-complete; print -r -- DO""NE }; zle -N ask; bindkey "^I" ask; PS1=REA""DY'
        shows READY
        zpty -w -n shell "$1"$'\t'
        shows DONE
        print -r -- "COMPLETING $seen"
    """,
}


@pytest.mark.parametrize("shell", ASKING)
def test_each_shell_completes_by_its_script(place: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """A shell that has read the script completes commands, options, their values and the clinics of ./clinics.toml."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    (place / "clinics.toml").write_text('[clinics.milano]\n[clinics."milano-due"]\n[clinics.roma]\n', encoding="utf-8")
    program = place / "arzamed"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m arzamed_async.cli "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):  # fish makes folders there
        monkeypatch.setenv(name, str(place))
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("_ARZAMED_COMPLETE", f"source_{shell}")
    (place / "script").write_bytes(ended(command=COMMAND)[1])
    monkeypatch.delenv("_ARZAMED_COMPLETE")
    plain = {"bash": ["--norc"], "fish": ["--no-config"], "zsh": ["-f"]}[shell]
    for typed, completed in TYPED.items():
        name = [] if shell == "fish" else ["ask"]
        asked = [shell, *plain, "-c", ASKING[shell], *name, typed]
        done = subprocess.run(asked, cwd=place, capture_output=True, text=True, timeout=SECONDS, check=True)
        assert done.stderr == ""
        assert set(re.findall("<([^<>]+)>", done.stdout.partition("COMPLETING")[2])) == completed


@pytest.mark.parametrize("text", [None, "", "[clinics", "clinics = 1", "[clinics]\na = 1"])
def test_what_cannot_be_read_completes_nothing(place: Path, text: str | None) -> None:
    """No message is written into what is being typed."""
    if text is not None:
        (place / "clinics.toml").write_text(text, encoding="utf-8")
    assert clinic_names(None, "") == []
