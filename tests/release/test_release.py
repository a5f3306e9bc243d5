"""What `nox -s build` has put into dist/: what it holds, what it says of itself, and that it works where it is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from support.docs_pages import ROOT, blocks_of, clinics_for

VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "arzamed_async" / "_version.py").read_text(encoding="utf-8"))[1]
NAME = f"arzamed_async-{VERSION}"
WHEEL = ROOT / "dist" / f"{NAME}-py3-none-any.whl"
SDIST = ROOT / "dist" / f"{NAME}.tar.gz"
INFO = f"{NAME}.dist-info"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def tracked() -> set[str]:
    """Return the files that git knows."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(filter(None, done.stdout.split("\0")))


def metadata() -> Message:
    with zipfile.ZipFile(WHEEL) as wheel:
        return Parser().parsestr(wheel.read(f"{INFO}/METADATA").decode())


def run(*command: object, cwd: Path) -> str:
    """Run something outside the checkout, with nothing of this environment; return what it prints."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={"HOME": str(cwd)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """An environment that holds the wheel, its extra `cli` and what these need; pip itself stays outside."""
    place = tmp_path_factory.mktemp("installed")
    assert not place.is_relative_to(ROOT)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", f"{WHEEL}[cli]"], cwd=place, check=True
    )
    return place


def test_there_is_one_wheel_and_one_sdist_of_this_version():
    """Nothing of another version lies in dist/ that could be uploaded by mistake."""
    assert {path.name for path in (ROOT / "dist").iterdir() if path.name != ".gitignore"} == {WHEEL.name, SDIST.name}


def test_the_wheel_holds_the_package_and_nothing_else():
    """Its files are those of the package, with py.typed and the licence: no tests, no docs, no leftovers."""
    with zipfile.ZipFile(WHEEL) as wheel:
        names = set(wheel.namelist())
    info = {name for name in names if name.startswith(INFO)}
    package = re.compile(r"arzamed_async/|_arzamed_async_(pytest|script)\.py$")
    assert names - info == set(filter(package.match, tracked()))
    assert "arzamed_async/py.typed" in names
    files = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert info == {f"{INFO}/{name}" for name in files}


def test_the_sdist_holds_the_checkout_and_nothing_else():
    """Its files are those that git knows, and PKG-INFO: so tests and docs can be run from it."""
    with tarfile.open(SDIST) as sdist:
        names = {member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()}
    assert names - {"PKG-INFO"} == tracked()
    assert {"LICENSE", "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "mkdocs.yml"} <= names
    assert {"noxfile.py", "docs/index.md", "tests/conftest.py", "arzamed_async/py.typed"} <= names


def test_the_metadata_says_what_the_project_says():
    """Version, Python, licence and dependencies of the wheel are the project's, and its text is README.md."""
    said = metadata()
    assert (said["Name"], said["Version"]) == ("arzamed-async", VERSION)
    assert (said["Requires-Python"], said["License-Expression"]) == (PROJECT["project"]["requires-python"], "MIT")
    assert said.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    needed = [line.partition(";")[0].strip() for line in said.get_all("Requires-Dist") or [] if "extra" not in line]
    assert sorted(needed) == sorted(PROJECT["project"]["dependencies"])
    urls = dict(line.split(", ", 1) for line in said.get_all("Project-URL") or [])
    assert urls == PROJECT["project"]["urls"]
    assert set(said.get_all("Provides-Extra") or []) == PROJECT["project"]["optional-dependencies"].keys()


def test_what_is_installed_is_the_wheel_with_its_version(installed):
    """Package, metadata and command of the installed wheel agree on the version."""
    code = (
        "import arzamed_async, importlib.metadata as m;"
        "print(arzamed_async.__file__, arzamed_async.__version__, m.version('arzamed-async'))"
    )
    file, *versions = run(installed / "venv" / "bin" / "python", "-c", code, cwd=installed).split()
    assert Path(file).is_relative_to(installed)
    assert versions == [VERSION, VERSION]
    printed = run(installed / "venv" / "bin" / "arzamed", "--version", cwd=installed)
    assert printed == f"arzamed-async {VERSION}\n"


def test_the_installed_wheel_runs_the_demo(installed):
    """`arzamed demo` reads its clinics with nothing but what the wheel brings."""
    printed = run(installed / "venv" / "bin" / "arzamed", "demo", cwd=installed)
    assert "11 clinics read, 1 failed" in printed


def test_the_installed_wheel_runs_the_example_of_the_readme(installed):
    """README's example, as it stands, with the clinics file that README shows, finds the clinic's doctors."""
    blocks = blocks_of("README.md")
    example = next(block for block in blocks if block.is_program)
    (installed / "example.py").write_text(example.code, encoding="utf-8")
    (installed / "shown.toml").write_text(clinics_for(example, blocks), encoding="utf-8")
    runner = installed / "run.py"
    runner.write_text((ROOT / "tests" / "support" / "docs_program.py").read_text(encoding="utf-8"), encoding="utf-8")
    printed = run(
        installed / "venv" / "bin" / "python", "-W", "error", runner, "example.py", "shown.toml", cwd=installed
    )
    first, *others = printed.splitlines()
    assert first.startswith("Dr. Inventata Uno ")
    assert others == ["milano: 3 doctors"]


#: Files that a user of a checkout may have put into it, by name; the folders that they are put into.
SECRETS = [
    "clinics.toml", "my-clinics.toml", ".env", ".env.local", "production.env", "milano.secret", "api.secrets", "server.pem", "server.key",
    "client.p12", "client.pfx", ".netrc", ".pypirc", ".npmrc", "id_rsa", "id_ed25519", "tokens/0a.json", ".tokens/0a.json", "0a.alive", "00.lock",
    "notes", "notes.txt", "dump.sql", "core.1234", "patients.csv", "patients.json",
]  # fmt: skip
PLACES = [
    "",
    "arzamed_async",
    "arzamed_async/stores",
    "docs",
    "docs/api",
    "tests",
    "tests/support",
    "benchmarks",
    "examples",
    ".ci",
]


def test_no_file_that_was_planted_is_packed(tmp_path):
    """Of secrets and notes in any folder of a checkout, and in folders of their own, neither sdist nor wheel holds one."""
    checkout, dist = tmp_path / "checkout", tmp_path / "dist"
    for name in tracked():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    (checkout / ".gitignore").write_text("")  # the list alone has to do
    for place in PLACES:
        for name in SECRETS:
            (checkout / place / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / place / name).write_text("invented-canary")
    (checkout / "mine").mkdir()
    (checkout / "mine" / "script.py").write_text("invented-canary")
    subprocess.run([sys.executable, "-m", "build", "-o", str(dist), str(checkout)], check=True, capture_output=True)
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        packed = {each.name.partition("/")[2]: sdist.extractfile(each).read() for each in sdist if each.isfile()}
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel_files = {name: wheel.read(name) for name in wheel.namelist()}
    for files in (packed, wheel_files):
        assert [name for name, content in files.items() if content == b"invented-canary"] == []
    assert packed.keys() - {"PKG-INFO"} == tracked()


def build_in(checkout: Path, *options: str) -> tuple[int, str]:
    """Build what `checkout` holds, with what is installed here; return the status and what is printed."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "-o",
        str(checkout.with_name("dist")),
        *options,
        str(checkout),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository of git with the files of this one that a build needs, and one file of each further kind that is packed."""
    root = tmp_path / "repository"
    kept = (
        "arzamed_async/",
        "examples/",
        "_arzamed_async_",
        "hatch_build.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
    )
    for name in filter(lambda name: name.startswith(kept), tracked()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    for folder in ("docs", "tests", "benchmarks"):
        (root / folder).mkdir()
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.mark.parametrize("kind", ["--sdist", "--wheel"])
def test_a_file_that_git_does_not_know_is_not_packed(repository, kind):
    """An untracked file or link of a kind that is packed ends the build, which names it; once git knows it, it is packed."""
    assert build_in(repository, kind)[0] == 0
    elsewhere = repository.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "notes.py").write_text("invented-canary")
    (repository / "arzamed_async" / "local_settings.py").write_text("invented-canary")
    (repository / "arzamed_async" / "link.py").symlink_to(elsewhere / "notes.py")
    (repository / "arzamed_async" / "folder").symlink_to(elsewhere)
    planted = {"arzamed_async/local_settings.py", "arzamed_async/link.py", "arzamed_async/folder/notes.py"}
    if kind == "--sdist":
        others = {
            "examples/clinic_directory/static/core.1",
            "docs/notes.md",
            "tests/mine.py",
            "benchmarks/requirements.txt",
        }
        for name in others:
            (repository / name).write_text("invented-canary")
        planted |= others
    status, printed = build_in(repository, kind)
    assert status != 0
    assert "git does not know these files" in printed
    assert [name for name in planted if repr(name) not in printed] == []
    assert set(re.findall(r"'([a-z_/.0-9]+)'", printed)) == planted
    for name in planted - {"arzamed_async/local_settings.py"}:
        (repository / name.removesuffix("/notes.py")).unlink()
    subprocess.run(["git", "add", "arzamed_async/local_settings.py"], cwd=repository, check=True)
    assert build_in(repository, kind)[0] == 0


def test_a_build_whose_git_fails_is_refused(repository):
    """Where git cannot list the files (its index is broken, another user owns them), there is no sdist; a wheel is installed."""
    (repository / ".git" / "index").write_text("no index")
    status, printed = build_in(repository, "--sdist")
    assert status != 0
    assert "git could not list the files" in printed
    status, printed = build_in(repository, "--wheel")
    assert status == 0
    assert "git could not list the files" in printed


def test_git_does_not_see_secrets():
    """Files with the names of secrets, in any folder, are ignored: `git add` does not take them."""
    kinds = SECRETS[: SECRETS.index("notes")]
    paths = [str(Path(place, name)) for place in PLACES for name in kinds if not name.startswith("tokens/")] + [
        "tokens/0a.json"
    ]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT,
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(paths) - set(done.stdout.split()) == set()
