"""Runs tests in surroundings that are not a developer's: `python tests/support/surroundings.py [NAME ...]`.

Each row of the table combines what has nothing to do with each other, and says why it is there. The package is best
installed as a user has it (not editable): it is imported from there, since the checkout is not on the path. What cannot
be had on a machine (root's rights, `unshare`) is reported as not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What makes root a user without a name. Python and the checkout may be where only root can look, so it goes on reading.
NOBODY = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
READING = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")

#: Calls over real sockets, what processes share, what is generated, and what a user's own tests do with the plugin.
WIRE = ("calls", "session", "streams", "transport", "cache", "fake", "resume")
SHARED = ("store_file", "shared", "store_contract")
VALUES = ("credentials", "errors", "decoder", "circuit_breaker", "logs", "tracebacks", "otel")
USERS = ("plugin", "oauth2", "status", "urls", "fuzz_twin")
COMMANDS = ("cli_commands", "cli_formats")
EVENT_LOOPS = (
    "calls",
    "fan_out",
    "merge",
    "loops",
    "cancel_scope",
    "session",
    "streams",
    "cache",
    "single_flight",
    "fuzz_twin",
)

IMPORTS = "import arzamed_async, pytest, surrounding"
#: The first loop makes a pipe that libuv keeps for the process: no test is to be blamed for it.
UVLOOP = """
import asyncio

import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
uvloop.new_event_loop().close()
"""
EAGER = """
import asyncio

made = asyncio.BaseEventLoop.__init__

def make(loop):
    made(loop)
    loop.set_task_factory(asyncio.eager_task_factory)

asyncio.BaseEventLoop.__init__ = make
"""


@dataclass(frozen=True)
class Surrounding:
    """One run of pytest: why, on what, and what is set before it."""

    why: str
    tests: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    shell: str = ""  #: commands before Python starts
    python: tuple[str, ...] = ()
    plugin: str = ""  #: source of a module that is imported before the tests
    without_ipv6: bool = False
    as_nobody: bool = False  #: from a read-only copy of the checkout, whose path holds spaces and letters outside ASCII


TABLE = {
    "optimised": Surrounding(
        "-OO leaves asserts and docstrings out; half an hour breaks code that takes zones for whole hours; a strict umask;"
        " a terminal that can do nothing",
        (*WIRE, *SHARED, *VALUES, *USERS, *COMMANDS),
        {"PYTHONOPTIMIZE": "2", "TZ": "XXX-5:30", "TERM": "dumb", "COLUMNS": "40", "PYTHONHASHSEED": "1"},
        shell="umask 077",
    ),
    "development": Surrounding(
        "-X dev makes asyncio and aiohttp strict, and shows what is not closed; warnings come from Python's start on",
        ("session", "cache", "transport", *SHARED, "plugin", "fuzz_twin"),
        {"PYTHONWARNINGS": "error", "PYTHONHASHSEED": "2"},
        python=("-X", "dev"),
    ),
    "bare": Surrounding(
        "as in a service: ASCII by default, few files, no IPv6, SIGINT ignored by the parent, a user id without a name"
        " or a home, and a checkout that is read-only, in a folder with a strange name",
        ("session", "fake", "credentials", *SHARED, "plugin", "logs", *COMMANDS, "cli_ending"),
        {"LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": ""},
        shell="ulimit -n 256; trap '' INT",
        without_ipv6=True,
        as_nobody=True,
    ),
    "coloured": Surrounding(
        "CI services have rich and pytest colour what they print, though no terminal is there",
        (*USERS, *COMMANDS),
        {"GITHUB_ACTIONS": "true", "FORCE_COLOR": "1"},
    ),
    "uvloop": Surrounding("another event loop under the same client", EVENT_LOOPS, plugin=UVLOOP),
    "eager tasks": Surrounding("tasks that run before they are scheduled (3.12)", EVENT_LOOPS, plugin=EAGER),
}


def without_ipv6() -> list[str]:
    """Return what runs a command in a network of its own, where ::1 does not exist."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    return [*unshare, "sh", "-ec", 'ip link set lo up; ip address del ::1/128 dev lo 2>/dev/null || :; exec "$@"', "sh"]


def copied(place: Path) -> Path:
    """Return a copy of the checkout that nobody may write."""
    place.mkdir()
    copy = place / "Prüfstand mit Leerzeichen"
    hidden = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=hidden)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return copy


def prefixes(of: Surrounding) -> Iterator[list[str]]:
    """Yield what may be put before Python, the best first."""
    shell = [*(without_ipv6() if of.without_ipv6 else []), "sh", "-ec", f'{of.shell or ":"}; exec "$@"', "sh"]
    if of.as_nobody and os.geteuid() == 0:
        yield [*shell, *NOBODY, *READING]
        yield [*shell, *NOBODY]  # in a container root itself may lack that capability
    else:
        yield shell


def run(of: Surrounding, place: Path) -> str:
    """Run the tests in one surrounding; return how that ended."""
    checkout = copied(place / "checkout") if of.as_nobody else ROOT
    plugins = place / "plugins"
    plugins.mkdir()
    plugins.joinpath("surrounding.py").write_text(of.plugin)
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(plugins), "PYTHONPATH": str(plugins)}
    environment = {name: value for name, value in (environment | of.environment).items() if value}
    for prefix in prefixes(of):
        # -P: the package is imported as it is installed, and not from the folder where pytest starts.
        python = [*prefix, sys.executable, "-P", *of.python]
        # Not only this Python has to start there, but also those that tests start.
        start = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {IMPORTS!r}], check=True)"
        look = subprocess.run(
            [*python, "-c", start], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        if look.returncode == 0:
            break
    else:
        return f"not run: {(look.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    tests = []
    for each in dict.fromkeys(of.tests):
        found = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob(f"test_{each}.py")]
        if not found:
            raise SystemExit(f"there is no tests/**/test_{each}.py: correct the table in {Path(__file__).name}")
        tests += found
    options = ["-q", "-p", "no:cacheprovider", "-p", "surrounding", "-o", "faulthandler_timeout=60"]
    started = time.monotonic()
    done = subprocess.run([*python, "-m", "pytest", *options, *tests], cwd=checkout, env=environment, check=False)
    return f"{'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s"


def main(names: list[str]) -> int:
    """Run the surroundings named, or all that this Python can have; return the exit code."""
    # Eager tasks came with 3.12; the rest is the same on each Python, and run on the oldest.
    eager = sys.version_info >= (3, 12)
    names = names or [name for name in TABLE if (name == "eager tasks") is eager]
    ends: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="surroundings-") as folder:
        Path(folder).chmod(0o755)
        for number, name in enumerate(names):
            print(f"== {name}: {TABLE[name].why}", flush=True)  # noqa: T201 - a program's output
            place = Path(folder, str(number))
            place.mkdir()
            ends[name] = run(TABLE[name], place)
    for name, end in ends.items():
        print(f"{name}: {end}")  # noqa: T201 - the same
    return any(end.startswith("FAILED") for end in ends.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
