"""Takes apart a window that is not JSON as a whole: which elements are good, which is not, and where that one ends."""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator
from typing import Any

import orjson

from .._json import Exact, exact, number_problem
from .json_cuts import DELTAS, MAX_DEPTH, masked

__all__ = ["Apart", "BadElement", "decode_list", "may_continue", "take_apart"]

#: This much of an element without an end is examined: values take many times the memory of their bytes.
CHECKED_BYTES = 65_536
_SPACE = b" \t\n\r"
_MARKS = rb"[\[\]{},]"  # compiled where they are needed: few programs meet a body that is not JSON
_STRING_END = rb'(?s:"\x00*"[ \t\n\r]*+(.?))'
#: What stands after a string in JSON; b"" if nothing does.
_AFTER_STRING = frozenset((b",", b":", b"]", b"}", b""))
_CLOSERS = {b"[": b"]", b"{": b"}"}
_LONG_NUMBER = rb"(?<![0-9.u])[0-9]{16,}+"
_DEEP = f"nested more than {MAX_DEPTH} deep"


class BadElement:
    """Stands in a window for an element that is not JSON."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Apart:
    """The elements of a window up to its first bad one (or all, if bad ones are passed), and where the last of them ends."""

    __slots__ = ("end", "reason", "values", "written")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.written: dict[int, str] = {}
        self.end = 0
        self.reason = ""  # why the element after these is not JSON; empty if there is none, or none that begins

    def exact(self) -> Exact:
        """Return the values as a document whose numbers are exact."""
        return Exact(self.values, self.written)


def decode_list(document: bytes) -> list[Any] | None:
    """Return the elements of a JSON array; None for any other document."""
    try:
        values = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None  # its `doc` holds the document: nothing may chain to it
    return values if values.__class__ is list else None


def take_apart(window: bytes, *, passing: bool) -> Apart:
    """Decode the elements of a window one by one, up to the first that is not JSON.

    With `passing`, a BadElement takes its place if there is no doubt where it ends, and the elements after it follow.
    """
    apart = Apart()
    blank = masked(window)
    for start, end in _spans(blank):
        element = window[start:end]
        if not element.strip(_SPACE):
            break  # a comma too many: the parser reports it
        value = _decoded(element, apart.written)
        if value.__class__ is BadElement and not (passing and _ends_for_certain(blank[start:end], value.reason)):
            apart.reason = value.reason
            break
        apart.values.append(value)
        apart.end = end
    return apart


def _spans(blank: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each element begins and ends. It ends at a comma, or with the bracket that closes it."""
    start = depth = 0
    closed = False  # by its bracket
    for mark in re.finditer(_MARKS, blank):
        at = mark.start()
        byte = blank[at]
        if closed:
            if byte != 0x2C or blank[start:at].strip(_SPACE):
                return  # no comma after the element: the parser reports it
            start, closed = at + 1, False
        elif byte in b"[{":
            depth += 1
        elif byte == 0x2C:
            if depth == 0:
                yield start, at
                start = at + 1
        else:
            depth -= 1
            if depth < 0:
                yield start, at
                return
            if depth == 0:
                yield start, at + 1
                start, closed = at + 1, True
    if not closed and blank[start:].strip(_SPACE):
        yield start, len(blank)


def _decoded(element: bytes, written: dict[int, str]) -> Any:
    alone = b"[%b]" % element  # in a list, as in a window, so that the same nesting is refused
    value = decode_list(alone)
    found = exact(alone, decimals=True)
    if found is not None:
        written |= found.written
        value = found.value
    if value is None:
        return BadElement(_reason(element))
    return value[0] if len(value) == 1 else BadElement("not JSON")


def _reason(element: bytes) -> str:
    depths = itertools.accumulate(map(DELTAS.__getitem__, masked(element)), initial=1)  # 1: the list itself
    return _DEEP if max(depths) > MAX_DEPTH else number_problem(element) or "not JSON"


def _ends_for_certain(blank: bytes, reason: str) -> bool:
    """Return whether a bad element ends where it seems to.

    If a quote or a bracket is missing, or one too many, then what follows is taken for a part of it. So its brackets
    have to match, and after each string has to stand what stands there in JSON: where the insides of strings and what
    is between them are mistaken for each other, a letter does.
    """
    open_ones: list[bytes] = []
    for mark in re.finditer(_MARKS, blank):
        bracket = mark[0]
        if bracket in _CLOSERS:
            open_ones.append(_CLOSERS[bracket])
        elif bracket != b"," and (not open_ones or open_ones.pop() != bracket):
            return False
    return (
        reason != _DEEP
        and not open_ones
        and blank.count(b'"') % 2 == 0
        and all(each[1] in _AFTER_STRING for each in re.finditer(_STRING_END, blank))
    )


def may_continue(rest: bytes | bytearray) -> bool:
    """Return whether these bytes after a complete element can be the beginning of others: nothing in them is wrong yet."""
    rest = rest[:CHECKED_BYTES]
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(rest)
    except UnicodeDecodeError:
        return False
    cut = len(rest) - len(decoder.getstate()[0])  # a character may be cut
    wrong = ""
    try:
        orjson.loads(re.sub(_LONG_NUMBER, b"1", b"[%b" % bytes(rest[:cut])))
    except orjson.JSONDecodeError as error:
        wrong = error.msg
    return "unexpected end" in wrong
