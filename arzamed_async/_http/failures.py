"""Turns the exceptions of aiohttp, ssl and the operating system into TransportErrors made of facts."""

from __future__ import annotations

import ssl

import aiohttp

from ..errors import TransportError
from .handler import DisconnectedError, LookUpTimeoutError, NotHttpError, SilentError
from .reasons import certificate_reason, connection_reason

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
    SilentError: "no response over a connection that had been idle",
    aiohttp.ClientPayloadError: "the body was cut",
    aiohttp.ClientResponseError: "the response is not HTTP",
    NotHttpError: "the response is not HTTP",
    ssl.SSLError: "the TLS connection failed",
}


def transport_error(error: BaseException, host: str) -> TransportError:
    """Return the TransportError for an exception of a library: the reason, and the host."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        return TransportError(f"{certificate_reason(code)} ({host})", transient=False)
    if isinstance(error, LookUpTimeoutError):
        return TransportError(f"connect timed out: {error} within connect_seconds ({host})")
    # Other exceptions, such as a ValueError of aiohttp, are due to the request: a retry would not help.
    return TransportError(
        f"{connection_reason(error, REASONS)} ({host})", transient=isinstance(error, (aiohttp.ClientError, OSError))
    )
