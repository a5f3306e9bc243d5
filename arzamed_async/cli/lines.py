"""Lines of a report on standard output, each shown at once."""

from __future__ import annotations

import sys

from .voice import is_terminal, wrapped

__all__ = ["Lines"]


class Lines:
    """Writes lines, cleaned, and wrapped where a person reads them."""

    def __init__(self) -> None:
        self.terminal = is_terminal(sys.stdout)

    def write(self, line: str) -> None:
        """Write one line."""
        sys.stdout.write(wrapped(line, sys.stdout) + "\n")
        sys.stdout.flush()
