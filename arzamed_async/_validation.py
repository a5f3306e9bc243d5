"""Validation of arguments: each check raises ConfigurationError and names the argument."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeGuard, cast
from urllib.parse import unquote

from ._arguments import described
from ._hosts import Address, is_loopback
from ._masked import plain
from .errors import ConfigurationError

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = [
    "api_url",
    "at_least_one",
    "decoded_text",
    "dot_segments",
    "has_control",
    "plain_text",
    "positive",
    "positive_seconds",
    "proxy_url",
    "relative_path",
    "web_url",
    "whole_number",
    "zero_or_more",
]

#: C1 controls move a terminal's cursor as ESC does, and readers of logs take U+2028 and U+2029 for ends of lines.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _is_number(value: object, kinds: tuple[type, ...] = (int, float)) -> TypeGuard[float]:
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    try:
        return not math.isnan(cast("float", value))
    except OverflowError:  # an int beyond every float, which no clock could wait for
        return False


def _number(attribute: Attribute[Any], value: Any, kinds: tuple[type, ...] = (int, float)) -> None:
    if not _is_number(value, kinds):
        raise ConfigurationError(f"{attribute.name} must be a number, not {described(value)}")


def positive(_instance: object, attribute: Attribute[Any], value: Any) -> None:
    """Require a number above zero (attrs validator)."""
    _number(attribute, value)
    if value <= 0:
        raise ConfigurationError(f"{attribute.name} must be greater than zero, not {value}")


def zero_or_more(_instance: object, attribute: Attribute[Any], value: Any) -> None:
    """Require a number of zero or more (attrs validator)."""
    _number(attribute, value)
    if value < 0:
        raise ConfigurationError(f"{attribute.name} must be zero or more, not {value}")


def at_least_one(_instance: object, attribute: Attribute[Any], value: Any) -> None:
    """Require a whole number of one or more (attrs validator)."""
    _number(attribute, value, (int,))
    if value < 1:
        raise ConfigurationError(f"{attribute.name} must be one or more, not {value}")


def whole_number(name: str, value: object) -> int:
    """Return `value` if it is a whole number of one or more; ConfigurationError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of one or more, not {described(value)}")
    return value


def positive_seconds(name: str, value: object) -> None:
    """Check a number of seconds above zero, or None."""
    if value is None:
        return
    if not _is_number(value):
        raise ConfigurationError(f"{name} must be a number of seconds, not {described(value)}")
    if value <= 0:
        raise ConfigurationError(f"{name} must be greater than zero")


def has_control(text: str) -> bool:
    """Return whether text holds a control character, or one that readers of logs take for the end of a line."""
    # Not all in one pattern: a set with characters beyond Latin-1 takes longer to compile than this module to import.
    return _CONTROL.search(text) is not None or "\u2028" in text or "\u2029" in text


def plain_text(name: str, value: object, *, empty: bool = False) -> str:
    """Return `value` if it is text without control characters. The error never quotes it.

    Text of a subclass of str is returned as plain text: aiohttp, a log and urllib would each read it by its own methods.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    text = plain(value)
    if not text and not empty:
        raise ConfigurationError(f"{name} is empty")
    if has_control(text):
        raise ConfigurationError(f"{name} contains a control character (such as a line break)")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigurationError(f"{name} contains an unpaired surrogate, which no encoding can represent")
    return text


def decoded_text(data: bytes) -> tuple[str, str]:
    """Return the text of a file in UTF-8, with or without a byte order mark, and "" or what is wrong with it."""
    without_mark = b"\0" in data and not (any(data[::2]) and any(data[1::2]))  # each other byte is zero
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or without_mark:
        return "", "is not UTF-8 text, but UTF-16: save it as UTF-8 (in PowerShell, with -Encoding utf8)"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return "", "is not UTF-8 text"


def dot_segments(path: str) -> bool:
    """Return whether a path holds `.` or `..`: encoded (even repeatedly) too, or with `;parameters`, which some servers drop."""
    for _ in range(3):
        path = unquote(path)
        if {segment.partition(";")[0] for segment in path.replace("\\", "/").split("/")} & {".", ".."}:
            return True
    return False


def web_url(name: str, url: object) -> str:
    """Return `url`, encoded, if a secret may be sent to it: https, or http to loopback only.

    A host outside ASCII is encoded by IDNA, a path by percent-encoding. Rejected: other schemes, userinfo, a
    fragment, `.` and `..` segments, white space, control characters, an invalid host or port. The error never quotes the URL, since an
    invalid one may hold a password.
    """
    text = _one_word(name, url)
    address = Address(name, text)
    bad = None
    if address.scheme not in ("https", "http"):
        bad = "must begin with https://"
    elif address.login:
        bad = "must not contain a user name or password"
    elif "#" in text:
        bad = "must not contain a fragment"
    elif address.scheme == "http" and not is_loopback(address.host):
        bad = "must begin with https:// (http is allowed for loopback only)"
    elif dot_segments(address.rest.partition("?")[0]):  # aiohttp and some servers resolve them, others do not
        bad = "must not contain '.' or '..' segments"
    if bad:
        raise ConfigurationError(f"{name} {bad}")
    return text if text.isascii() and "%" not in text else str(address)


def api_url(name: str, url: object) -> str:
    """Return `url`, encoded and without a slash at its end, if the API's paths can be below it."""
    checked = web_url(name, url)
    if "?" in checked:
        raise ConfigurationError(f"{name} must not contain a query")
    return checked.rstrip("/")


def proxy_url(name: str, url: object) -> str:
    """Return the URL of a proxy, its host encoded. It may hold a login, which the error never quotes."""
    address = Address(name, _one_word(name, url))
    if address.scheme not in ("http", "https"):
        more = ": a SOCKS proxy is not supported" if address.scheme.startswith("socks") else ""
        raise ConfigurationError(f"{name} must begin with http:// or https://{more}")
    user, _, password = address.login.removesuffix("@").partition(":")
    if ":" in unquote(user) or not _is_latin(unquote(user + password)):  # as aiohttp sends them (RFC 7617 section 2)
        raise ConfigurationError(f"{name} has a login with a colon in its user, or a character that is not Latin-1")
    return str(address)


def _is_latin(text: str) -> bool:
    return not text or max(text) <= "\xff"


def _one_word(name: str, url: object) -> str:
    text = plain_text(name, url)
    if any(character.isspace() for character in text) or "\\" in text:
        raise ConfigurationError(f"{name} contains white space or a backslash")
    return text


def relative_path(name: str, path: object) -> str:
    """Return `path` if, joined to a base URL, it stays below that URL.

    Rejected: an absolute URL, a leading slash, `//`, `.` and `..` segments (percent-encoded too), a
    query or fragment, a backslash, white space, control characters.
    """
    text = plain_text(name, path)
    bad = None
    decoded = unquote(unquote(unquote(text)))  # a proxy on the way may decode more than once
    if dot_segments(text):
        bad = "must not contain '.' or '..' segments"
    elif text.startswith("/"):
        bad = "is relative to base_url and must not begin with a slash"
    elif "//" in text:
        bad = "must not contain an empty segment ('//')"
    elif "?" in text or "#" in text:
        bad = "must not contain a query or a fragment: pass the query as params"
    elif "\\" in decoded or any(character.isspace() for character in text):
        bad = "must not contain a backslash or white space"
    elif ":" in text.split("/", 1)[0]:
        bad = "is relative to base_url and must not be an absolute URL"
    elif has_control(decoded):
        bad = "contains an encoded control character"
    if bad:
        raise ConfigurationError(f"{name} {bad}")
    return text
