"""The progress of a command on a terminal: a bar with the clinics, the records, their rate and the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from arzamed_async._counted import counted

from .messages import StderrReporter, is_terminal

__all__ = ["Counter"]


class _Records(ProgressColumn):
    def __init__(self, count: Callable[[], int]) -> None:
        super().__init__()
        self._count = count

    def render(self, task: Task) -> Text:
        """Return the number of records so far, and how many a second that is."""
        count, seconds = self._count(), task.elapsed or 0.0
        return Text(f"{counted(count, 'record')}, {count / seconds if seconds else 0:,.0f}/s")


class Counter:
    """Counts clinics. The bar is shown on a terminal, unless records are written there meanwhile.

    `records` returns how many records have been received; a command that reads none has no such number.
    """

    def __init__(
        self, reporter: StderrReporter, total: int, records: Callable[[], int] | None = None, *, quiet: bool
    ) -> None:
        self._progress: Progress | None = None
        if is_terminal(sys.stderr) and not quiet:
            columns: list[ProgressColumn] = [
                TextColumn("Reading clinics"),
                BarColumn(bar_width=12),
                MofNCompleteColumn(),
            ]
            columns += [] if records is None else [_Records(records)]
            self._progress = Progress(
                *columns,
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
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
