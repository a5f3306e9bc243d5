"""Every exception this package raises, in one tree with one root.

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

An error consists of facts: what failed, at which clinic, in which call, after how many
attempts, and what to do about it. It holds no body, token, secret or patient's value, and no
other exception is chained to it. The only foreign text is the server's `error` and
`error_description`, sanitized by the module that reads them. Errors can be pickled.
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
