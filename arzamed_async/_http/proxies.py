"""The proxy of a URL by the environment's variables, as curl and urllib read them. No I/O, and no .netrc.

aiohttp's `trust_env` reads a .netrc as well: where that has a login for the host, or a default one, aiohttp refuses each request
with an Authorization header. It does not know ALL_PROXY, nor ports and networks in NO_PROXY.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from .._validation import proxy_url

__all__ = ["EnvironmentProxies"]

_PORTS = {"http": 80, "https": 443}
_ENTRY = r"\[([^\]]*)\](?::(\d{1,5}))?|([^:]*)(?::(\d{1,5}))?"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class EnvironmentProxies:
    """The variables are read at each request: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, or in lower case, which wins."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy for a request to `url`, None without one. Raises ConfigurationError if it is invalid."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
        if _exempt(host, port, self._value("no_proxy")[1]):
            return None
        for name in (f"{parts.scheme}_proxy", "all_proxy"):
            variable, value = self._value(name)
            if value:
                url = value if "://" in value else f"http://{value}"
                return proxy_url(f"the environment variable {variable}", url)
        return None

    def _value(self, name: str) -> tuple[str, str]:
        """Return the variable that counts, and its value; an empty one in lower case hides the other."""
        names = [name, name.upper()]
        if name == "http_proxy" and "REQUEST_METHOD" in self._environment:
            names.pop()  # in a CGI program it is the header "Proxy" of a client
        for variable in names:
            if variable in self._environment:
                return variable, self._environment[variable].strip()
        return name, ""


def _exempt(host: str, port: int, no_proxy: str) -> bool:
    """Return whether NO_PROXY lists the host: by name or a parent domain, address or network, with a port or for all."""
    address = _address(host)
    return any(_matches(entry, host, address, port) for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry)


def _matches(entry: str, host: str, address: Address | None, port: int) -> bool:
    if entry == "*":
        return True
    found = re.fullmatch(_ENTRY, entry)
    name, only_port = entry, None  # an IPv6 address or network without brackets
    if found:
        name, only_port = found[1] or found[3] or "", found[2] or found[4]
    if only_port is not None and int(only_port) != port:
        return False
    if address is not None:
        with contextlib.suppress(ValueError):  # a name
            return address in ipaddress.ip_network(name, strict=False)
        return False
    name = _ascii(name.removeprefix("*").strip("."))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _ascii(name: str) -> str:
    """Return a host name as it is in a URL that is sent (IDNA)."""
    with contextlib.suppress(UnicodeError):
        return name.encode("idna").decode("ascii")
    return name
