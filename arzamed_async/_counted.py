"""Numbers with their nouns, for texts: one has no plural."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: float, what: str, many: str = "", form: str = ",") -> str:
    """Return a number with its noun: `1 record`, `2 records`. `many` is a plural that is not formed with an s."""
    shown = f"{number:{form}}"
    return f"{shown} {what if shown == '1' else many or f'{what}s'}"
