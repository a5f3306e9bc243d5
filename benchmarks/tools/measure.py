"""How the benchmarks measure: interleaved rounds, medians with min and max, memory, holds of the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

__all__ = ["HoldMeter", "callgrind", "cores", "facts", "peak_kib", "reset_peak", "spread"]


def spread(values: list[float]) -> dict[str, float]:
    """Return median, min and max."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def cores() -> tuple[int, int] | tuple[None, None]:
    """Return a core for the server and one for the client; None where there is one only, or no way to choose."""
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def facts(*packages: str) -> dict[str, str]:
    """Return what a reader needs to place the figures: machine, Python, versions. No commit: a commit can get another name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    cpu = values.get("model name", platform.processor())
    kind = "virtual cores" if "hypervisor" in values.get("flags", "").split() else "cores"
    return {
        "python": sys.version.split()[0],
        "cpu": f"{cpu}, {len(os.sched_getaffinity(0))} {kind}",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "arzamed-async": version("arzamed-async"),
        **{package: version(package) for package in packages},
    }


def callgrind(arguments: list[str], core: int | None, *options: str) -> list[int]:
    """Run Python under callgrind; return the instructions counted from one os.getppid() to the next, and after the last.

    Nothing else calls getppid, so a program can use it to mark sections that are counted separately.
    """
    with tempfile.TemporaryDirectory() as folder:
        valgrind = [
            "valgrind",
            "--tool=callgrind",
            "--dump-before=getppid",
            f"--callgrind-out-file={folder}/counts",
            *options,
        ]
        done = subprocess.run(
            [*valgrind, sys.executable, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            preexec_fn=None if core is None else (lambda: os.sched_setaffinity(0, {core})),
        )
        if done.returncode:
            sys.exit(done.stderr)
        # The last part of the program has the plain name, those before it are numbered.
        parts = sorted(Path(folder).glob("counts*"), key=lambda path: int(path.suffix[1:] or sys.maxsize))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in parts]
    return [int(found[1]) for text in texts if (found := re.search(r"^totals: (\d+)", text, re.MULTILINE))]


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise LookupError(field)


def reset_peak() -> int:
    """Forget the process's peak memory; return what it uses now, in KiB."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def peak_kib() -> int:
    """Return the process's peak memory since `reset_peak`, in KiB."""
    return _status("VmHWM")


class HoldMeter:
    """The longest that one step of the event loop held it, in thread time; garbage collection counted separately."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0
        self.longest_gc_seconds = 0.0
        self._gc_started = 0.0
        self._gc_in_step = 0.0

    def _gc(self, phase: str, _info: Any) -> None:
        if phase == "start":
            self._gc_started = time.thread_time()
        else:
            spent = time.thread_time() - self._gc_started
            self._gc_in_step += spent
            self.longest_gc_seconds = max(self.longest_gc_seconds, spent)

    def __enter__(self) -> Self:
        original: Callable[[Any], None] = asyncio.events.Handle._run  # noqa: SLF001 - there is no public way

        def run(handle: Any) -> None:
            self._gc_in_step = 0.0
            started = time.thread_time()
            original(handle)
            self.longest_seconds = max(self.longest_seconds, time.thread_time() - started - self._gc_in_step)

        self._original = original
        asyncio.events.Handle._run = run  # type: ignore[method-assign]  # noqa: SLF001
        gc.callbacks.append(self._gc)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.events.Handle._run = self._original  # type: ignore[method-assign]  # noqa: SLF001
        gc.callbacks.remove(self._gc)
