"""What a module of tests leaves behind is found: each kind, by its name."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from support import leftovers as module
from support.leftovers import Leftovers


@contextmanager
def a_thread() -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left-behind")
    thread.start()
    yield
    end.set()
    thread.join()


@contextmanager
def a_process() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        yield


@contextmanager
def an_open_socket() -> Iterator[None]:
    with socket.socket():
        yield


@contextmanager
def a_socket_for_the_collector() -> Iterator[None]:
    in_a_circle: list[object] = [socket.socket()]
    in_a_circle.append(in_a_circle)
    del in_a_circle
    yield


@contextmanager
def a_pending_task() -> Iterator[None]:
    async def wait() -> None:
        await asyncio.Event().wait()

    with asyncio.Runner() as runner:
        task = runner.get_loop().create_task(wait(), name="left-behind")
        runner.run(asyncio.sleep(0))
        yield
        task.cancel()


@contextmanager
def an_exception_that_nobody_took() -> Iterator[None]:
    async def fail() -> None:
        raise ValueError("left-behind")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])

    asyncio.run(main())
    yield


@contextmanager
def a_temporary_file() -> Iterator[None]:
    path = Path(tempfile.mkdtemp(prefix="left-behind"))
    yield
    path.rmdir()


@contextmanager
def a_file_in_the_checkout() -> Iterator[None]:
    path = module.ROOT / "left-behind.txt"
    path.touch()
    yield
    path.unlink()


KINDS = {
    a_thread: r"a thread: <Thread\(left-behind, .* \(there since test_it\)",
    a_process: r"a process: \d+",
    an_open_socket: r"an open file: socket:\[\d+\] \(there since test_it\)",
    a_socket_for_the_collector: r"raised by a finalizer: ResourceWarning\(.*unclosed <socket",
    a_pending_task: r"a pending task: <Task pending name='left-behind'",
    an_exception_that_nobody_took: r"asyncio logged: Task exception was never retrieved[^$]*left-behind",
    a_temporary_file: r"a temporary file: left-behind",
    a_file_in_the_checkout: r"a file in the checkout: left-behind.txt",
}


@pytest.fixture
def leftovers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Leftovers:
    """Give one that looks at a checkout of its own, and let the one that looks at this module hear nothing from asyncio."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ENDING_SECONDS", 0)
    leftovers = Leftovers()
    monkeypatch.setattr(logging.getLogger("asyncio"), "handlers", [leftovers.complaints])
    return leftovers


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_behind_is_found(leftovers: Leftovers, kind: Callable[[], AbstractContextManager[None]]) -> None:
    """A module that leaves one of these is told so, with the test where that can be known; the next one is not."""
    with kind():
        leftovers.after_test("test_it")
        found = leftovers.after_module()
        assert len([each for each in found if re.search(KINDS[kind], each)]) == 1, found
        assert leftovers.after_module() == []


@pytest.mark.parametrize("kind", [a_thread, a_process, an_open_socket, a_pending_task, a_temporary_file])
def test_what_was_left_before_a_fixture_of_the_session_is_found(
    leftovers: Leftovers, kind: Callable[[], AbstractContextManager[None]]
) -> None:
    """Such a fixture may keep what it opens; what a test has left before is found all the same."""
    with kind(), socket.socket() as left:
        with leftovers.accepting():
            kept = socket.socket()
        found = leftovers.after_module()
        assert len([each for each in found if re.search(KINDS[kind].partition(r" \(there")[0], each)]) >= 1, found
        assert any(str(Path(f"/proc/self/fd/{left.fileno()}").readlink()) in each for each in found)
        assert not any(str(Path(f"/proc/self/fd/{kept.fileno()}").readlink()) in each for each in found)
        kept.close()


def test_what_is_tidied_up_is_not_told(leftovers: Leftovers) -> None:
    """Tasks that are done, files that are closed or removed, and threads that end are nothing to tell."""

    async def work() -> None:
        await asyncio.gather(asyncio.to_thread(int), asyncio.create_task(asyncio.sleep(0)))

    asyncio.run(work())
    for kind in (a_thread, a_process, an_open_socket, a_temporary_file):
        with kind():
            leftovers.after_test("test_it")
    assert leftovers.after_module() == []


def test_the_collector_looks_at_what_tests_have_made_alone() -> None:
    """What was there before the first test, each collected test too, is not gone through again after each module."""
    assert gc.get_freeze_count() > 10_000
