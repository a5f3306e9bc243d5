"""Regular expressions look at foreign text: none may take more time than in proportion to it."""

from __future__ import annotations

import re

import pytest
from support.patterns import METHODS, Use, compiled_elsewhere, problems, uses

USES = uses()


@pytest.mark.parametrize("use", USES, ids=[use.name for use in USES])
def test_a_pattern_of_the_package_is_linear(use: Use) -> None:
    """No use of a pattern can go back over what it has read, or begin again within it."""
    assert problems(use.pattern, use.method) == []


def test_all_patterns_are_found() -> None:
    """Each compiled pattern is bound to a name, or comes from a function that is known, so that its uses are found."""
    assert compiled_elsewhere() == []
    assert {"_hosts", "_http.response_scan", "_json", "cli.formats", "stores._file"} <= {use.module for use in USES}
    assert len(USES) >= 40


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(^|[;\t])(?=[\"'\s]*[=+])", "sub"),  # the one that took minutes for a name of tabs
        (r"\s+$", "search"),
        (r"\s*=", "search"),
        (r"[a-z]++=", "search"),
        (r"(?:a|b)*c", "finditer"),
        (r"(a+)+b", "match"),
        (r"(a*)*b", "match"),
        (r"(a|a)*b", "match"),
        (r"(a|ab|b)*c", "match"),
        (r"(?:a+b)*", "search"),
        (r"(ab?)*bc", "match"),
        (r"(a{1,3})*b", "match"),
        (r"\d+\d+x", "fullmatch"),
        (r"\d+,?\d+x", "fullmatch"),
        (r"(?i:A+)a+x", "match"),
        (r".*x.*y", "match"),
        (r"a.*?a", "match"),
        (r"\w{1,1000}\w", "match"),
        (r"(?>a+b|a+c)", "search"),
        (r'"(?:[^"\\]|\\.)*"', "search"),
    ],
)
def test_the_check_finds_patterns_that_are_not_linear(pattern: str, method: str) -> None:
    """Nested, adjacent and ambiguous repeats are found, and repeats in which each position begins an attempt."""
    assert method in METHODS
    assert problems(re.compile(pattern), method)


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"\s+", "sub"),
        (r"[a-z]+=", "match"),
        (r"(?:a+b)*c", "match"),
        (r"\}\s*,", "search"),
        (r'"(?:[^"\\]++|\\.)*+"?', "sub"),
        (r"a{1,9}a{1,9}", "fullmatch"),
        (r"(?:\.[a-z]{1,63})*+\.?", "fullmatch"),
    ],
)
def test_the_check_lets_linear_patterns_pass(pattern: str, method: str) -> None:
    """Repeats that end at another character, are possessive, bounded, or the end of a search are no problem."""
    assert problems(re.compile(pattern), method) == []
