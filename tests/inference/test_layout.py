"""Statements that do not fit on a line are broken as `ruff format` breaks them; nox's session `lint` compares with ruff itself."""

from __future__ import annotations

import pytest

from arzamed_async._inference.layout import (
    Bracketed,
    Expression,
    Joined,
    Named,
    assignment,
    call,
    quoted,
    subscript,
    width,
)

LONG = "VeryLongNameOfAClassThatTheVendorThoughtOf"
METADATA = Named(
    "metadata=", Bracketed("{", ('"json": "key"', '"json_form": "YYYY-MM-DDThh:mm:ss.sssZ"'), "}", display=True)
)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", None, "name: int"),
        ("int", "MISSING", "name: int = MISSING"),
        (Joined((LONG, LONG[:33])), "MISSING", "name: VeryLongNameOfAClassThatTheVendorThoughtOf | VeryLongNameOfAClassThatTheVendor = (\n    MISSING\n)"),
        (Joined((LONG, LONG, "None")), None, "name: (\n    VeryLongNameOfAClassThatTheVendorThoughtOf\n    | VeryLongNameOfAClassThatTheVendorThoughtOf\n    | None\n)"),
        (subscript("tuple", [LONG + LONG[:20], "..."]), None, "name: tuple[VeryLongNameOfAClassThatTheVendorThoughtOfVeryLongNameOfAClass, ...]"),
        (subscript("tuple", [LONG + LONG, "..."]), None, "name: tuple[\n    VeryLongNameOfAClassThatTheVendorThoughtOfVeryLongNameOfAClassThatTheVendorThoughtOf,\n    ...,\n]"),
        (subscript("Literal", [quoted(LONG), quoted(LONG), '"x"']), None, 'name: Literal[\n    "VeryLongNameOfAClassThatTheVendorThoughtOf",\n    "VeryLongNameOfAClassThatTheVendorThoughtOf",\n    "x",\n]'),
        (LONG, call("field", ["default=MISSING", METADATA]), 'name: VeryLongNameOfAClassThatTheVendorThoughtOf = field(\n    default=MISSING, metadata={"json": "key", "json_form": "YYYY-MM-DDThh:mm:ss.sssZ"}\n)'),
        (Joined((LONG, LONG, "None")), call("field", ["default=MISSING", METADATA]), 'name: (\n    VeryLongNameOfAClassThatTheVendorThoughtOf\n    | VeryLongNameOfAClassThatTheVendorThoughtOf\n    | None\n) = field(\n    default=MISSING, metadata={"json": "key", "json_form": "YYYY-MM-DDThh:mm:ss.sssZ"}\n)'),
        (LONG, call("field", [Named("metadata=", Bracketed("{", (f'"json": "{LONG}"', f'"json_form": "{LONG}"'), "}", display=True))]), 'name: VeryLongNameOfAClassThatTheVendorThoughtOf = field(\n    metadata={\n        "json": "VeryLongNameOfAClassThatTheVendorThoughtOf",\n        "json_form": "VeryLongNameOfAClassThatTheVendorThoughtOf",\n    },\n)'),
        (LONG + LONG[:32], "MISSING", "name: VeryLongNameOfAClassThatTheVendorThoughtOfVeryLongNameOfAClassThatTheVendo = (\n    MISSING\n)"),
        (subscript("tuple", [LONG + LONG, "..."]), call("field", ["default=MISSING"]), "name: tuple[\n    VeryLongNameOfAClassThatTheVendorThoughtOfVeryLongNameOfAClassThatTheVendorThoughtOf,\n    ...,\n] = field(default=MISSING)"),
    ],
)  # fmt: skip
def test_a_field(kind: Expression, value: Expression | None, expected: str) -> None:
    """On one line if it fits; if not, the value or the type is broken, its parts first on a line of their own."""
    assert assignment("name", kind, value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", '"a"'),
        ("it's", '"it\'s"'),
        ('a"b', "'a\"b'"),
        ("'\"", '"\'\\""'),
        ("a\\b\n", '"a\\\\b\\n"'),
        ("größe", '"größe"'),
    ],
)
def test_quotes(text: str, expected: str) -> None:
    """Double quotes, unless single ones need fewer escapes."""
    assert quoted(text) == expected
    assert eval(expected) == text


def test_width() -> None:
    """Wide signs take two columns, combining ones none."""
    assert [width(each) for each in ("abc", "日本", "a\u0308")] == [3, 4, 1]
