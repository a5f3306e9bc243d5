"""Text for a person: messages on stderr, report lines on stdout, wrapped for a terminal and safe to show on one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import TextIO

from rich.console import Console
from rich.text import Text

from arzamed_async import ArzamedError

from .advice import advice_on
from .invisible import INVISIBLE, SHAPES

__all__ = ["StderrReporter", "StdoutReport", "cut", "format_failure", "is_terminal", "printable"]

_BREAKS = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")
_SHAPES = re.compile(f"[{SHAPES}]+")
#: The space between an option and what follows it: both are copied together.
_VALUE = re.compile(r"( --\S+) (?=\S)")
_JOINED = "\0"  # printable text has none
_UNSAFE = re.compile(f"[{INVISIBLE}]")


def printable(text: str) -> str:
    """Return text that is safe on a terminal, in one line: names from outside may hold escape sequences.

    Joiners and variation selectors are left out, since the text can be read without them. Any other invisible
    character is replaced by a mark: a reader sees that there is one.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", _SHAPES.sub("", _BREAKS.sub(" ", text)))


def cut(text: str, most: int) -> str:
    """Return a text; of one that is longer than `most` its beginning and its length."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def is_terminal(stream: TextIO) -> bool:
    """Return whether the stream is a terminal."""
    return stream.isatty()


def _wrapped(line: str, stream: TextIO) -> str:
    """Return the line in printable text; on a terminal, or where COLUMNS is set, wrapped.

    No word is broken, and no option is parted from its value.
    """
    line = printable(line)
    if not (is_terminal(stream) or os.environ.get("COLUMNS")):
        return line
    width = max(20, shutil.get_terminal_size().columns)
    line = _VALUE.sub(rf"\1{_JOINED}", line)
    parts = textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts).replace(_JOINED, " ")


class StdoutReport:
    """Writes the lines of a report to standard output, each at once."""

    def __init__(self) -> None:
        self.terminal = is_terminal(sys.stdout)

    def write(self, line: str) -> None:
        """Write one line."""
        sys.stdout.write(_wrapped(line, sys.stdout) + "\n")
        sys.stdout.flush()


class StderrReporter:
    """Writes messages to standard error, above the progress bar if there is one."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    def message(self, line: str) -> None:
        """Write one message in one line."""
        text = _wrapped(f"arzamed: {line}", sys.stderr)
        self.console.print(Text(text), soft_wrap=True, highlight=False)

    def command(self, line: str) -> None:
        """Write a command in a line of its own, never broken, so that it can be copied."""
        self.console.print(Text(f"  {printable(line)}"), soft_wrap=True, highlight=False)

    def failure(self, clinic: str, error: ArzamedError, note: str = "") -> None:
        """Report a clinic's failure, and what to do about it."""
        self.message(format_failure(clinic, error) + (f". {note}" if note else ""))


def format_failure(clinic: str, error: ArzamedError) -> str:
    """Return clinic, reason and advice as one sentence or two."""
    text = str(error) if error.clinic else f"{clinic}: {error}"
    text = text.removesuffix(f". {error.remedy}") if error.remedy else text
    return ". ".join(part for part in (text, advice_on(error)) if part)
