"""What OpenSSL and the operating system report, in words that help. Values in, words out."""

from __future__ import annotations

import os

__all__ = ["certificate_fault", "system_fault"]

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


def certificate_fault(verify_code: int) -> str:
    """Return what is wrong with a certificate."""
    return f"the TLS certificate {_CERTIFICATE_FAULTS.get(verify_code, 'does not verify')}"


def system_fault(error: OSError) -> str:
    """Return why the operating system gave no connection, without what it was asked for."""
    number = error.errno
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else "the connection failed"
