"""What is said to a person: plain lines on stderr, wrapped for a terminal, and nothing that could steer one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import TextIO

from rich.console import Console
from rich.text import Text

from arzamed_async import ArzamedError, DeadlineExceededError, DecodeError, TransportError

__all__ = ["Voice", "clean", "is_terminal", "wrapped"]

_BREAKS = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")
#: Control characters (C0, DEL, C1), what turns the direction of writing, and halves of surrogate pairs.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Return text that can be shown on a terminal: foreign names may hold escape sequences."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person reads this stream."""
    return stream.isatty()


def wrapped(line: str, stream: TextIO) -> str:
    """Return the line, cleaned; for a terminal, or where COLUMNS is set, broken between words only."""
    line = clean(line)
    if not (is_terminal(stream) or os.environ.get("COLUMNS")):
        return line
    width = max(20, shutil.get_terminal_size().columns)
    parts = textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)


class Voice:
    """Says things on stderr, above the progress bar if there is one."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    def say(self, line: str) -> None:
        """Say one thing in one line."""
        text = wrapped(f"arzamed: {line}", sys.stderr)
        self.console.print(Text(text), soft_wrap=True, highlight=False)

    def command(self, line: str) -> None:
        """Show a command in a line of its own, never broken, so that it can be copied."""
        self.console.print(Text(f"  {clean(line)}"), soft_wrap=True, highlight=False)

    def failure(self, clinic: str, error: ArzamedError, note: str = "") -> None:
        """Say what went wrong at a clinic, and what to do about it."""
        self.say(told(clinic, error) + (f". {note}" if note else ""))


#: What to do where the error itself does not say.
_REMEDIES: tuple[tuple[type[ArzamedError], str], ...] = (
    (DeadlineExceededError, "Try again later, or with a longer --deadline"),
    (TransportError, "Check the host and the network, or try again later"),
    (DecodeError, "Check the path: this is no list of such records"),
)


def told(clinic: str, error: ArzamedError) -> str:
    """Return clinic, reason and remedy."""
    text = str(error) if error.clinic else f"{clinic}: {error}"
    if not (error.hint or error.remedy):
        for kind, remedy in _REMEDIES:
            if isinstance(error, kind):
                return f"{text}. {remedy}"
    return text
