"""What a status over 299 says, and a server's text made safe to show, from values alone."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import ForbiddenError, StatusError
from arzamed_async._http.status import printable_excerpt, retry_after_seconds, status_error

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


@pytest.mark.parametrize("skew", [-86_400.0, -300.0, 0.0, 300.0, 86_400.0])
@pytest.mark.parametrize(("after", "seconds"), [(3, 3.0), (0, 0.0), (-60, 0.0), (900, 900.0)])
def test_a_date_counts_from_the_responses_own(skew: float, after: float, seconds: float) -> None:
    """Whatever the server's clock shows, a date in Retry-After is as far away as it is from the response's Date."""
    date, until = (formatdate(NOW + skew + each, usegmt=True) for each in (0, after))
    assert retry_after_seconds(until, NOW, date) == seconds
    assert status_error(503, {"retry-after": until, "date": date}, b"", (), NOW).retry_after_seconds == seconds


@pytest.mark.parametrize("date", [None, "", "soon", "Fri, 31 Foo 2099 25:61:61 GMT", "1800000000"])
def test_without_a_date_of_the_response_ours_counts(date: str | None) -> None:
    """A response without a Date, or with one that is none, has its Retry-After read against the wall clock."""
    assert retry_after_seconds(formatdate(NOW + 30, usegmt=True), NOW, date) == 30.0


def test_a_retry_after_in_seconds_has_nothing_to_do_with_the_date() -> None:
    """Seconds are seconds, whatever the server's clock shows."""
    assert retry_after_seconds("3", NOW, formatdate(NOW - 300, usegmt=True)) == 3.0


@given(st.text(), st.none() | st.text())
def test_retry_after_never_raises(value: str, date: str | None) -> None:
    """No header, however odd, does more than say nothing."""
    for each in (value, formatdate(NOW, usegmt=True)):
        seconds = retry_after_seconds(each, NOW, date)
        assert seconds is None or seconds >= 0


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_clean_text_is_printable_and_holds_no_secret(text: str, secrets: list[str]) -> None:
    """Cleaned text is printable, at most 200 characters, and holds a secret nowhere."""
    secrets = [secret for secret in secrets if secret.isprintable() and "*" not in secret]
    cleaned = printable_excerpt(" ".join([text, *secrets]), secrets)
    assert len(cleaned) <= 200
    assert cleaned.isprintable()
    assert not any(secret in cleaned.replace("***", "") for secret in secrets if secret.strip() == secret)


def test_clean_masks_secrets_with_unprintable_characters() -> None:
    """A secret that holds characters which no log shows is masked all the same."""
    assert printable_excerpt("bad abc\u00a0def", ["abc\u00a0def"]) == "bad ***"


@pytest.mark.parametrize(
    "hidden",
    "\u00ad\u034f\u061c\u115f\u17b4\u180b\u200b\u200d\u202e\u2060\u3164\ufe0f\ufeff\uffa0\ufff9\U000e0041\U000e0100",
)
def test_clean_masks_a_secret_with_something_invisible_in_it(hidden: str) -> None:
    """What no reader sees is left out before secrets are masked, so that it carries none past the mask."""
    assert printable_excerpt(f"bad invented{hidden}-secret", ["invented-secret"]) == "bad ***"


def test_clean_takes_only_text() -> None:
    """What is not text says nothing."""
    assert printable_excerpt({"message": "x"}, ()) == ""


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
    assert "the address that the redirect leads to" in str(status_error(308, {}, b"", (), NOW))
