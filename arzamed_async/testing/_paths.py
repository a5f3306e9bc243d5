"""Paths that may have parameters: which path of a request they stand for, and with which values."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["is_parameter", "same_path", "values_in"]


def is_parameter(segment: str) -> bool:
    """Return whether a segment of a path stands for any value."""
    return segment[:1] == "{"


def values_in(segments: Sequence[str], given: Sequence[str]) -> dict[str, str] | None:
    """Return the values of the parameters among the segments of a path, by their names; None if another path was given."""
    if len(segments) != len(given):
        return None
    values: dict[str, str] = {}
    for mine, other in zip(segments, given, strict=True):
        if is_parameter(mine) and other:
            values[unicodedata.normalize("NFKC", mine[1:-1])] = other  # as Endpoint reads it
        elif mine != other:
            return None
    return values


def same_path(wanted: str, path: str) -> bool:
    """Return whether a path that was requested is the one that is wanted, which may have parameters."""
    return values_in(wanted.split("/"), path.split("/")) is not None
