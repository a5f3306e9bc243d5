"""Errors of a token request."""

from __future__ import annotations

from typing import Any

from .base import ArzamedError, retry_after

__all__ = ["CredentialsRejectedError", "TokenError", "TokenUnavailableError"]


#: Remedies for a status of the token endpoint. Other statuses from 400 on have the remedy of the class.
_BY_STATUS = {
    404: "Check token_url: the host has no such path",
    405: "Check token_url: that path does not accept POST",
    407: "Check user and password in the URL of the proxy",
    410: "Check token_url: the host no longer has this path",
}


class TokenError(ArzamedError):
    """The token endpoint returned no token. Without a subclass: a redirect, an invalid 200, or another 4xx status.

    Attributes:
        status: The HTTP status; None if there was no response.
        error: The endpoint's `error` (RFC 6749 section 5.2), sanitized and truncated to 200 characters.
        description: Its `error_description`, sanitized and truncated to 200 characters.
        retry_after_seconds: The delay that the Retry-After header requires, or what is left of an earlier one.
    """

    remedy = "Check that token_url is an OAuth 2 token endpoint, and that it grants the scope"

    def __init__(
        self,
        what: str = "the token endpoint returned no token",
        *,
        status: int | None = None,
        error: str = "",
        description: str = "",
        retry_after_seconds: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(what, **facts)
        self.status = status
        self.error = error
        self.description = description
        self.retry_after_seconds = retry_after_seconds
        if status is not None and type(self) is TokenError:
            if 300 <= status <= 399:
                self.remedy = "Check token_url: it must be the address that the redirect leads to"
            else:
                self.remedy = _BY_STATUS.get(status, self.remedy)

    def _details(self) -> str:
        server = ": ".join(part for part in (self.error, self.description) if part)
        status = "" if self.status is None else f"HTTP {self.status}"
        facts = ", ".join(part for part in (status, server) if part)
        return (f" ({facts})" if facts else "") + retry_after(self.retry_after_seconds)


class CredentialsRejectedError(TokenError):
    """The token endpoint rejected the clinic's credentials: HTTP 401, `invalid_client` or `unauthorized_client`."""

    remedy = (
        "Check client_id, client_secret and token_url; the clinic's administrator can create a new key"
        " (Equipe Settings, API Keys). No token request is sent with these credentials for a while"
    )


class TokenUnavailableError(TokenError):
    """The token endpoint could not be reached, or responded with HTTP 429 or 5xx to every attempt.

    The credentials were neither accepted nor rejected. If the response has a Retry-After header, it is remembered for up
    to an hour. Until it has passed, calls raise this error without a request, and `retry_after_seconds` is the time left.
    `session.forget` ends that.

    Attributes:
        transient: False if a retry cannot help, such as after a certificate error.
    """

    remedy = "Check token_url, or retry later"
    transient = True

    def not_sent(self, seconds_left: float) -> TokenUnavailableError:
        """Return the error of a later call, for which no request is sent because the endpoint requires a pause.

        Args:
            seconds_left: The rest of the pause, in seconds.
        """
        return TokenUnavailableError(
            "token request not sent: the token endpoint requires a pause",
            status=self.status,
            error=self.error,
            description=self.description,
            retry_after_seconds=seconds_left,
        )

    def unreachable(self, transient: bool, remedy: str) -> TokenUnavailableError:
        """Set `transient` and `remedy`; return this error.

        Args:
            transient: Whether a retry can help.
            remedy: What to do; empty: the remedy of the class.
        """
        self.transient = transient
        if remedy:
            self.remedy = remedy.replace("base_url", "token_url")
        return self
