"""The token endpoint's rules (RFC 6749 sections 2.3.1, 4.4 and 5), and the tokens that it issued."""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
import uuid
from collections.abc import Callable
from urllib.parse import parse_qs, unquote_plus

from attrs import define

from ._clinics import FakeClinic, FakeKey
from ._script import Refusal

__all__ = ["Tokens", "key_or_refusal"]

_CHALLENGE = (("WWW-Authenticate", 'Basic realm="arzamed"'),)


def bad_client(status: int = 401) -> Refusal:
    """Return the response to wrong credentials."""
    headers = _CHALLENGE if status == 401 else ()
    return Refusal(status, "invalid_client", "The client credentials are not valid", headers)


def _basic(header: str, *, form: bool) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    client_id, colon, secret = pair.partition(":")
    if not colon:
        return None
    return (unquote_plus(client_id), unquote_plus(secret)) if form else (client_id, secret)


def key_or_refusal(clinic: FakeClinic, authorization: str, content_type: str, body: bytes) -> FakeKey | Refusal:
    """Return the key of a token request, or the error. The client is checked first, then the grant, then the scope."""
    key = clinic.key_of(_basic(authorization, form=clinic.credentials.basic_encoding == "form"))
    if key is None:
        return bad_client()
    if key.revoked_status is not None:
        return bad_client(key.revoked_status)
    if content_type != "application/x-www-form-urlencoded":
        return Refusal(400, "invalid_request", "The body must be application/x-www-form-urlencoded")
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    problem = None
    for name in ("grant_type", "scope"):
        values = fields.get(name, [])
        if len(values) != 1 or not values[0]:
            problem = Refusal(400, "invalid_request", f"{name} must be there once")
            break
    else:
        if fields["grant_type"] != ["client_credentials"]:
            problem = Refusal(400, "unsupported_grant_type", "grant_type must be client_credentials")
        elif fields["scope"] != [key.credentials.scope]:
            problem = Refusal(400, "invalid_scope", "The scope is not known")
    return problem or key


@define(eq=False)
class _Issued:
    clinic: FakeClinic
    key: FakeKey
    expires_at: float


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


_HEADER = _part(json.dumps({"alg": "RS256", "kid": "invented-key-1", "typ": "JWT"}).encode())


class Tokens:
    """Tokens that look like RS256 JWTs: the signature is random, so no verifier accepts one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._issued: dict[str, _Issued] = {}
        self._lock = threading.Lock()  # one thread may expire tokens while another issues them

    def issue(self, clinic: FakeClinic, key: FakeKey, issuer: str, lifetime_seconds: float) -> str:
        """Return a new token that expires after `lifetime_seconds`."""
        now = self._clock()
        claims = {
            "iss": issuer,
            "sub": key.credentials.client_id,
            "exp": int(now + lifetime_seconds),
            "iat": int(now),
            "scope": key.credentials.scope,
            "jti": uuid.uuid4().hex,
        }
        token = f"{_HEADER}.{_part(json.dumps(claims).encode())}.{_part(os.urandom(256))}"
        with self._lock:
            self._issued[token] = _Issued(clinic, key, now + lifetime_seconds)
        return token

    def expire(self, clinic: FakeClinic | None) -> None:
        """Make all tokens issued so far expire, or those of one clinic."""
        with self._lock:
            for issued in self._issued.values():
                if clinic is None or issued.clinic is clinic:
                    issued.expires_at = float("-inf")

    def owner(self, authorization: str) -> tuple[FakeClinic | None, Refusal | None]:
        """Return the clinic of the token in an Authorization header, and the error of that token, if any."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None, Refusal(401, "Missing token", headers=(("WWW-Authenticate", "Bearer"),))
        issued = self._issued.get(token)
        if issued is None:
            return None, Refusal(401, "Invalid token")
        if self._clock() >= issued.expires_at:
            return issued.clinic, Refusal(401, "Expired token")
        if issued.key.revoked_status is not None:
            return issued.clinic, Refusal(403, "The API key has been revoked")
        return issued.clinic, None
