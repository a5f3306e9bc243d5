"""Text that keeps to itself: a secret or a token that a repr, and so a traceback that prints locals, does not show."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["Masked", "masked"]


class Masked(str):
    """Text in every way but its repr. It goes over the wire, compares, hashes and pickles as the text it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def masked(value: Any) -> Any:
    """Return a value with every text in it masked (dicts and lists: a new one)."""
    if type(value) is str:
        return Masked(value)
    if isinstance(value, dict):
        return {key: masked(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return list(map(masked, value))  # pyright: ignore[reportUnknownArgumentType] - mypy takes a cast for redundant
    return value
