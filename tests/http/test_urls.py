"""URLs below the base URL, from values alone."""

from __future__ import annotations

import datetime as dt
import enum

import pytest

from arzamed_async import ConfigurationError
from arzamed_async._http.urls import request_url


class Status(int, enum.Enum):
    GOOD = 5


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


def test_whole_numbers_of_any_size() -> None:
    """A whole number is sent exactly, beyond every float too; one of more digits than Python writes is refused."""
    base = "https://api.invented.example/v1"
    assert request_url(base, "x", {"a": 10**400}) == f"{base}/x?a=1{'0' * 400}"
    with pytest.raises(ConfigurationError, match="^the parameter a must be .*, not int with too many digits$"):
        request_url(base, "x", {"a": 10**5000})
