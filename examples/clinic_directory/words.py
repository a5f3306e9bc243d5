"""Errors in the words of a reception desk: what is the matter with a clinic, and what to do about it."""

from __future__ import annotations

from arzamed_async import (
    ArzamedError,
    CircuitOpenError,
    ConfigurationError,
    CredentialsRejectedError,
    DeadlineExceededError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    ResponseError,
    ServiceUnavailableError,
    SessionClosedError,
    StreamInterruptedError,
    TokenUnavailableError,
    TransportError,
    UnauthorizedError,
)

__all__ = ["explain"]

_NEW_KEY = "Ask the clinic's administrator for a new key (Equipe Settings, API Keys)."
_LATER = "Try again in a few minutes. The other clinics are not affected."
_IT = "Please tell your IT department; trying again will not help."

#: The first class that fits speaks.
_WORDS: tuple[tuple[type[ArzamedError], str, str], ...] = (
    (CredentialsRejectedError, "The clinic no longer accepts our key.", _NEW_KEY),
    (ForbiddenError, "Our key for this clinic has been withdrawn or has expired.", _NEW_KEY),
    (UnauthorizedError, "The clinic does not accept our key.", _NEW_KEY),
    (DeadlineExceededError, "The clinic did not answer in time.", _LATER),
    (CircuitOpenError, "The clinic has not been answering, so we give it a short rest.", "Try again in a minute."),
    (RateLimitedError, "The clinic has been asked too often.", "Wait a minute, then try again."),
    (ServiceUnavailableError, "The clinic's system is out of service at the moment.", _LATER),
    (TokenUnavailableError, "The clinic's sign-in cannot be reached at the moment.", _LATER),
    (TransportError, "The clinic cannot be reached at the moment.", _LATER),
    (StreamInterruptedError, "The clinic's list broke off before its end.", _LATER),
    (NotFoundError, "The clinic's list of doctors is not where we look for it.", _IT),
    (ResponseError, "The clinic's answer could not be understood.", _IT),
    (ConfigurationError, "This clinic is not set up correctly on our side.", _IT),
    (SessionClosedError, "This page is being restarted.", "Try again in a moment."),
)
_OTHERWISE = ("The clinic's system reports a fault.", "Try again; if it stays so, please tell your IT department.")


def explain(error: ArzamedError) -> tuple[str, str]:
    """Return what is the matter and what to do, each a sentence or two for someone at a reception desk."""
    for kind, what, remedy in _WORDS:
        if isinstance(error, kind):
            return what, remedy
    return _OTHERWISE
