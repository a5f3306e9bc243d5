"""Text whose repr is masked, so that a traceback which prints locals shows no secret and no token."""

from __future__ import annotations

from typing import Any, SupportsIndex, cast

__all__ = ["Masked", "as_masked", "as_plain", "masked", "masked_repr", "plain"]


class Masked(str):
    """A str whose repr is `'***'`. It is sent, compared, hashed and pickled as ordinary text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: SupportsIndex | slice) -> Masked:
        return Masked(super().__getitem__(key))  # rich and structlog truncate long text before they call repr


def as_masked(text: str) -> Masked:
    """Return the text masked: the same object where it is masked already, so that a token is held once."""
    return text if type(text) is Masked else Masked(text)


def as_plain(text: str) -> str:
    """Return the text as a str and no subclass, which not every serialiser takes: the same object where it is one already."""
    return text if type(text) is str else str(text)


def plain(text: str) -> str:
    """Return the content of a text of any subclass, such as an enum's or a TOML library's, as a str, or masked as it is."""
    return text if type(text) in (str, Masked) else str.__str__(text)


def masked_repr(_text: str) -> str:
    """Return what stands for the text in the repr of what holds it."""
    return "'***'"


def masked(value: Any) -> Any:
    """Return a value with every text in it masked; dicts and lists are copied."""
    if isinstance(value, str):
        return value if type(value) is Masked else Masked(str.__str__(value))
    if isinstance(value, dict):
        return {key: masked(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return list(map(masked, value))  # pyright: ignore[reportUnknownArgumentType] - mypy takes a cast for redundant
    return value
