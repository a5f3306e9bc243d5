"""Paths with parameters: which templates there are, and which values a segment can have."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from arzamed_async import ConfigurationError, Doctor, Endpoint, Endpoints
from arzamed_async._http.templates import LONGEST_VALUE, filled_url, parameters_of

BASE = "https://api.example/api/v1"
PATH = "equipe/doctors/{doctor}/slots"


class Ward(enum.Enum):
    NORTH = "north wing"


class Level(enum.IntEnum):
    TOP = 7


class Lying(str):
    """Text that says something else than it holds."""

    __slots__ = ()

    def __str__(self) -> str:
        return ".."

    def encode(self, *_: Any) -> bytes:
        return b"../.."


def filled(value: Any) -> str:
    """Return the encoded segment that a value becomes."""
    url = str(filled_url(BASE, PATH, {"doctor": value}))
    assert url.startswith(f"{BASE}/equipe/doctors/")
    assert url.endswith("/slots")
    return url.removeprefix(f"{BASE}/equipe/doctors/").removesuffix("/slots")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("equipe/doctors", []),
        (PATH, ["doctor"]),
        ("{equipe}/doctors/{doctor_id}", ["equipe", "doctor_id"]),
        ("{_}", ["_"]),
        ("rooms/{città}", ["città"]),
        ("rooms/{cittA\N{COMBINING GRAVE ACCENT}}", ["cittÀ"]),  # as Python reads it
        ("rooms/%7Bdoctor%7D", []),
    ],
)
def test_the_parameters_of_a_path(path: str, names: list[str]) -> None:
    """A segment in braces is a parameter; braces that are encoded are a part of the path."""
    assert list(parameters_of("path", Endpoint(path, Doctor).path)) == names


@pytest.mark.parametrize(
    "path",
    [
        *("a{b}", "{b}a", "{a}.json", "{a}{b}", "{{a}}", "a/{", "a/}", "a/{b", "a/b}", "a/}b{", "{a/b}", "a/{}"),
        *("{0}", "{a:int}", "x/{a.b}", "x/{a-b}", "{a b}", "{class}", "{None}", "{self}", "{endpoint}", "{a}/{a}", "{a}/x/{a}"),
        *("{\N{LATIN SMALL LIGATURE FI}}/{fi}", "{a}/../b", "/{a}", "{a}?b", "{a}//b"),
    ],
)  # fmt: skip
def test_templates_that_are_none(path: str) -> None:
    """Braces that are no parameter are refused where the Endpoint is made."""
    with pytest.raises(ConfigurationError, match=r"^Endpoint\.path") as caught:
        Endpoint(path, Doctor)
    assert caught.value.__context__ is None


def test_endpoints_have_no_parameters() -> None:
    """A path for `clinic.slots`, which takes no values, has no parameters."""
    with pytest.raises(ConfigurationError, match="Endpoints.slots must be a path without parameters"):
        Endpoints(slots=PATH)


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("17", "17"),
        (17, "17"),
        (-3, "-3"),
        (10**1023, str(10**1023)),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (dt.date(2030, 1, 7), "2030-01-07"),
        (dt.datetime(2030, 1, 7, 9, tzinfo=dt.timezone.utc), "2030-01-07T09%3A00%3A00%2B00%3A00"),
        (Ward.NORTH, "north%20wing"),
        (Level.TOP, "7"),
        (Lying("a"), "a"),
        ("Sala 1", "Sala%201"),
        ("perché no?#", "perch%C3%A9%20no%3F%23"),
        ("a;b=c&d:e@f,g", "a%3Bb%3Dc%26d%3Ae%40f%2Cg"),
        ("{doctor}", "%7Bdoctor%7D"),
        ("100%", "100%25"),
        ("a.b", "a.b"),
        ("...", "..."),
        ("a" * LONGEST_VALUE, "a" * LONGEST_VALUE),
    ],
)
def test_values_of_a_segment(value: Any, segment: str) -> None:
    """A value is text, a whole number, a UUID, a date or an enum of these, percent-encoded."""
    assert filled(value) == segment


CANARY = "inventato7"
NO_SEGMENTS = [
    *("", ".", "..", " ", "\N{NO-BREAK SPACE}", " .. ", "..;x", "%2e", "%2E%2e", "%252e%252e", "%25252e.", "a/b", "/", "a\\b"),
    *("%2f", "a%2Fb", "a%252Fb", "%5c", "a%255Cb", "a\nb", "a\0b", "\x7f", "\x9b", "a\u2028b", "%00", "a%0Ab", "a%250ab"),
    *("\ud800", "\N{FULLWIDTH FULL STOP}" * 2, "\N{TWO DOT LEADER}", "\N{FULLWIDTH SOLIDUS}", "\N{ACCOUNT OF}"),
    *("%20", "%", "a" * (LONGEST_VALUE + 1), "%2e%2e/%2e%2e"),
]  # fmt: skip


@pytest.mark.parametrize("value", [each for each in NO_SEGMENTS if each != "%"], ids=ascii)
def test_values_that_are_no_segment(value: str) -> None:
    """What is empty, blank, a dot segment, has a slash or a control character is refused, encoded and lookalike forms too."""
    with pytest.raises(ConfigurationError, match="the path parameter doctor"):
        filled(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        1.5,
        b"a",
        ["a"],
        ("a",),
        {"a": 1},
        object(),
        Doctor("A", None),
        str,
        dt.time(9),
        10**1024,
        10**99999,
        enum,
    ],
    ids=lambda value: str(value)[:12] if not isinstance(value, int) or abs(value) < 10 else "long",
)
def test_values_of_wrong_types(value: Any) -> None:
    """Nothing else becomes text: a bool, None, bytes or a list would be a mistake that the server sees."""
    with pytest.raises(ConfigurationError, match="the path parameter doctor (must be|has more than)"):
        filled(value)


@pytest.mark.parametrize(
    ("path", "given_", "texts"),
    [
        (PATH, {}, ["clinic.resource(endpoint, doctor=...)"]),
        (PATH, {"docter": 1}, ["doctor=...", "no parameter docter (did you mean doctor?)"]),
        (PATH, {"doctor": 1, "room": 2}, ["no parameter room (known: doctor)"]),
        ("{a}/{b}", {"a": 1}, ["clinic.resource(endpoint, b=...)"]),
        ("equipe/rooms", {"room": 1}, ["no parameter room (it has none)"]),
        (PATH, {"doctor": 1, "RSSMRA80A01H501U": 2}, ["no parameter of 16 characters"]),
    ],
)
def test_missing_and_unknown_parameters_are_named(path: str, given_: dict[str, Any], texts: list[str]) -> None:
    """The error names what is missing and what is too much, and suggests what a typo may have meant."""
    with pytest.raises(ConfigurationError) as caught:
        filled_url(BASE, path, given_)
    assert [each for each in texts if each not in str(caught.value)] == []
    assert "RSSMRA" not in str(caught.value)


@given(st.text() | st.text("./\\%2eEfF5cC0;\n ", max_size=8))
@example("%2e" * 3)
@example("%%32%65")
def test_any_text_is_one_segment_or_refused(text: str) -> None:
    """Whatever a text is: it stays one segment of the path and comes back as it was, or it is refused without being quoted."""
    try:
        url = str(filled_url(BASE, PATH, {"doctor": text}))
    except ConfigurationError as error:
        assert len(text) < 4 or text not in str(error) or text in "the path parameter doctor must not be"
        return
    parts = urlsplit(url)
    segments = parts.path.split("/")
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example", "", "")
    assert len(segments) == 7
    assert url.isascii()
    assert url.isprintable()
    assert unquote(segments[5]) == text
    for times in range(4):  # a proxy may decode it more than once
        decoded = segments[5]
        for _ in range(times):
            decoded = unquote(decoded)
        assert decoded.strip() not in ("", ".", "..")
        assert "/" not in decoded
        assert "\\" not in decoded


@frozen
class Room:
    name: str


def test_the_repr_of_a_url_is_masked() -> None:
    """A traceback that prints locals does not show the value."""
    assert CANARY not in repr(filled_url(BASE, PATH, {"doctor": CANARY}))
