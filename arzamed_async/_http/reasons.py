"""What aiohttp, OpenSSL and the operating system report, in words that help. Values in, words out."""

from __future__ import annotations

import os

__all__ = ["certificate_fault", "connection_fault"]

# OpenSSL's verify codes (X509_V_ERR_*).
_CERTIFICATE_FAULTS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an unknown authority",
    20: "is signed by an unknown authority",
    62: "is for another host name",
    64: "is for another address",
}

# By the names of classes, so that this floor needs none of the libraries; an exception is what its first named base is.
_REASONS = {
    "ClientConnectorSSLError": "no TLS connection could be agreed on",
    "ClientConnectorDNSError": "the host name was not found",
    "ClientProxyConnectionError": "the proxy gave no connection",
    "ClientHttpProxyError": "the proxy gave no connection",
    "ConnectionTimeoutError": "no connection within connect_seconds",
    "TimeoutError": "no byte within read_seconds",
    "ServerDisconnectedError": "the connection was lost before the answer",
    "DisconnectedError": "the connection was lost before the answer",
    "ClientPayloadError": "the body was cut",
    "ClientResponseError": "the answer is not HTTP",
    "SSLError": "the TLS connection broke",
}


def certificate_fault(verify_code: int) -> str:
    """Return what is wrong with a certificate."""
    return f"the TLS certificate {_CERTIFICATE_FAULTS.get(verify_code, 'does not verify')}"


def connection_fault(error: BaseException) -> str:
    """Return why there was no usable answer, without anything of what was asked."""
    for kind in type(error).__mro__:
        if kind.__name__ in _REASONS:
            return _REASONS[kind.__name__]
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    return "the connection failed" if isinstance(error, OSError) else f"the connection failed ({type(error).__name__})"
