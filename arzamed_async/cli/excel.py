"""CSV that a spreadsheet opens with a double click: a mark of its encoding, and the separator of the user's locale."""

from __future__ import annotations

import locale
import os
import re
from collections.abc import Mapping

__all__ = ["BYTE_ORDER_MARK", "decimal_sign", "without_commas"]

#: Without it Excel takes UTF-8 for the encoding of the computer.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Languages whose decimal sign is a comma, for where the system does not know the locale that the environment names.
_COMMA = {
    "bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "lt", "lv", "nb", "nl", "nn",
    "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk",
}  # fmt: skip
#: A string of JSON, which is closed: that its end is optional here makes the search linear.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?')


def decimal_sign(environment: Mapping[str, str] = os.environ) -> str:
    """Return the decimal sign of the user's locale, as LC_ALL, LC_NUMERIC and LANG name it."""
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "")
        return str(locale.localeconv()["decimal_point"])
    except locale.Error:
        named = (environment.get(name) for name in ("LC_ALL", "LC_NUMERIC", "LANG"))
        language = re.split(r"[_.@]", next((each for each in named if each), ""))[0].lower()
        return "," if language in _COMMA else "."
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def without_commas(json: str) -> str:
    """Return the same JSON with the commas of its strings as escapes: in none of them a cell can begin."""
    return _STRING.sub(lambda found: found[0].replace(",", "\\u002c"), json)
