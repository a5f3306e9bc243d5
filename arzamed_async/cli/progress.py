"""The progress of a command: records counted for each clinic, and a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from .messages import StderrReporter, is_terminal

__all__ = ["Counter"]


class _Records(ProgressColumn):
    def __init__(self, count: Callable[[], int]) -> None:
        super().__init__()
        self._count = count

    def render(self, task: Task) -> Text:
        """Return the number of records so far."""
        return Text(f"{self._count():,} records")


class Counter:
    """Counts records and clinics. The bar is shown on a terminal, unless records are written there meanwhile."""

    def __init__(self, reporter: StderrReporter, total: int, *, quiet: bool) -> None:
        self.records: dict[str, int] = {}
        self._progress: Progress | None = None
        if is_terminal(sys.stderr) and not quiet:
            self._progress = Progress(
                TextColumn("Reading clinics"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                _Records(lambda: sum(self.records.copy().values())),
                TimeElapsedColumn(),
                console=reporter.console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar = self._progress.add_task("", total=total)

    def shown(self) -> AbstractContextManager[object]:
        """Return a context that shows the bar."""
        return self._progress or nullcontext()

    def step(self, done: int, failed: int, total: int | None) -> None:
        """Note that one more clinic is done."""
        if self._progress is not None:
            self._progress.update(self._bar, completed=done)
