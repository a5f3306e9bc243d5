"""Why a connection failed, and what to do about it, in texts that name neither the request nor a secret. No I/O.

A remedy speaks of `base_url`; where a token request has failed, its error speaks of `token_url` instead.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

__all__ = [
    "NAME_SERVER",
    "Reason",
    "certificate_reason",
    "connection_reason",
    "head_reason",
    "look_up_reason",
    "proxy_reason",
    "tls_reason",
]

#: What failed, whether a retry can help, and the remedy.
Reason = tuple[str, bool, str]

_CLOCK = "Check this machine's clock"
_TRUST = "Pass an ssl_context that trusts its authority, if it is the right server: check the host in base_url"
# OpenSSL's verify codes (X509_V_ERR_*).
_CERTIFICATES = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", f"The server's operator has to renew it. {_CLOCK}"),
    18: ("is self-signed", _TRUST),
    19: ("is signed by an unknown authority", _TRUST),
    20: ("is signed by an unknown authority", _TRUST),
    62: ("is for another host name", "Check the host in base_url"),
    64: ("is for another address", "Check the host in base_url: a certificate is seldom for an address"),
}

_PORT = "Check scheme and port in base_url"
_VERSION = (
    "no TLS version is allowed by both sides",
    "Allow the server's TLS version in an ssl_context of your own; this library's default is TLS 1.2 or newer",
)
_CLIENT = (
    "the server requires a TLS client certificate",
    "Pass an ssl_context with one: SSLContext.load_cert_chain",
)
_REFUSED = (
    "the server rejected the TLS client certificate",
    "Check the certificate that the ssl_context loads (SSLContext.load_cert_chain)",
)
#: OpenSSL's reasons, of which Python's exceptions have the names, whole or as a part.
_TLS: Mapping[str, tuple[str, str]] = {
    "PROTOCOL_VERSION": _VERSION,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "NO_PROTOCOLS_AVAILABLE": _VERSION,
    "VERSION_TOO_LOW": _VERSION,
    "CERTIFICATE_REQUIRED": _CLIENT,
    "ALERT_BAD_CERTIFICATE": _REFUSED,
    "ALERT_UNSUPPORTED_CERTIFICATE": _REFUSED,
    "ALERT_CERTIFICATE_REVOKED": _REFUSED,
    "ALERT_CERTIFICATE_EXPIRED": _REFUSED,
    "ALERT_CERTIFICATE_UNKNOWN": _REFUSED,
    "ALERT_UNKNOWN_CA": _REFUSED,
    "ALERT_HANDSHAKE_FAILURE": (
        "the server refused the TLS handshake: it requires a client certificate, or shares no cipher",
        "Pass an ssl_context with a certificate (SSLContext.load_cert_chain) or with the server's ciphers",
    ),
    "WRONG_VERSION_NUMBER": (
        "TLS handshake failed: the server does not speak TLS on this port",
        _PORT,
    ),
}

_NO_DATA = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)
_HOST = "Check the host in base_url"
NAME_SERVER = "Check this machine's name server, or retry later"
_LOOK_UPS: Mapping[int | None, Reason] = {
    _NO_DATA: (
        "the host name has no address",
        False,
        f"{_HOST}: its DNS entry has no address that this machine can use (IPv4 or IPv6)",
    ),
    socket.EAI_NONAME: ("the host name was not found", True, f"{_HOST}, and that this machine's name server knows it"),
    socket.EAI_AGAIN: ("the name server did not respond", True, NAME_SERVER),
    socket.EAI_FAIL: ("the name server failed", True, NAME_SERVER),
}

_PROXIES: Mapping[int, Reason] = {
    407: (
        "the proxy requires a valid login",
        False,
        "Check user and password in the proxy's URL. It is not retried, since repeated wrong logins can lock an account",
    ),
    403: ("the proxy refused the host", False, "The proxy's operator has to allow this host"),
    405: (
        "the proxy refused a tunnel",
        False,
        "Check that the URL of the proxy is that of an HTTP proxy which allows CONNECT",
    ),
    502: ("the proxy could not reach the host", True, "Check the host in base_url and the proxy, or retry later"),
    503: ("the proxy is temporarily unavailable", True, "Check the proxy, or retry later"),
    504: ("the proxy did not reach the host in time", True, "Check the host in base_url and the proxy, or retry later"),
}
_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}


def certificate_reason(verify_code: int) -> tuple[str, str]:
    """Return what is wrong with a certificate, and what to do."""
    what, remedy = _CERTIFICATES.get(verify_code, ("does not verify", _TRUST))
    return f"the TLS certificate {what}", remedy


def tls_reason(text: str) -> Reason | None:
    """Return what an alert or error of OpenSSL means; None for those that mean nothing in particular."""
    name = re.search(r"\[SSL: ([A-Z0-9_]+)\]", text)
    for part, (what, remedy) in _TLS.items():
        if name and part in name[1]:
            return what, remedy is _PORT, remedy  # such bytes may also be a load balancer's, while it starts
    return None


def look_up_reason(number: int | None) -> Reason:
    """Return why a host name has no address here, by getaddrinfo's number; None for look-ups of another kind."""
    return _LOOK_UPS.get(number, ("the host name was not found", True, f"{_HOST}. {NAME_SERVER}"))


def proxy_reason(status: int) -> Reason:
    """Return why a proxy has opened no tunnel."""
    what, transient, remedy = _PROXIES.get(
        status, ("the proxy refused the connection", status in _TRANSIENT_STATUSES, "Check the proxy, and its URL")
    )
    return f"{what} (HTTP {status})", transient, remedy


def head_reason(message: str, limit_bytes: int, most_headers: int, head_bytes: int) -> Reason | None:
    """Return which limit a response's head exceeds, by the parser's message; None if it is not HTTP at all."""
    remedy = "The server's operator has to send smaller headers: this limit is fixed"
    if message.startswith("Got more than"):
        return (
            f"a header or the status line of the response is longer than the limit of {limit_bytes:,} bytes",
            False,
            remedy,
        )
    if message.startswith("Too many headers"):
        return f"the response has more headers than the limit of {most_headers}", False, remedy
    if message.startswith("Head too long"):  # see Handler: a limit that aiohttp does not have
        what = "the headers of the response, with interim responses and trailers, are"
        return f"{what} longer than the limit of {head_bytes:,} bytes", False, remedy
    return None


def connection_reason(error: BaseException, reasons: Mapping[type[BaseException], str]) -> str:
    """Return why there is no usable response: the reason of the error's class, or of its nearest base with a reason.

    Other errors of the operating system have its text; nothing else of the error's own text is repeated.
    """
    for kind in type(error).__mro__:
        if kind in reasons:
            return reasons[kind]
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    return "the connection failed" if isinstance(error, OSError) else f"the connection failed ({type(error).__name__})"
