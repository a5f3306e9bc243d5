"""What to do about an error, for someone at a command line: options instead of arguments of Python."""

from __future__ import annotations

import re

from arzamed_async import (
    ArzamedError,
    ConfigurationError,
    DeadlineExceededError,
    LimitExceededError,
    RateLimitedError,
)

__all__ = ["advice_on"]

_TLS = "The command line cannot present a client certificate or choose TLS versions: use Python, with an ssl_context"

#: One response may take half of --timeout, so a little more would not do.
_MORE_TIME = "give --timeout more than twice the seconds that the response takes"


def advice_on(error: ArzamedError) -> str:
    """Return a sentence, empty where the error's own text is the advice."""
    match error:
        case ConfigurationError():
            return ""
        case DeadlineExceededError():
            return _on_deadline(error)
        case RateLimitedError():
            return "Lower --rate or --concurrency"
        case LimitExceededError(limit=limit) if error.remedy.startswith("If this size is expected"):
            return f"No option raises this limit: use Python, with Limits({limit}=...)"
        case _:
            return _translated(error.remedy)


def _on_deadline(error: DeadlineExceededError) -> str:
    if not (error.method or error.call_id):  # that of the run, which is no call
        return "Give the run a longer --deadline"
    if error.phase.startswith("waiting for a token from"):
        return f"Check token_url, retry later, or {_MORE_TIME}"
    if "concurrency" in error.remedy or "PoolLimits" in error.phase:  # the request has waited for others
        return "Retry later, with a longer --timeout, or with a lower --concurrency"
    return f"Retry later, or {_MORE_TIME}"


def _translated(remedy: str) -> str:
    if "ssl_context" in remedy:
        trust = "If it is the right server, set SSL_CERT_FILE to the certificate file of its authority"
        return trust if "authority" in remedy else _TLS
    remedy = re.sub(r" or raise Timeouts\.read_seconds( and Timeouts\.total_seconds)?", f" or {_MORE_TIME}", remedy)
    remedy = re.sub(r",? or raise Timeouts\.\w+", "", remedy)
    return remedy.replace("base_url", "--base-url")
