"""The kinds of faults that the page for operators shows: a title, what to do, and which faults of the matrix it covers."""

from __future__ import annotations

from attrs import field, frozen
from fault_model import Fault, Outcome

__all__ = ["ERRORS", "KINDS", "Kind", "name_of", "word"]

#: Each error: the word for it in the tables, what it means, and what to do first.
ERRORS: dict[str, tuple[str, str, str]] = {
    "TransportError": (
        "transport",
        "No attempt got a usable HTTP response. The text names the fault and the host.",
        "Check the network, the proxy and that host.",
    ),
    "DeadlineExceededError": (
        "deadline",
        "The call's deadline passed. The text names what the call was doing (`phase`) and the last failure. It is a `TransportError`.",
        "Check the network and that host. If the server is only slow, raise `Timeouts`.",
    ),
    "TokenUnavailableError": (
        "no token",
        "The token endpoint cannot be reached, or it responds with 429 or 5xx. If it sends a `Retry-After`, no request is sent until then.",
        "Check `token_url`, or wait for `retry_after_seconds`. The credentials may be correct.",
    ),
    "TokenError": (
        "token",
        "The token endpoint responds, but without a valid token.",
        "Check `token_url` and the scope. Read the error's `status`, `error` and `description`.",
    ),
    "CredentialsRejectedError": (
        "key",
        "The token endpoint rejects this clinic's key. No token request is sent with it for a minute.",
        "Check the key with the clinic's administrator.",
    ),
    "UnauthorizedError": (
        "401",
        "The API rejects even a new token, or has stopped accepting two tokens within a minute. The text says which.",
        "Check that key and environment (production or sandbox) belong together.",
    ),
    "ForbiddenError": ("403", "HTTP 403.", "Read the error's `message`. Check what the key may read."),
    "NotFoundError": ("404", "HTTP 404.", "Check the path and `base_url`."),
    "RateLimitedError": ("429", "HTTP 429.", "Wait for `retry_after_seconds`, and send fewer requests."),
    "ServiceUnavailableError": ("503", "HTTP 503.", "Wait for `retry_after_seconds`, then retry."),
    "StatusError": ("status", "Any other status that is not 2xx.", "Read the error's `status`, `message` and `request_id`."),
    "DecodeError": (
        "decode",
        "A 2xx response whose body is not what the API documents. `record_index` and `field` locate the place.",
        "Report it to the owner of the API.",
    ),
    "LimitExceededError": (
        "limit",
        "The response exceeds one of `Limits`.",
        "If that size is right, raise the limit that the text names.",
    ),
    "StreamInterruptedError": (
        "cut",
        "A stream was interrupted after `delivered` records, and could not resume.",
        "Keep those records, or read the list again.",
    ),
}  # fmt: skip


def word(outcome: Outcome) -> str:
    """Return the tables' word for an outcome."""
    return "✓" if outcome.error is None else ERRORS[outcome.error.__name__][0]


def name_of(outcome: Outcome) -> str:
    """Return an outcome's error without its ending, or `works`."""
    return "works" if outcome.error is None else outcome.error.__name__.removesuffix("Error")


@frozen
class Kind:
    """A row for operators. `covers` names parts of the matrix: a theme, how `list` ends, and perhaps how `token` ends."""

    title: str
    todo: str
    covers: tuple[tuple[str, ...], ...] = field(converter=tuple)

    def has(self, fault: Fault) -> bool:
        """Return whether this kind covers the fault."""
        ends = [name_of(fault.expect[call]) for call in ("list", "token") if call in fault.expect]
        return any(theme == fault.theme and ends[: len(rest)] == rest for theme, *rest in self.covers)


NETWORK, MESSAGES, BODIES, STATUSES, TOKENS = (
    "Network and TLS",
    "HTTP messages",
    "Bodies and lists",
    "Statuses",
    "Tokens",
)

KINDS: dict[str, tuple[Kind, ...]] = {
    NETWORK: (
        Kind(
            "The host is not found, refuses the connection, or ends it at once",
            "Check the host name, the port and the firewall, and whether the server runs.",
            [("Connecting", "Transport")],
        ),
        Kind(
            "The server sends nothing, or one byte a second",
            "Look at the load of the server. If it is only slow, raise `Timeouts`.",
            [
                ("Connecting", "DeadlineExceeded"),
                ("The response is interrupted", "DeadlineExceeded"),
                ("Connections kept alive", "DeadlineExceeded"),
                ("Status line and headers", "DeadlineExceeded"),
            ],
        ),
        Kind(
            "The certificate is invalid, or TLS fails",
            "Check the certificate, its authority, the clocks and the port.",
            [("TLS", "Transport")],
        ),
        Kind(
            "The connection is lost during the response, at each attempt",
            "Look at the server, and at each proxy and load balancer before it.",
            [("The response is interrupted", "Transport"), ("Connections kept alive", "Transport")],
        ),
        Kind(
            "The connection is lost once, and then the list has changed",
            "Read the list again if a stream was interrupted.",
            [("The response is interrupted", "works")],
        ),
        Kind(
            "The server ends an idle connection, or sends more than was requested",
            "Nothing: a new connection is opened.",
            [("Connections kept alive", "works")],
        ),
    ),
    MESSAGES: (
        Kind(
            "The response is not HTTP, or its headers are invalid or too long",
            "Check the URL and the port: another service may listen there.",
            [("Not HTTP", "Transport"), ("Status line and headers", "Transport")],
        ),
        Kind(
            "The end of the body is wrong or missing",
            "Report it to the owner of the server or proxy.",
            [("Where the body ends", "Transport"), ("What is in the body", "Transport")],
        ),
        Kind(
            "A compressed body is damaged",
            "Report it to the owner of the server or proxy.",
            [("Compressed bodies", "Transport")],
        ),
        Kind(
            "A body is compressed in a way that was not requested",
            "Report it to the owner of the server or proxy.",
            [("Compressed bodies", "Decode")],
        ),
        Kind(
            "HTTP that is unusual and valid",
            "Nothing.",
            [
                ("Not HTTP", "works"),
                ("Status line and headers", "works"),
                ("Where the body ends", "works"),
                ("What is in the body", "works"),
                ("Compressed bodies", "works"),
            ],
        ),
    ),
    BODIES: (
        Kind(
            "The body is not a JSON array",
            "Check `base_url`: a sign-in page or another service may respond there. Otherwise report it to the owner of the API.",
            [("What is in the body", "Decode"), ("Lists: not a JSON array", "Decode")],
        ),
        Kind(
            "The list ends without its closing bracket",
            "Read it again later. If it happens again, report it to the owner of the API.",
            [("Lists: not a JSON array", "Transport")],
        ),
        Kind(
            "A record is invalid",
            "Report `record_index` and `field`. To read the other records, use `collect_errors=True`.",
            [("Lists: records", "Decode")],
        ),
        Kind(
            "A record, a list or a decompressed body is too large",
            "If that size is right, raise the limit that the error names.",
            [("Lists: records", "LimitExceeded"), ("Compressed bodies", "LimitExceeded")],
        ),
        Kind("A valid list with unusual content", "Nothing.", [("Lists: records", "works")]),
    ),
    STATUSES: (
        Kind("401", "Check that key and environment belong together.", [("Statuses", "Unauthorized")]),
        Kind(
            "403, whatever its body",
            "Read the error's `message`. Check what the key may read.",
            [("Statuses", "Forbidden"), ("Bodies of a 403", "Forbidden"), ("Compressed bodies of a 403", "Forbidden")],
        ),
        Kind("404", "Check the path and `base_url`.", [("Statuses", "NotFound")]),
        Kind(
            "429, with or without `Retry-After`",
            "Wait for `retry_after_seconds`, and send fewer requests.",
            [("Statuses", "RateLimited"), ("Retry-After", "RateLimited")],
        ),
        Kind(
            "503, with or without `Retry-After`",
            "Wait for `retry_after_seconds`, then retry.",
            [("Statuses", "ServiceUnavailable"), ("Retry-After", "ServiceUnavailable")],
        ),
        Kind(
            "Another 5xx",
            "Retry later. If it happens again, report `request_id` to the owner of the API.",
            [("Statuses", "Status", "TokenUnavailable")],
        ),
        Kind(
            "Another 4xx, 300 or 304",
            "Read the error's `status` and `message`.",
            [("Statuses", "Status", "Token"), ("What is in the body", "Status", "Token")],
        ),
        Kind("A redirect", "Set the URL that is right: no redirect is followed.", [("Redirects", "Status")]),
    ),
    TOKENS: (
        Kind(
            "The token endpoint rejects the key",
            "Check the key with the clinic's administrator.",
            [("Token responses: OAuth errors", "CredentialsRejected")],
        ),
        Kind(
            "The token endpoint reports another OAuth error",
            "Check the scope. Read the error's `error` and `description`.",
            [("Token responses: OAuth errors", "Token")],
        ),
        Kind(
            "The token response is not valid",
            "Check `token_url`. Then report it to the owner of the token endpoint.",
            [("Token responses: the body", "Token"), ("Token responses: the fields", "Token")],
        ),
        Kind(
            "The token response is unusual and valid",
            "Nothing.",
            [("Token responses: the body", "works"), ("Token responses: the fields", "works")],
        ),
    ),
}
