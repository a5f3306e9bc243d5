"""What a module of tests leaves behind: tasks, exceptions that nobody took, threads, processes, open files, new files.

A left-over is worse than untidy: it is collected in the midst of a later test, which then fails for no fault of its
own. So each module is looked at when its last test is over and garbage has been collected.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: How long a thread or process that is about to end may take for it.
ENDING_SECONDS = 60.0
#: What is made again and again, or by the other programs that work on a checkout.
PASSED_OVER = {"__pycache__", "build", "dist", "node_modules"}

#: The standard streams: pytest turns them to itself and back.
STANDARD = {"0", "1", "2"}

#: Threads that are kept: by dask for the process, by an event loop until it is closed (then they end, or its sockets are
#: found), by Litestar's logging until Python ends.
KEPT_THREADS = re.compile(r"Dask-Offload|asyncio_|Thread-\d+ \(_monitor\)")


def tree(folder: Path, within: str = "") -> Iterator[str]:
    """Yield the paths of the files in the checkout, without hidden ones."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name in PASSED_OVER or entry.name.endswith(".egg-info"):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from tree(Path(entry.path), f"{within}{entry.name}/")
            else:
                yield within + entry.name


def open_files() -> Counter[str]:
    """Return what this process has open: sockets, pipes and files by what Linux calls them; nothing elsewhere."""
    found: Counter[str] = Counter()
    with contextlib.suppress(FileNotFoundError):
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the listing's own
                if each.name not in STANDARD:
                    found[str(each.readlink())] += 1
    return found


def threads() -> set[threading.Thread]:
    """Return the threads that there are, without those that libraries keep."""
    return {each for each in threading.enumerate() if not KEPT_THREADS.match(each.name)}


def children() -> set[str]:
    """Return the ids of the processes that this one has started and not yet waited for."""
    found: set[str] = set()
    for place in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(place.read_text().split())
    return found


def pending_tasks() -> dict[int, str]:
    """Return the tasks that are not done, by their address."""
    # Not isinstance: a mock says that it is what it stands for, and a dead proxy raises.
    tasks = [each for each in gc.get_objects() if issubclass(type(each), asyncio.Task)]
    return {id(each): repr(each) for each in tasks if not each.done()}


class Complaints(logging.Handler):
    """What asyncio logs as an error, since nobody is left to be told: it comes from a finalizer, or from a callback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} (during {os.environ.get('PYTEST_CURRENT_TEST', 'no test')})")


class Leftovers:
    """What there is now, compared with what was there before."""

    def __init__(self) -> None:
        self.complaints = Complaints()
        #: Of all tests; kept, since at the end of the last one it is no longer where temporary files go.
        self.temporary = Path(tempfile.gettempdir())
        self._makers: dict[str, str] = {}
        self.accept()

    def accept(self) -> None:
        """Take what there is now for granted."""
        self._open = open_files()
        self._threads, self._children, self._tasks, self._temporary, self._checkout = self._sets()

    @contextlib.contextmanager
    def accepting(self) -> Iterator[None]:
        """Take for granted what comes in this context, and nothing that a test has left before it."""
        opened, sets = open_files(), self._sets()
        yield
        self._open += open_files() - opened
        known = (self._threads, self._children, self._tasks, self._temporary, self._checkout)
        for kept, before, after in zip(known, sets, self._sets(), strict=True):
            kept.update(after - before)

    def _sets(self) -> tuple[set[threading.Thread], set[str], set[int], set[str], set[str]]:
        return threads(), children(), set(pending_tasks()), self._temporary_files(), set(tree(ROOT))

    def after_test(self, name: str) -> None:
        """Remember of a thread or an open file in which test it first was there."""
        for what in (*(open_files() - self._open), *map(repr, threads() - self._threads)):
            self._makers.setdefault(what, name)

    def _temporary_files(self) -> set[str]:
        return {each.name for each in self.temporary.iterdir()}

    def _of(self, what: str) -> str:
        maker = self._makers.get(what)
        return f"{what} (there since {maker})" if maker else what

    def after_module(self) -> list[str]:
        """Collect garbage, return what is left behind, and take it for granted from now on."""
        found = self._collect()
        found += [f"asyncio logged: {text}" for text in self.complaints.texts]
        self.complaints.texts.clear()
        for thread in threads() - self._threads:
            thread.join(ENDING_SECONDS)
            if thread.is_alive():
                found.append(f"a thread: {self._of(repr(thread))}")
        found += [f"a process: {each}" for each in children() - self._children]
        found += [f"a pending task: {text}" for key, text in pending_tasks().items() if key not in self._tasks]
        found += [f"an open file: {self._of(what)}" for what in open_files() - self._open]
        found += [f"a temporary file: {name}" for name in self._temporary_files() - self._temporary]
        found += [f"a file in the checkout: {name}" for name in set(tree(ROOT)) - self._checkout]
        self._makers.clear()
        if found:
            self.accept()
        return found

    @staticmethod
    def _collect() -> list[str]:
        """Return what finalizers raise: warnings of what was not closed are errors, too."""
        found: list[str] = []
        hook = sys.unraisablehook
        sys.unraisablehook = lambda each: found.append(f"raised by a finalizer: {each.exc_value!r} in {each.object!r}")
        try:
            gc.collect()
        finally:
            sys.unraisablehook = hook
        return found


class Watch:
    """The pytest plugin: each module is looked at in the teardown of its last test, which fails for it."""

    def __init__(self) -> None:
        self._leftovers: Leftovers | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Compare from now on; the folder for temporary files has to be the tests' own by now.

        What is there before the first test (modules, and thousands of collected tests) is no left-over, so it is taken out of
        what the collector looks at: after each module it has to look at what tests have made, and at nothing else.
        """
        self._leftovers = Leftovers()
        logging.getLogger("asyncio").addHandler(self._leftovers.complaints)
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()
        logging.getLogger("asyncio").removeHandler(self._leftovers.complaints)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        """Take for granted what a fixture of the whole session opens: it is closed in the end."""
        accepts = fixturedef.scope == "session" and self._leftovers is not None
        with self._leftovers.accepting() if accepts else contextlib.nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Fail the module that leaves something behind."""
        result = yield
        if self._leftovers is None:
            return result
        self._leftovers.after_test(item.nodeid)
        if nextitem is None or nextitem.path != item.path:
            found = self._leftovers.after_module()
            if found:
                pytest.fail("\n".join([f"{item.path.name} leaves behind:", *sorted(found)]), pytrace=False)
        return result
