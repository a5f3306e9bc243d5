"""What CI holds beyond the tests: a clean environment, and no test that is skipped in silence."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.docs_pages import ROOT

PASSES = "def test_one():\n    pass\n"
SKIPS = PASSES + "import pytest\n@pytest.mark.skip(reason='no server here')\ndef test_two():\n    pass\n"
SKIPS_ALL = "import pytest\npytest.importorskip('no_such_module')\n"


@pytest.mark.parametrize(
    ("ci", "files", "code"),
    [
        ("true", [PASSES], 0),
        ("true", [PASSES, SKIPS], 1),
        ("true", [PASSES, SKIPS_ALL], 1),
        (None, [PASSES, SKIPS, SKIPS_ALL], 0),
    ],
    ids=["in CI", "a test is skipped", "a module is skipped", "elsewhere"],
)
def test_a_skipped_test_is_a_failure_in_ci_only(tmp_path: Path, ci: str | None, files: list[str], code: int) -> None:
    """A run that skips a test or a whole module fails where CI is set, and says why."""
    for number, text in enumerate(files):
        (tmp_path / f"test_{number}.py").write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "CI" and name[:6] != "PYTEST"}
    environment |= {"PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(tmp_path)}
    if ci is not None:
        environment["CI"] = ci
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("a skipped test is a failure" in done.stdout) == (code == 1)


def clean(environment: dict[str, str]) -> dict[str, str]:
    """Return what a command of CI finds in its environment, which is started from another."""
    script = '. .ci/clean.sh && make_clean /new/home "$PATH" && "${clean[@]}" env -0'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_commands_of_ci_see_a_clean_environment() -> None:
    """Only a new HOME, PATH, LANG, CI and what leads to packages are left of the machine's variables."""
    kept = {"PIP_INDEX_URL": "https://packages.invalid/simple", "NPM_CONFIG_CAFILE": "/a b.pem", "LANG": "it_IT.UTF-8"}
    gone = {"PYTHONUNBUFFERED": "1", "TERM": "xterm", "FORCE_COLOR": "1", "HOME": "/root", "PYTHONPATH": "."}
    found = clean({"PATH": os.environ["PATH"], **kept, **gone})
    assert found == {"PATH": os.environ["PATH"], "HOME": "/new/home", "CI": "true", **kept}
    assert clean({"PATH": os.environ["PATH"]})["LANG"] == "C.UTF-8"


def test_a_user_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    """The run of another user fails with what `useradd` said, and removes its temporary files."""
    programs, temporary = tmp_path / "programs", tmp_path / "temporary"
    temporary.mkdir()
    programs.mkdir()
    for name, script in {"id": "[ $# = 1 ] && echo 0", "useradd": "echo no user can be made >&2; exit 1"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    command = ["bash", ".ci/elsewhere", "true"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no user can be made\n")
    assert list(temporary.iterdir()) == []


def test_uv_takes_packages_from_where_pip_does(tmp_path: Path) -> None:
    """CI's uv has pip's settings: the environment's before those for `install`, and these before those for all commands."""
    listed = r"""
        :env:.cert='/a b.pem'
        global.cert='/global.pem'
        global.find-links='\n/wheels\n/more'
        global.index-url='https://global.invalid/simple'
        install.index-url='https://packages.invalid/simple'
        global.extra-index-url='file:///one file:///two'
    """
    for name, script in {
        "programs/python3": f"[ \"$*\" = '-m pip config list' ] && cat <<'END'\n{inspect.cleandoc(listed)}\nEND",
        "uv/bin/uv": "[ $1 != --version ] || echo uv 0",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}",
        "UV_INDEX": "set already",
        "TMPDIR": str(tmp_path),
    }
    command = ["bash", ".ci/uv", str(tmp_path / "uv")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {name: found.pop(name, None) for name in ("NOX_DEFAULT_VENV_BACKEND", "UV")} == {
        "NOX_DEFAULT_VENV_BACKEND": "uv",
        "UV": str(tmp_path / "uv" / "bin" / "uv"),
    }
    assert found.pop("UV_CACHE_DIR").startswith(str(tmp_path))
    assert {name: value for name, value in found.items() if "://" in value or "/" in value} == {
        "UV_DEFAULT_INDEX": "https://packages.invalid/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/a b.pem",
    }


def test_without_uv_pip_installs(tmp_path: Path) -> None:
    """Where uv is not available nothing is printed for nox, and no run fails for it."""
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "python3").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", ".ci/uv", str(tmp_path / "uv")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "uv: not available here (no venv), pip installs\n")


def test_the_audit_looks_at_every_extra() -> None:
    """What `nox -s audit` gives to pip-audit are all requirements in pyproject.toml: the build's, the core's, each extra's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    nox = SimpleNamespace(project=SimpleNamespace(load_toml=lambda path: project))
    scope = {"nox": nox}
    exec(compile(ast.Module([functions["all_requirements"]], []), "noxfile.py", "exec"), scope)
    assert "all_requirements()" in ast.unparse(functions["audit"])
    wanted = {*project["build-system"]["requires"], *project["project"]["dependencies"]}
    for extra in project["project"]["optional-dependencies"].values():
        wanted |= set(extra)
    assert set(scope["all_requirements"]()) == wanted


def test_what_a_python_leaves_out_is_there() -> None:
    """noxfile.py's lists of what not every Python runs name files that are there, and none of what touches the interpreter."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    lists = {
        node.targets[0].id: node
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    scope: dict[str, list[str]] = {}
    exec(compile(ast.Module([lists["ONCE"], lists["ENDS"]], []), "noxfile.py", "exec"), scope)
    once, ends = scope["ONCE"], scope["ENDS"]
    assert [path for path in ends if not (ROOT / path).exists()] == []
    assert set(once) < set(ends)
    every = {"concurrency", "fan_out", "http", "observers", "readers", "test_session", "test_errors", "test_values"}
    assert [path for path in ends if every & set(Path(path).with_suffix("").parts)] == []
