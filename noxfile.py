"""The project's checks. `nox` runs all but the benchmarks; `nox -s tests` the tests on every promised Python it finds."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import nox

#: The Pythons that are promised. `.ci/pythons` brings those that a machine lacks.
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
#: What is read and not run, and the checks of the checks: no Python makes a difference to it. On the oldest Python found.
ONCE = [
    "tests/architecture",
    "tests/ci",
    "tests/docs/test_benchmark_report.py",
    "tests/docs/test_install_text.py",
    "tests/docs/test_prose.py",
    "tests/docs/test_troubleshooting.py",
]
#: What takes long and is made of the same few calls of Python again (the command's processes, pages, arithmetic, memory): on
#: the oldest and the newest Python found. A Python in between runs what touches the interpreter: event loop, sockets, TLS,
#: threads, forks, memory of objects, exceptions, pickles, annotations, and the command in the same process.
ENDS = [
    *ONCE,
    "tests/calls/test_idle_clinics.py",
    "tests/calls/test_imports.py",
    "tests/calls/test_paced_calls.py",
    "tests/calls/test_paced_waiting.py",
    "tests/calls/test_request_path_cost.py",
    "tests/cli/test_cli_bombs.py",
    "tests/cli/test_cli_completion.py",
    "tests/cli/test_cli_demo.py",
    "tests/cli/test_cli_ending.py",
    "tests/cli/test_cli_export.py",
    "tests/cli/test_cli_folders.py",
    "tests/cli/test_cli_invisible.py",
    "tests/cli/test_cli_model.py",
    "tests/cli/test_cli_options.py",
    "tests/cli/test_cli_output.py",
    "tests/cli/test_cli_spreadsheets.py",
    "tests/cli/test_cli_wire.py",
    "tests/docs",
    "tests/records/test_bad_elements.py",
    "tests/records/test_json_array.py",
    "tests/resilience/test_pacing.py",
    "tests/stores/test_store_file.py",
    "tests/tokens/test_token_machine.py",
]

#: What `faults` runs on the oldest Python, too, and with more examples there.
DEEPER = ["tests/tokens/test_token_machine.py"]

nox.options.sessions = [
    "tests", "surroundings", "faults", "lowest", "latest", "stores", "interop", "recipes", "web", "instructions", "lint", "types", "audit",
    "demo", "docs", "build",
]  # fmt: skip
nox.options.error_on_missing_interpreters = True  # otherwise nox skips such a session and ends with success

if shutil.which("pyenv"):
    # pyenv's `python3.12` is there for every version, and fails for those that are not switched on.
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        os.environ["PYENV_VERSION"] = ":".join(reversed(listed.stdout.split()))


def runs(python: str) -> bool:
    """Tell whether this Python is here and starts."""
    try:
        return subprocess.run([f"python{python}", "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


FOUND = [python for python in PYTHONS if runs(python)]
if not FOUND:
    sys.exit(f"none of the promised Pythons is found here: {', '.join(PYTHONS)}")
OLDEST, NEWEST = FOUND[0], FOUND[-1]
#: Where coverage is measured. From 3.14 on Python itself reports the branches taken: an eighth more, where a tracer costs twice more.
MONITORS = int(NEWEST.partition(".")[2]) >= 14
COVERED = NEWEST if MONITORS else OLDEST
#: What became of the tests on each Python, once one of their sessions has begun.
tested: dict[str, str] = {}


@atexit.register
def report_pythons() -> None:
    """Report on which Pythons the tests ran, as the last thing nox prints.

    Where ARZAMED_TESTS_SUMMARY names a file, the lines are appended to it too, so that a caller can print them last.
    """
    if not tested:
        return
    lines = [
        f"tests on Python {python}: {tested.get(python, 'not run' if python in FOUND else 'NOT RUN, it is not found here')}"
        for python in PYTHONS
    ]
    print(*lines, sep="\n", file=sys.stderr)  # noqa: T201
    if summary := os.environ.get("ARZAMED_TESTS_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))


def outcome(results: Path) -> tuple[int, str]:
    """Read pytest's results: how many tests ran, and a line on them."""
    if not results.exists():
        return 0, "FAILED, pytest wrote no results"
    suite = ET.parse(results).getroot()[0]
    total, failures, errors, skipped = (int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped"))
    ran, seconds = total - skipped, float(suite.get("time", 0))
    return ran, f"{ran} tests ran with {failures} failures and {errors} errors, {skipped} skipped, in {seconds:.0f} s"


def left_out(python: str) -> list[str]:
    """Return the tests that this Python need not run."""
    if OLDEST == NEWEST:
        return []
    return DEEPER if python == OLDEST else ONCE if python == NEWEST else ENDS


def draw_few(session: nox.Session) -> None:
    """Let properties draw few examples, unless the user has set how many: other sessions draw as many as are of use."""
    if "HYPOTHESIS_PROFILE" not in os.environ:
        session.env["HYPOTHESIS_PROFILE"] = "few"


@nox.session(python=FOUND)
def tests(session: nox.Session) -> None:
    """Run the tests: two processes, random order, warnings as errors, branch coverage where it costs least.

    What stands after `--` goes to pytest instead, in one process, without coverage and with nothing left out.
    """
    python = str(session.python)
    tested[python] = "FAILED before the first test"
    session.install("-q", "-e", ".[cli,otel,redis,stores,test]")
    results = Path(session.create_tmp()).resolve() / "results.xml"
    results.unlink(missing_ok=True)
    session.env["COVERAGE_FILE"] = str(results.with_name(".coverage"))
    what = []
    if not session.posargs:
        what += ["-n", "2", *(f"--ignore={path}" for path in left_out(python))]
        what += ["--cov", "--cov-report=term"] if python == COVERED else []
    if python not in {OLDEST, NEWEST}:
        draw_few(session)
    if MONITORS and python == COVERED:
        session.env["COVERAGE_CORE"] = "sysmon"
    try:
        session.run("python", "-m", "pytest", f"--junit-xml={results}", *what, *session.posargs)
    finally:
        ran, tested[python] = outcome(results)
    if not ran:
        session.error(f"no test ran on Python {python}")


@nox.session(python=list(dict.fromkeys([OLDEST, NEWEST])))
def surroundings(session: nox.Session) -> None:
    """Run tests as on other people's machines: tests/support/surroundings.py holds the table. `-- NAME` runs one of it."""
    if session.python == OLDEST:
        # Compiled, as pip has it: one of the tests' users cannot write beside the modules.
        session.install("-q", ".[cli,otel,stores,test]", "uvloop", env={"UV_COMPILE_BYTECODE": "1"})
    else:
        session.install("-q", ".[cli,otel,stores,test]")
    session.run("python", "tests/support/surroundings.py", *session.posargs)


@nox.session(python=OLDEST)
def faults(session: nox.Session) -> None:
    """Run the matrix of faults and calls, and what else is hostile."""
    session.install("-q", "-e", ".[stores,test]")
    what = ("tests/faults", *DEEPER)
    session.run("python", "-m", "pytest", *what, *session.posargs, env={"HYPOTHESIS_PROFILE": "deep"})
    matrix = ("tests/faults/test_matrix.py", "tests/http/test_transport.py")
    session.run("python", "-m", "pytest", *matrix, *session.posargs, env={"ARZAMED_TESTS_LANE": "aiohttp"})


@nox.session(python=OLDEST)
@nox.parametrize("aiohttp", ["newest", "3.14.0"])
def lanes(session: nox.Session, aiohttp: str) -> None:
    """Run what goes over the wire in both lanes, with the newest and the lowest aiohttp."""
    session.install("-q", "-e", ".[cli,test]")
    session.install("-q", "-U", "aiohttp" if aiohttp == "newest" else f"aiohttp=={aiohttp}")
    what = ("tests/http", "tests/observers/test_tracebacks.py", "tests/calls", "tests/readers")
    session.run("python", "-m", "pytest", *what, *session.posargs)
    other = (
        "tests/faults",
        *what,
        "--deselect=tests/http/test_lane.py",
        "--deselect=tests/http/test_request_bytes.py::test_both_lanes_send_the_same_requests",
    )
    session.run("python", "-m", "pytest", *other, *session.posargs, env={"ARZAMED_TESTS_LANE": "aiohttp"})


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Check style and spelling, of generated modules too."""
    session.install("-q", "-e", ".[test]", "ruff", "codespell")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("python", "-m", "pytest", "tests/inference/style")


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """Check the types of the package and of a user's file, with mypy and pyright, both strict."""
    session.install("-q", "-e", ".[cli,dask,otel,redis,stores,test]", "mypy", "pyright")
    session.run("mypy")
    session.run("pyright")
    session.install("-q", "-e", ".[recipes]")  # what pages show
    pages = Path(session.create_tmp()) / "pages"
    session.run("python", "tests/support/typed_pages.py", str(pages))
    session.run(
        "mypy",
        "--config-file=",
        "--check-untyped-defs",
        "--ignore-missing-imports",
        "--disable-error-code=no-redef",
        str(pages),
    )
    session.run("pyright", "-p", str(pages))


def all_requirements() -> list[str]:
    """Return the requirements of the package, of each of its extras, and of the build."""
    project = nox.project.load_toml("pyproject.toml")
    extras = project["project"]["optional-dependencies"].values()
    found = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(each for extra in extras for each in extra),
    ]
    return sorted(set(found))


@nox.session(python=OLDEST)
def audit(session: nox.Session) -> None:
    """Look for weaknesses: bandit over the package, pip-audit over what it depends on, the dependencies of each extra included."""
    session.install("-q", ".", "bandit", "pip-audit")
    session.run("bandit", "-q", "-c", "pyproject.toml", "-r", "arzamed_async")
    report = Path(session.create_tmp()) / "audit.json"
    requirements = report.with_name("requirements.txt")
    requirements.write_text("".join(f"{each}\n" for each in all_requirements()))
    report.unlink(missing_ok=True)
    session.run(
        "pip-audit", "-r", str(requirements), "-f", "json", "-o", str(report), "--progress-spinner", "off",
        success_codes=[0, 1], silent=True,
    )  # fmt: skip
    if not report.exists():
        session.error("pip-audit has written no report: the requirements of the extras do not go together, perhaps")
    dependencies = json.loads(report.read_text())["dependencies"]
    vulnerable = [f"{each['name']} {each['version']}" for each in dependencies if each.get("vulns")]
    if vulnerable:
        session.error(f"known to be vulnerable: {', '.join(vulnerable)}")
    audited = [each for each in dependencies if "vulns" in each]
    if len(audited) < len(dependencies) or not audited:
        session.warn(f"only {len(audited)} of {len(dependencies)} packages could be looked up: no advisories from here")


@nox.session(python=OLDEST)
def demo(session: nox.Session) -> None:
    """Run the demo as a user would have it."""
    session.install("-q", ".[cli]")
    session.run("arzamed", "demo")


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Build the documentation's site, where any warning is an error, and look at each page in Debian's chromium, with axe (npm)."""
    session.install("-q", "-e", ".[docs,test,web]")
    # The variable silences an advertisement. Not --quiet: that silences the warnings before they are counted.
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "pytest", "tests/site", *session.posargs)


@nox.session(python=OLDEST, venv_backend="virtualenv")  # with pip, by which the tests install the wheel
def build(session: nox.Session) -> None:
    """Make wheel and sdist in dist/, check them, and try the wheel in an environment of its own."""
    session.install("-q", "-e", ".[test]", "build", "hatchling", "twine")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", silent=True)
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
    session.run("python", "-m", "pytest", "tests/release", *session.posargs)


@nox.session(python=OLDEST)
def stores(session: nox.Session) -> None:
    """Run the tests of what is shared between machines, with a real Redis (Debian's redis-server)."""
    session.install("-q", "-e", ".[dask,redis,stores,test]")
    session.run("python", "-m", "pytest", "tests/stores/shared", *session.posargs)


#: The extras that users install.
EXTRAS = ["cli", "dask", "otel", "redis", "stores", "testing"]
#: What touches a dependency: these tests, and why no others. Faults, properties, pages and the command's processes use the
#: same few functions of the dependencies again; all tests of Redis but those of processes and outages, which take long.
TOUCHING = {
    "aiohttp": [
        "calls/test_calls",
        "http/test_connections",
        "http/test_private_names",
        "http/test_reasons",
        "readers/test_streams",
        "http/test_transport",
        "testing/test_fake",
    ],
    "attrs, cattrs, orjson": [
        "records/test_decoder",
        "test_credentials",
        "records/test_json_array",
        "observers/test_tracebacks",
    ],
    "backoff": ["resilience/test_retry"],
    "filelock, platformdirs": ["stores/test_store_file"],
    "rich, typer": ["cli/test_cli_commands", "cli/test_cli_formats"],
    "opentelemetry": ["observers/test_otel", "observers/test_otel_aiohttp", "observers/test_tracing"],
    "pytest": ["testing/test_plugin", "testing/test_store_contract"],
    "redis": ["stores/shared/test_redis_errors", "stores/shared/test_store_redis"],
    "distributed": ["stores/shared/test_dask"],
}
#: The exporter for Prometheus goes with one version of the SDK only, a new one.
NEW_ONLY = "opentelemetry-exporter-prometheus"
#: What old versions of the one warn of in new versions of the other; users see it only where warnings are errors.
OLD_WITH_NEW = ["ignore:'click:DeprecationWarning"]  # typer before 0.26 names what click 9 will no longer have


def name_of(requirement: str) -> str:
    """Return a requirement's package."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def lower_bounds() -> dict[str, str]:
    """Return the lower bounds of pyproject.toml by package: the core's, those of users' extras, and OpenTelemetry's for tests."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    optional = project["optional-dependencies"]
    promised = [*project["dependencies"], *(each for extra in EXTRAS for each in optional[extra])]
    # The SDK and the instrumentation go with one version of the API each.
    promised += [each for each in optional["test"] if name_of(each).startswith("opentelemetry-")]
    return {name_of(each): each.partition(">=")[2].partition(",")[0] for each in promised if name_of(each) != NEW_ONLY}


def run_touching(session: nox.Session, *options: str) -> None:
    """Run the tests of what touches a dependency, with few of what properties draw: all of that is in `tests`."""
    draw_few(session)
    paths = [f"tests/{name}.py" for names in TOUCHING.values() for name in names]
    session.run("python", "-m", "pytest", *options, *paths, *session.posargs)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """Run the tests of what touches a dependency with the lowest version of each that pyproject.toml allows."""
    bounds = lower_bounds()
    if missing := [name for name, version in bounds.items() if not version]:
        session.error(f"without a lower bound: {', '.join(missing)}")
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in bounds.items()))
    optional = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    tools = [each for each in optional["test"] if name_of(each) != NEW_ONLY]
    session.install("-q", "-c", str(constraints), "-e", f".[{','.join(EXTRAS)}]", *tools)
    run_touching(session, *(word for each in OLD_WITH_NEW for word in ("-W", each)))


@nox.session(python=OLDEST, venv_backend="virtualenv")  # with pip, as users install
def latest(session: nox.Session) -> None:
    """Run the same tests with the newest version of everything that is no pre-release."""
    session.install("-q", "--upgrade", "--upgrade-strategy", "eager", "-e", f".[{','.join(EXTRAS)},test]")
    run_touching(session)


@nox.session(python=OLDEST)
def interop(session: nox.Session) -> None:
    """Run the client against third-party authorization servers; one of them needs node and npm."""
    session.install("-q", "-e", ".[test,interop]")
    session.run("python", "-m", "pytest", "tests/interop", *session.posargs)


@nox.session(python=OLDEST)
def recipes(session: nox.Session) -> None:
    """Run the programs and tests that docs/recipes shows, with the frameworks that they are for, and a real Redis."""
    session.install("-q", "-e", ".[redis,test,recipes]")
    session.run("python", "-m", "pytest", "tests/recipes", *session.posargs)


@nox.session(python=OLDEST)
def web(session: nox.Session) -> None:
    """Run the example and the docs' web applications in Debian's chromium; `-- --picture` writes the docs' picture."""
    session.install("-q", "-e", ".[example,test,web]")
    session.run("python", "-m", "pytest", "tests/web", *session.posargs)


#: Writes the tables and pictures of what the other benchmarks have measured.
REPORT = Path("benchmarks/report.py")
#: Needs HTTP clients that the project does not: they are in an environment of their own.
HTTP_CLIENTS = Path("benchmarks/http_clients.py")


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """Run the benchmarks and write their report."""
    session.install("-q", ".[bench,dask,redis,stores]")
    for script in [*sorted(set(Path("benchmarks").glob("*.py")) - {HTTP_CLIENTS, REPORT}), REPORT]:
        session.run("python", str(script), "--out", "docs/benchmarks", *session.posargs)


@nox.session(python=OLDEST)
def rivals(session: nox.Session) -> None:
    """Measure the HTTP clients that a user could pick instead, and write the report with their figures."""
    session.install("-q", ".", "matplotlib", "-r", "benchmarks/rivals/clients/requirements.txt")
    for script in (HTTP_CLIENTS, REPORT):
        session.run("python", str(script), "--out", "docs/benchmarks", *session.posargs)


@nox.session(python=OLDEST)
def instructions(session: nox.Session) -> None:
    """Hold what a warm call, the import and each byte of foreign text cost, in instructions that valgrind (Debian's) counts: no time is in it."""
    session.install("-q", ".")
    session.run("python", "benchmarks/instructions.py", "--check", *session.posargs)
    session.run("python", "benchmarks/import_time.py", "--check")
    session.install("-q", ".[cli,dask,redis,stores,test]")  # whose patterns look at foreign text as well
    session.run("python", "benchmarks/foreign_text.py", "--check")
