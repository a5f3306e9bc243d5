"""Decodes JSON with its numbers as they were written, which orjson alone does not: it reads `2**64` as a float.

orjson decodes. Only where the bytes contain a long run of digits, the numbers that it would not keep are replaced by text
first, and put back in the values. So orjson alone decides what is JSON.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Any

import orjson

__all__ = ["ATOMS", "FLOAT_DIGITS", "Exact", "exact", "loads", "number_problem"]

#: The classes of the values that hold no others.
ATOMS = frozenset({str, int, float, bool, type(None)})
#: A whole number with fewer digits fits into 64 bits.
_LONG_WHOLE = 19
#: A float reproduces this many decimal digits exactly, unless it is smaller than the smallest normal one.
FLOAT_DIGITS = 15
#: With `b"0"` for each digit; in the second table for a point, too: 1000000.0000000001 is no number that a float can hold.
_DIGITS, _DIGITS_AND_POINT = (
    bytes(48 if byte in kept else 32 for byte in range(256)) for kept in (b"0123456789", b"0123456789.")
)


@functools.cache  # none of these is compiled before a number needs it: few programs meet one
def _pattern(name: str) -> re.Pattern[bytes]:
    patterns = {
        # What a float cannot hold for another reason: it would be zero, or have fewer digits than it was written with.
        "tiny": rb"[0-9][eE]-[0-9]{3}",
        "token": rb'"(?:[^"\\]++|\\.)*+"?|(-?[0-9][0-9.eE+-]*+)',
        "number": rb"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?",
    }
    return re.compile(patterns[name], re.DOTALL)


@functools.cache
def _mark() -> str:
    """Return what precedes a number that passes orjson as text. It is random, so no text of a server starts with it."""
    return os.urandom(12).hex() + ":"


class Exact:
    """A decoded document, and how those of its floats were written that have lost digits, by their id."""

    __slots__ = ("value", "written")

    def __init__(self, value: Any, written: dict[int, str]) -> None:
        self.value = value
        self.written = written


def loads(data: bytes) -> Any:
    """Return the decoded document: whole numbers exact, other numbers floats. Raises orjson.JSONDecodeError."""
    if (found := exact(data)) is not None:
        return found.value
    return orjson.loads(data)


def exact(data: bytes, *, decimals: bool = False) -> Exact | None:
    """Return a document that holds numbers which orjson does not keep; None for any other, also for what is no JSON.

    These are whole numbers beyond 64 bits, and with `decimals` all that a float does not hold exactly as written.
    """
    if not (_may_lose_digits(data) or _may_be_tiny(data) if decimals else _may_be_long(data)):
        return None
    replaced = 0
    mark = _mark().encode()

    def keep(token: re.Match[bytes]) -> bytes:
        nonlocal replaced
        number = token[1]
        if number is None or not _is_lost(number):
            return token[0]
        replaced += 1
        return b'"%b%b"' % (mark, number)

    kept = _pattern("token").sub(keep, data)
    if not replaced:
        return None
    try:
        value = orjson.loads(kept)
    except orjson.JSONDecodeError:
        return None
    written: dict[int, str] = {}
    return Exact(_put_back(value, written), written)


def number_problem(data: bytes) -> str:
    """Return what is wrong with a number in a document that is JSON but for it; empty for any other document."""
    problem = ""

    def look(token: re.Match[bytes]) -> bytes:
        nonlocal problem
        number = token[1]
        if number is None or _pattern("number").fullmatch(number) is None or _is_finite(number):
            return token[0]
        problem = "a whole number has too many digits" if _is_whole(number) else "a number is too large for a float"
        return b"0"

    without = _pattern("token").sub(look, data)
    if problem:
        try:
            orjson.loads(without)
        except orjson.JSONDecodeError:
            return ""
    return problem


def _may_be_long(data: bytes) -> bool:
    """Return whether there is a run of 19 digits.

    Of such a run, two bytes in a row are among every ninth of the data, and four among every fourth: most data is ruled out by
    these. (Every third byte of a date is a digit, but not every fourth.)
    """
    return (
        b"00" in data[::9].translate(_DIGITS)
        and b"0000" in data[::4].translate(_DIGITS)
        and b"0" * _LONG_WHOLE in data.translate(_DIGITS)
    )


def _may_lose_digits(data: bytes) -> bool:
    """Return whether there is a run of 16 digits, one of which may be a point: see `_may_be_long`."""
    return (
        b"00" in data[::8].translate(_DIGITS_AND_POINT)
        and b"0000" in data[::4].translate(_DIGITS_AND_POINT)
        and b"0" * (FLOAT_DIGITS + 1) in data.translate(_DIGITS_AND_POINT)
    )


def _may_be_tiny(data: bytes) -> bool:
    return (b"e-" in data or b"E-" in data) and _pattern("tiny").search(data) is not None


def _is_whole(number: bytes) -> bool:
    return number.removeprefix(b"-").isdigit()


def _is_finite(number: bytes) -> bool:
    """Return whether Python reads this number: int() has a limit of digits, and a float one of size."""
    if _is_whole(number):
        try:
            int(number)
        except ValueError:
            return False
        return True
    return abs(float(number)) != float("inf")


def _is_lost(number: bytes) -> bool:
    """Return whether orjson would not keep this number."""
    parts = _pattern("number").fullmatch(number)
    if parts is None:
        return False  # not JSON: orjson refuses it
    if _is_whole(number):
        return len(number) >= _LONG_WHOLE and _is_finite(number)
    exponent = parts[2] or b""
    digits = number.removesuffix(exponent).translate(None, b"-.")
    return (len(digits) > FLOAT_DIGITS or exponent != b"") and _is_finite(number)


def _put_back(value: Any, written: dict[int, str]) -> Any:
    """Put the numbers back in their places, without recursion: a document may be nested 1,024 deep."""
    mark = _mark()
    top = [value]
    pending: list[Any] = [top]
    while pending:
        here = pending.pop()
        is_object = here.__class__ is dict
        for key, each in here.items() if is_object else enumerate(here):
            if each.__class__ is str:
                if each.startswith(mark):
                    here[key] = _number(each.removeprefix(mark), written)
            elif each.__class__ is dict or each.__class__ is list:
                pending.append(each)
    return top[0]


def _number(text: str, written: dict[int, str]) -> int | float:
    if text.removeprefix("-").isdigit():
        return int(text)
    number = float(text)
    written[id(number)] = text
    return number
