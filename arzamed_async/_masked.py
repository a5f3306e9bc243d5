"""Text that keeps to itself: a secret or a token that a repr, and so a traceback that prints locals, does not show."""

from __future__ import annotations

from typing import Any, SupportsIndex, cast

__all__ = ["Masked", "masked"]


class Masked(str):
    """Text in every way but its repr. It goes over the wire, compares, hashes and pickles as the text it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: SupportsIndex | slice) -> Masked:
        return Masked(super().__getitem__(key))  # who cuts what is long (rich, structlog) does so before its repr


def masked(value: Any) -> Any:
    """Return a value with every text in it masked (dicts and lists: a new one)."""
    if type(value) is str:
        return Masked(value)
    if isinstance(value, dict):
        return {key: masked(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return list(map(masked, value))  # pyright: ignore[reportUnknownArgumentType] - mypy takes a cast for redundant
    return value
