"""The rules of the wire, from values alone."""

from __future__ import annotations

import base64
import datetime as dt
import enum
from email.utils import formatdate
from urllib.parse import unquote, unquote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import (
    ConfigurationError,
    CredentialsRejectedError,
    ForbiddenError,
    Headers,
    Response,
    StatusError,
    TokenError,
    TokenUnavailableError,
)
from arzamed_async._protocol import (
    Grant,
    SentSecret,
    basic_authorization,
    clean,
    read_grant,
    request_url,
    retry_after_seconds,
    status_error,
)

SENT = SentSecret("id", "s3cret", "form")


class Status(int, enum.Enum):
    GOOD = 5


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
        ({"expires_in": None}, None),
        ({"expires_in": True}, None),
        ({"expires_in": 0}, None),
        ({"expires_in": -5}, None),
        ({"expires_in": "soon"}, None),
        ({"expires_in": "-1"}, None),
        ({"expires_in": []}, None),
        ({"expires_in": "٣"}, None),
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
    """A good answer is a grant of the life it says; each malformed one is a TokenError, and no other class."""
    outcome = read_grant(200, None, orjson.dumps({**GOOD, **change}), SENT, 0.0)
    if lifetime is None:
        assert type(outcome) is TokenError
        assert "holds" in str(outcome)
    else:
        assert outcome == Grant("abc.def", lifetime)


def test_a_byte_order_mark_is_passed_over() -> None:
    """A token answer, an error's body and what `get` returns may begin with a byte order mark, as a list may."""
    body = b"\xef\xbb\xbf" + orjson.dumps({"access_token": "invented", "expires_in": 60, "error": "revoked"})
    assert read_grant(200, None, body, SENT, 0.0) == Grant("invented", 60.0)
    assert status_error(403, {}, body, (), 0.0).message == "revoked"
    assert Response(200, Headers({}), body).json()["error"] == "revoked"


def test_token_answers_without_the_optional_fields() -> None:
    """A missing expires_in is 300 s, a missing token_type is Bearer; a body that is no object is a TokenError."""
    assert read_grant(200, None, b'{"access_token": "t"}', SENT, 0.0) == Grant("t", 300.0)
    for body in (b"", b"[]", b"null", b"<html>", b"\xff", b'{"access_token": "t"'):
        assert type(read_grant(200, None, body, SENT, 0.0)) is TokenError


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
    outcome = read_grant(status, "7", orjson.dumps(body), SENT, 0.0)
    assert type(outcome) is kind
    assert (outcome.status, outcome.error, outcome.retry_after_seconds) == (status, body.get("error", ""), 7.0)
    assert outcome.description == body.get("error_description", "")


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        (" 0.2 ", 0.2),
        ("0", 0.0),
        ("-1", None),
        ("nan", None),
        ("1e3", None),
        ("99999999999999999999", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        (formatdate(NOW + 30, usegmt=False), 30.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sun Nov  6 08:49:37 1994", 0.0),
        ("Fri, 31 Foo 2099 25:61:61 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Retry-After is read as seconds or as an HTTP date in any of its forms; anything else says nothing."""
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text())
def test_retry_after_never_raises(value: str) -> None:
    """No header, however odd, does more than say nothing."""
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_clean_text_is_printable_and_holds_no_secret(text: str, secrets: list[str]) -> None:
    """Cleaned text is printable, at most 200 characters, and holds a secret nowhere."""
    secrets = [secret for secret in secrets if secret.isprintable() and "*" not in secret]
    cleaned = clean(" ".join([text, *secrets]), secrets)
    assert len(cleaned) <= 200
    assert cleaned.isprintable()
    assert not any(secret in cleaned.replace("***", "") for secret in secrets if secret.strip() == secret)


def test_clean_masks_secrets_with_unprintable_characters() -> None:
    """A secret that holds characters which no log shows is masked all the same."""
    assert clean("bad abc\u00a0def", ["abc\u00a0def"]) == "bad ***"


def test_clean_takes_only_text() -> None:
    """What is not text says nothing."""
    assert clean({"message": "x"}, ()) == ""


def test_status_error_facts() -> None:
    """The error for a status has the API's words, the gateway's request id and the wait it asked for."""
    headers = {"x-request-id": "r-1", "retry-after": "9"}
    error = status_error(403, headers, b'{"error": "key revoked"}', (), NOW)
    assert type(error) is ForbiddenError
    assert (error.status, error.message, error.request_id, error.retry_after_seconds) == (
        403,
        "key revoked",
        "r-1",
        9.0,
    )
    assert status_error(403, {"x-request-id": "bad id\n"}, b"", (), NOW).request_id == ""
    assert status_error(403, {"x-request-id": "has-s3cret"}, b"", ("s3cret",), NOW).request_id == ""
    assert type(status_error(418, {}, b"<html>", (), NOW)) is StatusError
    assert "Redirects are not followed" in str(status_error(308, {}, b"", (), NOW))


def test_urls() -> None:
    """Path and params are joined and encoded; what is encoded already stays so."""
    base = "https://api.invented.example/v1"
    assert request_url(base, "equipe/doctors") == base + "/equipe/doctors"
    assert request_url(base, "a/b%20c/è:d") == base + "/a/b%20c/%C3%A8:d"
    moment = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.timezone.utc)
    url = request_url(base, "x", {"at": moment, "on": dt.date(2026, 1, 2), "n": [1, 2.5], "f": False, "t": "a&b c"})
    assert url == base + "/x?at=2026-01-02T03%3A04%3A00%2B00%3A00&on=2026-01-02&n=1&n=2.5&f=false&t=a%26b%20c"
    assert request_url(base, "x", [("a", "1"), ("a", "2")]) == base + "/x?a=1&a=2"
    assert request_url(base, "x", {"a": iter([1, 2]), "e": Status.GOOD}) == base + "/x?a=1&a=2&e=5"
    for params in ({"a": None}, {"a": float("nan")}, {"a": {}}, {"a\n": 1}, {"a": "x\ny"}):
        with pytest.raises(ConfigurationError, match="parameter"):
            request_url(base, "x", params)  # type: ignore[arg-type]
