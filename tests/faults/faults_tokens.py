"""Malformed answers of the token endpoint. Whatever is called, the token cannot be had."""

from __future__ import annotations

import json
from typing import Any

from fault_model import READS, Fault, Outcome, failed, good, themed
from fault_server import TOKEN_JSON, Act, Wire
from support import SECRET, TOKEN

from arzamed_async import ArzamedError, CredentialsRejectedError, TokenError

GOOD: dict[str, Any] = json.loads(TOKEN_JSON)


def answering(body: bytes, status: str = "200 X") -> Act:
    """Return the act of a token endpoint that answers so."""

    async def act(wire: Wire) -> None:
        await wire.answer(body, status=status)

    return act


def everywhere(outcome: Outcome) -> dict[str, Outcome]:
    """Return this outcome for each call."""
    return dict.fromkeys(("token", *READS), outcome)


def raw(
    name: str, body: bytes | str, status: str = "200 X", kind: type[ArzamedError] = TokenError, /, **facts: object
) -> Fault:
    """Return the fault of such a body."""
    data = body.encode() if isinstance(body, str) else body
    return Fault(name=name, act=answering(data, status), at="token", expect=everywhere(failed(kind, **facts)))


def field(name: str, key: str, value: Any) -> Fault:
    """Return the fault of a token answer that is good but for one field."""
    return raw(f"{key}: {name}", json.dumps({**GOOD, key: value}))


def literal(name: str, key: str, text: str) -> Fault:
    """Return the fault of a field whose value is no JSON, or more than Python's json writes."""
    marked = json.dumps({**GOOD, key: "MARK"})
    return raw(f"{key}: {name}", marked.replace('"MARK"', text))


def taken(name: str, body: bytes | dict[str, Any], status: str = "200 X") -> Fault:
    """Return an odd answer that is good all the same."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Fault(name=name, act=answering(data, status), at="token", expect=everywhere(good()))


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


def refusal(name: str, status: int, kind: type[ArzamedError], **body: Any) -> Fault:
    """Return the fault of a refusal in the words of RFC 6749 section 5.2; `body` is its JSON."""
    said = str(body.get("error", ""))
    return raw(name, json.dumps(body) if body else b"", f"{status} X", kind, status=status, error=said)


SHAPES = themed(
    "Token responses: the body",
    raw("not JSON", "invented"),
    raw("an array", json.dumps([GOOD])),
    raw("a string", json.dumps(TOKEN)),
    raw("a number", "3600"),
    raw("null", "null"),
    raw("an empty object", "{}"),
    raw("cut JSON", TOKEN_JSON[:-5]),
    raw("something after the JSON", TOKEN_JSON + b"x"),
    raw("two objects", TOKEN_JSON * 2),
    raw("single quotes", TOKEN_JSON.replace(b'"', b"'")),
    raw("a trailing comma", TOKEN_JSON[:-1] + b",}"),
    raw("a comment", b"/* invented */" + TOKEN_JSON),
    raw("a depth bomb of arrays", "[" * 60_000),
    raw("a depth bomb of objects", '{"access_token":' * 4000),
    raw("a depth bomb beside the token", json.dumps(GOOD)[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}"),
    raw("over 64 KiB", json.dumps({**GOOD, "padding": "x" * 65_536})),
    raw("white space of 1 MiB before it", b" " * 1_048_576 + TOKEN_JSON),
    raw("an access token of 1 MiB", json.dumps({**GOOD, "access_token": "x" * 1_048_576})),
    raw("a lone surrogate", TOKEN_JSON.replace(b"canary", b"\\ud800")),
    raw("a control character in a string", TOKEN_JSON.replace(b"canary", b"\1")),
    raw("an OAuth error with 200", json.dumps({"error": "invalid_client", "error_description": SECRET})),
    raw("wrapped in an object", json.dumps({"data": GOOD})),
    raw("another case of the names", json.dumps({"Access_Token": TOKEN, "Token_Type": "Bearer"})),
    taken("a field given twice", TOKEN_JSON[:-1] + b', "token_type": "bearer"}'),
    taken("fields nobody knows", {**GOOD, "invented": {"deep": [1, 2]}, "scope": None}),
    taken("201", TOKEN_JSON, "201 Created"),
)
FIELDS = themed(
    "Token responses: the fields",
    raw("access_token: missing", json.dumps(without("access_token"))),
    field("empty", "access_token", ""),
    field("null", "access_token", None),
    field("a number", "access_token", 5),
    field("true", "access_token", True),
    field("a list", "access_token", [TOKEN]),
    field("a line break in it", "access_token", f"{TOKEN}\r\nX-Invented: 1"),
    field("a NUL in it", "access_token", f"{TOKEN}\0"),
    field("a space in it", "access_token", f"{TOKEN} x"),
    field("not ASCII", "access_token", f"{TOKEN}è"),
    field("white space alone", "access_token", "  "),
    taken("token_type: missing", without("token_type")),
    taken("token_type: BEARER", {**GOOD, "token_type": "BEARER"}),
    field("mac", "token_type", "mac"),
    taken("token_type: empty", {**GOOD, "token_type": ""}),
    taken("token_type: null", {**GOOD, "token_type": None}),
    field("a number", "token_type", 1),
    field("a list", "token_type", ["Bearer"]),
    taken("token_type: Bearer, and a space", {**GOOD, "token_type": "Bearer "}),
    taken("expires_in: missing", without("expires_in")),
    taken("expires_in: digits as text", {**GOOD, "expires_in": "3600"}),
    taken("expires_in: a fraction", {**GOOD, "expires_in": 3600.5}),
    taken("expires_in: ten years", {**GOOD, "expires_in": 315_360_000}),
    taken("expires_in: 10 to the 30th", {**GOOD, "expires_in": 10**30}),
    field("0", "expires_in", 0),
    field("negative", "expires_in", -3600),
    field("true", "expires_in", True),
    taken("expires_in: null", {**GOOD, "expires_in": None}),
    field("text", "expires_in", "an hour"),
    field("negative, as text", "expires_in", "-5"),
    taken("expires_in: empty text", {**GOOD, "expires_in": ""}),
    taken("expires_in: a fraction as text", {**GOOD, "expires_in": " 3600.0 "}),
    field("a list", "expires_in", [3600]),
    field("an object", "expires_in", {"seconds": 3600}),
    literal("NaN", "expires_in", "NaN"),
    literal("Infinity", "expires_in", "Infinity"),
    literal("1e999", "expires_in", "1e999"),
    literal("hexadecimal", "expires_in", "0xe10"),
)
OAUTH_ERRORS = themed(
    "Token responses: OAuth errors",
    refusal("400 invalid_client", 400, CredentialsRejectedError, error="invalid_client"),
    refusal("400 unauthorized_client", 400, CredentialsRejectedError, error="unauthorized_client"),
    refusal("401 invalid_client", 401, CredentialsRejectedError, error="invalid_client"),
    refusal("401 without a body", 401, CredentialsRejectedError),
    refusal("403 invalid_client", 403, CredentialsRejectedError, error="invalid_client"),
    refusal("400 invalid_scope", 400, TokenError, error="invalid_scope", error_description="invented"),
    refusal("400 invalid_request", 400, TokenError, error="invalid_request"),
    refusal("400 invalid_grant", 400, TokenError, error="invalid_grant"),
    refusal("400 unsupported_grant_type", 400, TokenError, error="unsupported_grant_type"),
    refusal("400 without a body", 400, TokenError),
    refusal("400, its error nobody knows", 400, TokenError, error="invented_error"),
    raw("400, its error a number", '{"error": 5}', "400 X", error=""),
    raw("400, HTML", "<h1>Invented</h1>", "400 X", error=""),
)
