"""All exceptions that this package raises: one tree with one root.

ArzamedError
├── ConfigurationError
├── SessionClosedError
├── TransportError
│   ├── CircuitOpenError
│   └── DeadlineExceededError
├── TokenError
│   ├── CredentialsRejectedError
│   └── TokenUnavailableError
├── StatusError
│   ├── UnauthorizedError
│   ├── ForbiddenError
│   ├── NotFoundError
│   ├── RateLimitedError
│   └── ServiceUnavailableError
└── ResponseError
    ├── DecodeError
    ├── LimitExceededError
    └── StreamInterruptedError

An error states what failed, for which clinic, in which call, after how many attempts, and what to
do about it. It contains no body, token, secret or value of a record, and no other exception is
chained to it. The only text from outside is the server's `error` and `error_description`, which
are sanitized. Errors can be pickled.
"""

from __future__ import annotations

from ._errors.base import ArzamedError, ConfigurationError, SessionClosedError
from ._errors.response import (
    DecodeError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    RateLimitedError,
    ResponseError,
    ServiceUnavailableError,
    StatusError,
    StreamInterruptedError,
    UnauthorizedError,
)
from ._errors.token import CredentialsRejectedError, TokenError, TokenUnavailableError
from ._errors.transport import CircuitOpenError, DeadlineExceededError, TransportError

__all__ = [
    "ArzamedError",
    "CircuitOpenError",
    "ConfigurationError",
    "CredentialsRejectedError",
    "DeadlineExceededError",
    "DecodeError",
    "ForbiddenError",
    "LimitExceededError",
    "NotFoundError",
    "RateLimitedError",
    "ResponseError",
    "ServiceUnavailableError",
    "SessionClosedError",
    "StatusError",
    "StreamInterruptedError",
    "TokenError",
    "TokenUnavailableError",
    "TransportError",
    "UnauthorizedError",
]
