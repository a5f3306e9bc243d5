"""The host, the port and the path of a URL, as they go over the wire: IDNA and percent-encoding, or no URL at all."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import quote

from yarl import URL

from .errors import ConfigurationError

__all__ = ["Address", "encoded_path", "is_loopback"]

_URL = r"(?s)([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*+)([^#]*)(#.*)?"
_HOST_AND_PORT = r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?"
_NAME = r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*+\.?"
_NUMBER = r"[0-9]+|0[xX][0-9A-Fa-f]*"  # a last label that the system's resolver may read as (part of) an address: 127.1
_LONGEST_NAME = 253  # RFC 1035 section 2.3.4, as text
#: IDNA may combine characters; its implementations take quadratic time for long labels.
_LONGEST_GIVEN = 4 * _LONGEST_NAME
_LONE_PERCENT = r"%(?![0-9A-Fa-f]{2})"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Address:
    """The parts of a URL: the scheme in lower case, the host encoded, and what follows the port, encoded.

    Raises ConfigurationError, which does not quote the URL: it may hold a password.
    """

    __slots__ = ("fragment", "host", "login", "port", "rest", "scheme")

    def __init__(self, name: str, url: str) -> None:
        match = re.fullmatch(_URL, url)
        if match is None:
            raise ConfigurationError(f"{name} is not a URL: it must begin with https://")
        scheme, authority, rest, fragment = match.groups()
        login, at, place = authority.rpartition("@")
        found = re.fullmatch(_HOST_AND_PORT, place)
        if found is None:
            raise ConfigurationError(f"{name} is not a URL: its host or port is invalid")
        self.scheme = str(scheme).lower()
        self.login = login + at
        self.port = found[2] or ""
        if self.port and not 0 < int(self.port[:6]) <= 65535:
            raise ConfigurationError(f"{name} has a port that is not between 1 and 65535")
        self.host = _encoded_host(name, found[1])
        self.rest = encoded_path(rest)
        self.fragment = fragment or ""
        if URL(f"{self.scheme}://{self.host}/", encoded=True).raw_host != self.host.strip("[]"):
            raise ConfigurationError(f"{name} has an invalid host")  # aiohttp would send to another one

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self.login}{self.host}{port}{self.rest}{self.fragment}"


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine: localhost or a loopback address. No name is resolved."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None  # some Pythons count ::ffff:127.0.0.1


def encoded_path(path: str) -> str:
    """Percent-encode what is no printable ASCII, and a `%` that encodes nothing. What is encoded already stays so."""
    if "%" in path:
        path = re.sub(_LONE_PERCENT, "%25", path)
    return path if path.isascii() else quote(path, safe=_PRINTABLE)


def _encoded_host(name: str, host: str) -> str:
    """Return the host as DNS and TLS need it. Raises ConfigurationError."""
    if not host:
        raise ConfigurationError(f"{name} has no host")
    if host.startswith("["):
        return _checked_address(name, host)
    if not host.isascii():
        if len(host) > _LONGEST_GIVEN:
            raise ConfigurationError(f"{name} has an invalid host: it is too long")
        for character in host:
            if unicodedata.category(character)[0] in "CZ":  # zero-width and other format characters, controls, spaces
                raise ConfigurationError(f"{name} has an invisible character in its host (U+{ord(character):04X})")
        host = _by_yarl(host, "raw_host") or ""
    if not re.fullmatch(_NAME, host) or len(host.rstrip(".")) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{name} has an invalid host: labels of 1 to 63 letters, digits, '-' or '_', and {_LONGEST_NAME} characters in all"
        )
    if re.fullmatch(_NUMBER, host.rstrip(".").rpartition(".")[2]) and not _is_ipv4(host):
        raise ConfigurationError(
            f"{name} has an invalid host: a number, or an IPv4 address that is not four decimal numbers"
        )
    if "xn--" in host.lower() and _by_yarl(host, "host") is None:
        raise ConfigurationError(f"{name} has an invalid host: its 'xn--' label is not valid (IDNA)")
    return host


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _checked_address(name: str, host: str) -> str:
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        host = ""
    if not host or "%" in host:
        raise ConfigurationError(f"{name} has an invalid IPv6 address as its host (a zone cannot be sent)")
    return host


def _by_yarl(host: str, part: str) -> str | None:
    try:
        found: str | None = getattr(URL.build(scheme="https", host=host, path="/"), part)
    except ValueError:  # UnicodeError among them
        return None
    return found
