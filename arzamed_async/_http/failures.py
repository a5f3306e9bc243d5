"""Turns the exceptions of aiohttp, ssl and the operating system into TransportErrors made of facts."""

from __future__ import annotations

import ssl

import aiohttp
from aiohttp.http import HttpProcessingError

from ..errors import TransportError
from .handler import (
    HEAD_BYTES,
    HEADER_BYTES,
    MOST_HEADERS,
    DisconnectedError,
    LookUpTimeoutError,
    NotHttpError,
    SilentError,
)
from .reasons import (
    NAME_SERVER,
    Reason,
    certificate_reason,
    connection_reason,
    head_reason,
    look_up_reason,
    proxy_reason,
    tls_reason,
)

__all__ = ["REASONS", "transport_error"]

#: Why there is no usable response, by class of exception; a subclass without a line has the reason of its base.
REASONS: dict[type[BaseException], str] = {
    aiohttp.ClientConnectorSSLError: "TLS handshake failed",
    aiohttp.ClientConnectorDNSError: "the host name was not found",
    aiohttp.ClientProxyConnectionError: "proxy connection failed",
    aiohttp.ClientHttpProxyError: "proxy connection failed",
    aiohttp.ConnectionTimeoutError: "connect timed out: no connection within connect_seconds",
    TimeoutError: "read timed out: no data within read_seconds",
    aiohttp.ServerDisconnectedError: "the connection was lost before the response",
    DisconnectedError: "the connection was lost before the response",
    SilentError: "no response over a reused connection",
    aiohttp.ClientPayloadError: "the body was cut",
    aiohttp.ClientResponseError: "the response is not HTTP",
    NotHttpError: "the response is not HTTP",
    ssl.SSLError: "the TLS connection failed",
}

#: The remedies of some of them; others have that of TransportError.
REMEDIES: dict[type[BaseException], str] = {
    aiohttp.ClientProxyConnectionError: "Check the URL of the proxy, and that it runs",
    aiohttp.ConnectionTimeoutError: "Check the host and port in base_url and the network, or raise Timeouts.connect_seconds",
    aiohttp.ClientResponseError: "Check scheme, host and port in base_url",
    NotHttpError: "Check scheme, host and port in base_url",
}


def transport_error(error: BaseException, host: str) -> TransportError:
    """Return the TransportError for an exception of a library: the reason, the host, and the remedy."""
    found = _found(error)
    read_timed_out = incomplete_body = False
    if found is None:
        kind = next((kind for kind in type(error).__mro__ if kind in REASONS), None)
        read_timed_out, incomplete_body = kind in {TimeoutError, SilentError}, kind is aiohttp.ClientPayloadError
        # Other exceptions, such as a ValueError of aiohttp, are due to the request: a retry would not help.
        transient = isinstance(error, (aiohttp.ClientError, OSError))
        remedy = next((REMEDIES[kind] for kind in type(error).__mro__ if kind in REMEDIES), "")
        found = connection_reason(error, REASONS), transient, remedy
    reason, transient, remedy = found
    return TransportError(
        f"{reason} ({host})",
        transient=transient,
        remedy=remedy,
        read_timed_out=read_timed_out,
        incomplete_body=incomplete_body,
    )


def _found(error: BaseException) -> Reason | None:
    """Return the reason of an exception whose class alone does not name it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        what, remedy = certificate_reason(getattr(error.certificate_error, "verify_code", 0))
        return what, False, remedy
    if isinstance(error, LookUpTimeoutError):
        return f"connect timed out: {error} within connect_seconds", True, NAME_SERVER
    if isinstance(error, aiohttp.ClientHttpProxyError) and isinstance(getattr(error, "status", None), int):
        return proxy_reason(error.status)
    for each in (error, error.__cause__):
        if isinstance(each, (HttpProcessingError, NotHttpError)):
            message = str(getattr(each, "message", each))
            return head_reason(message, HEADER_BYTES, MOST_HEADERS, HEAD_BYTES)
    return _of_the_system(error)


def _of_the_system(error: BaseException) -> Reason | None:
    """Return the reason of a look-up or a TLS handshake that has failed; None for anything else."""
    inner = getattr(error, "os_error", error)
    if not isinstance(inner, OSError):
        return None
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return look_up_reason(inner.errno)
    return tls_reason(" ".join(map(str, inner.args)))
