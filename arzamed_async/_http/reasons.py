"""Why a connection failed, in a text that names neither the request nor a secret. No I/O."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["certificate_reason", "connection_reason"]

# OpenSSL's verify codes (X509_V_ERR_*).
_CERTIFICATE_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an unknown authority",
    20: "is signed by an unknown authority",
    62: "is for another host name",
    64: "is for another address",
}


def certificate_reason(verify_code: int) -> str:
    """Return what is wrong with a certificate."""
    return f"the TLS certificate {_CERTIFICATE_REASONS.get(verify_code, 'does not verify')}"


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
