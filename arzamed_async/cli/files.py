"""Files that hold secrets, written by a command: a signal leaves no half of one."""

from __future__ import annotations

from pathlib import Path

from arzamed_async._private_file import allow_owner
from arzamed_async._private_file import write_private as write_uninterrupted

from .interrupts import interrupts

__all__ = ["allow_owner", "write_private"]


def write_private(path: Path, text: str, *, replace: bool, remedy: str) -> None:
    """Write a file of mode 0600. Raises ConfigurationError where it exists already or cannot be written."""
    with interrupts.raising():
        write_uninterrupted(path, text, replace=replace, remedy=remedy)
