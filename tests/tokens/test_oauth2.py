"""The rules of the token request and its response, from values alone."""

from __future__ import annotations

import base64
from urllib.parse import unquote, unquote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import CredentialsRejectedError, Headers, Response, TokenError, TokenUnavailableError
from arzamed_async._http.status import status_error
from arzamed_async._tokens.oauth2 import IssuedToken, ResolvedSecret, basic_authorization, read_token_response

SENT = ResolvedSecret("id", "s3cret", "form")
NOW = (1000.0, 1_700_000_000.0)


def facts(outcome: object) -> tuple[str, float, float, float]:
    """Return what a token consists of."""
    assert isinstance(outcome, IssuedToken)
    return outcome.access_token, outcome.lifetime_seconds, outcome.requested_at, outcome.requested_at_wall


PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.text(min_size=1).filter(str.isprintable))
def test_basic_is_form_encoded(client_id: str, secret: str) -> None:
    """Whatever id and secret hold, a server that follows RFC 6749 section 2.3.1 reads them back."""
    scheme, value = basic_authorization(client_id, secret, "form").split(" ")
    left, colon, right = base64.b64decode(value).decode("ascii").partition(":")
    assert (scheme, colon) == ("Basic", ":")
    for decode in (unquote, unquote_plus):
        assert (decode(left), decode(right)) == (client_id, secret)


def test_basic_of_every_printable_character() -> None:
    """Letters, digits and -._~ stand for themselves, a space is %20, the rest is %XX."""
    text = base64.b64decode(basic_authorization("a b", PRINTABLE, "form")[6:]).decode()
    assert text.startswith("a%20b:%20%21%22%23")
    assert "+" not in text.replace("%2B", "")
    raw = base64.b64decode(basic_authorization("a b", "è:+", "raw")[6:]).decode()
    assert raw == "a b:è:+"


GOOD = {"access_token": "abc.def", "token_type": "Bearer", "expires_in": 3600}


@pytest.mark.parametrize(
    ("change", "lifetime"),
    [
        ({}, 3600.0),
        ({"expires_in": "1200"}, 1200.0),
        ({"expires_in": 90_000}, 86_400.0),
        ({"expires_in": 0.5}, 0.5),
        ({"expires_in": True}, None),
        ({"expires_in": 0}, None),
        ({"expires_in": -5}, None),
        ({"expires_in": "soon"}, None),
        ({"expires_in": "-1"}, None),
        ({"expires_in": []}, None),
        ({"expires_in": "٣"}, None),
        ({"expires_in": None}, 300.0),
        ({"expires_in": ""}, 300.0),
        ({"expires_in": " "}, 300.0),
        ({"expires_in": "3600.0"}, 3600.0),
        ({"expires_in": "3600."}, 3600.0),
        ({"expires_in": " 3600\n"}, 3600.0),
        ({"expires_in": "+3600"}, 3600.0),
        ({"expires_in": "3.6e3"}, 3600.0),
        ({"expires_in": 3600.0}, 3600.0),
        ({"expires_in": "0.5"}, 0.5),
        ({"expires_in": 2**63 - 1}, 86_400.0),
        ({"expires_in": 1e300}, 86_400.0),
        ({"expires_in": "9" * 5000}, 86_400.0),
        ({"expires_in": "1e999"}, 86_400.0),
        ({"expires_in": "NaN"}, None),
        ({"expires_in": "Infinity"}, None),
        ({"expires_in": "1e9999"}, None),
        ({"expires_in": "0"}, None),
        ({"expires_in": "0.0"}, None),
        ({"expires_in": -0.0}, None),
        ({"expires_in": "1_000"}, None),
        ({"expires_in": "0x10"}, None),
        ({"expires_in": "3600 s"}, None),
        ({"expires_in": False}, None),
        ({"expires_in": "true"}, None),
        ({"expires_in": {}}, None),
        ({"token_type": None}, 3600.0),
        ({"token_type": ""}, 3600.0),
        ({"token_type": " Bearer "}, 3600.0),
        ({"token_type": "BearerToken"}, None),
        ({"token_type": False}, None),
        ({"token_type": []}, None),
        ({"token_type": "bEaReR"}, 3600.0),
        ({"token_type": "mac"}, None),
        ({"token_type": 7}, None),
        ({"access_token": ""}, None),
        ({"access_token": 5}, None),
        ({"access_token": None}, None),
        ({"access_token": "a\nb"}, None),
        ({"access_token": "a\x7fb"}, None),
        ({"access_token": "è"}, None),
    ],
)
def test_token_answers(change: dict[str, object], lifetime: float | None) -> None:
    """Null, empty and missing fields are absent, a number in a text is that number; whatever else is malformed is a TokenError."""
    outcome = read_token_response(200, None, orjson.dumps({**GOOD, **change}), SENT, NOW)
    if lifetime is None:
        assert type(outcome) is TokenError
        assert "contains" in str(outcome)
    else:
        assert facts(outcome) == ("abc.def", lifetime, *NOW)


def test_a_byte_order_mark_is_passed_over() -> None:
    """A token answer, an error's body and what `get` returns may begin with a byte order mark, as a list may."""
    body = b"\xef\xbb\xbf" + orjson.dumps({"access_token": "invented", "expires_in": 60, "error": "revoked"})
    assert facts(read_token_response(200, None, body, SENT, NOW)) == ("invented", 60.0, *NOW)
    assert status_error(403, {}, body, (), 0.0).message == "revoked"
    assert Response(200, Headers({}), body).json()["error"] == "revoked"


def test_token_answers_without_the_optional_fields() -> None:
    """A missing expires_in is 300 s, a missing token_type is Bearer; a body that is no object is a TokenError."""
    assert facts(read_token_response(200, None, b'{"access_token": "t"}', SENT, NOW)) == ("t", 300.0, *NOW)
    for body in (b"", b"[]", b"null", b"<html>", b"\xff", b'{"access_token": "t"'):
        assert type(read_token_response(200, None, body, SENT, NOW)) is TokenError


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_client"}, CredentialsRejectedError),
        (400, {"error": "unauthorized_client"}, CredentialsRejectedError),
        (401, {}, CredentialsRejectedError),
        (403, {"error": "invalid_client"}, CredentialsRejectedError),
        (400, {"error": "invalid_scope", "error_description": "not yours"}, TokenError),
        (403, {}, TokenError),
        (302, {}, TokenError),
        (404, {}, TokenError),
        (429, {"error": "invalid_client"}, TokenUnavailableError),
        (500, {}, TokenUnavailableError),
        (501, {}, TokenUnavailableError),
        (503, {}, TokenUnavailableError),
    ],
)
def test_token_refusals(status: int, body: dict[str, str], kind: type[TokenError]) -> None:
    """Each refusal of the token endpoint is of the class that the tree says, with the endpoint's words."""
    outcome = read_token_response(status, 7.0, orjson.dumps(body), SENT, NOW)
    assert type(outcome) is kind
    assert (outcome.status, outcome.error, outcome.retry_after_seconds) == (status, body.get("error", ""), 7.0)
    assert outcome.description == body.get("error_description", "")
