"""Numbers with their nouns: "1 record", "2 records"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sources import MODULES, tree_of

from arzamed_async import LimitExceededError, StreamInterruptedError
from arzamed_async._counted import counted
from arzamed_async._resilience.pacing import _queue

NOUNS = (
    "attempts|bytes|calls|characters|classes|clinics|columns|connections|doctors|elements|events|fields|files|items|lines|lists|"
    "objects|pages|parts|places|records|requests|responses|retries|rows|shards|times|tokens|values|workers"
)
PLURAL = re.compile(rf" (?:\w+ )?(?:{NOUNS})\b")
#: Numbers that are never one, each with the reason.
NEVER_ONE = {
    ("_arguments", "len(name)"): "a name that is shown as its length has dozens",
    ("_arguments", "len(text)"): "a path, too",
    ("_errors.base", "self.attempts"): "only said of two or more",
    ("_http.reasons", "head_bytes"): "a fixed limit of kibibytes",
    ("_http.reasons", "limit_bytes"): "a fixed limit of kibibytes",
    ("_http.user_agent", "len(text)"): "more than the most characters",
    ("_inference.edits", "found.plan.name"): "a name",
    ("cli.demo", "total"): "a fixed dozen",
    ("cli.messages", "len(text)"): "a text that is too long",
    ("cli.model_file", "len(outer)"): "one class is taken",
    ("cli.table", "self._count + more"): "more than the rows of a table",
    ("credentials", "most"): "thousands",
}


def written(path: Path) -> Iterator[str]:
    """Yield each expression that an f-string shows before a plural; constants of the package are none."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(text, ast.Constant)
                    and PLURAL.match(text.value)
                ):
                    shown = ast.unparse(value.value)
                    if not re.fullmatch(r"_?[A-Z][A-Z_]+(?: [>*+-]+ \d+)?", shown):
                        yield shown


@pytest.mark.parametrize("name", MODULES)
def test_a_number_that_may_be_one_is_counted(name: str) -> None:
    """No text has a number that may be one before a plural: `counted` writes both."""
    assert [each for each in written(MODULES[name]) if (name, each) not in NEVER_ONE] == []


def test_the_exceptions_are_all_used() -> None:
    """Each exception is a place in the package."""
    assert {(name, each) for name, path in MODULES.items() for each in written(path)} >= NEVER_ONE.keys()


def test_one_is_singular() -> None:
    """One of anything has no plural, in the texts too that count several things."""
    assert [counted(n, "record") for n in (0, 1, 2, 1000)] == ["0 records", "1 record", "2 records", "1,000 records"]
    assert [counted(n, "retry", "retries") for n in (1, 2)] == ["1 retry", "2 retries"]
    assert _queue("origin", 1.0, 1) == "the origin is paced at 1 request a second, 1 request waits"
    assert _queue("origin", 0.2, 2) == "the origin is paced at 0.2 requests a second, 2 requests wait"
    assert "after 1 record (" in str(StreamInterruptedError("cut", delivered=1))
    assert "(1 record)" in str(LimitExceededError(limit="list_records", limit_records=1))
