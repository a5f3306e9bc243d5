"""The sentences of docstrings: how often a field was there. A sentence that was written here is recognised later, and renewed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from .schema import Field, Kinds, ListOf

__all__ = ["class_text", "docstring", "field_text", "module_text", "record_text", "renewed", "renewed_module"]

_SHARE = r"(?:(?:less|more) than )?\d+ %"
_OF = r" of the (?:records|objects)(?: read last)?"
_EMPTY = "Its lists were empty."
#: What field_text begins with, where a field was not always there.
_WRITTEN = re.compile(
    rf"(?:In (?:all|none|{_SHARE}){_OF}(?:, (?:always null|null in {_SHARE}))?|Null in {_SHARE}{_OF}|Always null)\."
    rf"(?: {_EMPTY})?|{_EMPTY}"
)
_COUNT = re.compile(r"(inferred from )[\d,]+ records?\b")
#: The columns of a docstring's text.
_WIDTH = 88


def _share(part: int, whole: int) -> str:
    percent = part * 100 / whole
    if percent < 1:
        return "less than 1 %"
    if percent > 99:
        return "more than 99 %"
    return f"{(part * 200 + whole) // (2 * whole)} %"


def _how_often(seen: int, nulls: int, of: int, things: str) -> str:
    if not seen:
        return f"In none of the {things}."
    if seen == of:
        if nulls == seen:
            return "Always null."
        return f"Null in {_share(nulls, of)} of the {things}." if nulls else ""
    text = f"In {_share(seen, of)} of the {things}"
    if nulls:
        text += ", always null" if nulls == seen else f", null in {_share(nulls, of)}"
    return f"{text}."


def field_text(field: Field, things: str, *, later: bool = False) -> str:
    """Return how often a field was there and what else is known, or nothing where it always was. `things` had it.

    `later` is whether it was not there in what was read earlier.
    """
    often = _how_often(field.seen, field.nulls, field.of, things)
    if later and field.seen == field.of:
        often = f"In all of the {things} read last." + f" {often}" * bool(often)
    sentences = [often, *_emptiness(field.kinds), *_sentences(field.notes)]
    return " ".join(each for each in sentences if each)


def _sentences(notes: Iterable[str]) -> list[str]:
    return [f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in notes]


def record_text(what: str, notes: Iterable[str]) -> str:
    """Return the docstring of the class of the records."""
    return " ".join([f"A record of `{_code(what)}`.", *_sentences(notes)])


def _emptiness(kinds: Kinds) -> Iterable[str]:
    if [each for each in kinds.kinds if isinstance(each, ListOf) and each.item == Kinds(())]:
        yield _EMPTY


def renewed(text: str, field: Field, things: str) -> tuple[str, str]:
    """Return the part of a docstring that was written here, and what it would be now. Of another both are empty."""
    found = _WRITTEN.match(text)
    if found is None:
        return "", ""
    often = _how_often(field.seen, field.nulls, field.of, things)
    now = " ".join(each for each in (often, *_emptiness(field.kinds)) if each)
    if " read last." in found[0] and field.seen == field.of and not now:
        return "", ""
    return found[0], now or f"In all of the {things}."


def class_text(places: Iterable[tuple[str, bool, str]]) -> str:
    """Return the docstring of a nested class. Each place is a key, whether it holds several, and the class that has it."""
    texts = list(dict.fromkeys(f"{'one of ' * several}`{_code(key)}` in `{parent}`" for key, several, parent in places))
    shown, more = texts[:3], len(texts) - 3
    text = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    return f"{text[:1].upper()}{text[1:]}."


def _code(text: str) -> str:
    return text.replace("`", "'") if text.isprintable() else repr(text)[1:-1].replace("`", "'")


def module_text(what: str, records: int, command: str) -> str:
    """Return the docstring of a module."""
    count = f"{records:,} record{'s' * (records != 1)}"
    return (
        f"Typed records of `{_code(what)}`, inferred from {count}.\n\n"
        "Below a field stands how often it was there; one without a share was in all of them.\n"
        f"{command} widens this file where records have changed, and keeps the rest.\n"
    )


def renewed_module(text: str, records: int) -> str:
    """Return the docstring of a module with the number of records that were read now."""
    return _COUNT.sub(lambda found: f"{found[1]}{records:,} record{'s' * (records != 1)}", text, count=1)


def docstring(text: str, indent: int) -> str:
    """Return a docstring's lines, without the first indent: on one line if it fits."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').rstrip()
    text = text[:-1] + '\\"' if text.endswith('"') else text
    if "\n" not in text and indent + len(text) + 6 <= _WIDTH:
        return f'"""{text}"""'
    pad = " " * indent
    first, _, rest = text.partition("\n") if "\n" in text else text.partition(". ")
    if "\n" not in text and rest:
        first, rest = f"{first}.", "\n" + "\n".join(textwrap.wrap(rest, _WIDTH - indent, break_long_words=False))
    lines = [f'"""{first}', *(pad + each if each else "" for each in rest.split("\n")), f'{pad}"""']
    return "\n".join(lines) if rest else f'"""{text}"""'
