"""What the texts at one place are: dates, times, UUIDs, choices, or text. Forms and counts are kept, and no text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from .bounds import MOST_CHOICES, MOST_FORMS
from .forms import form_named, form_of

__all__ = ["UUID", "Texts", "is_uuid_text", "text_kinds"]

UUID = "UUID"
_UUID_BYTES = 36
_UUID_MASK = b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh\n"
_DIGITS = bytes(48 if byte in b"0123456789" else byte for byte in range(256))
_HEX = bytes(104 if byte in b"0123456789abcdef" else 120 if byte == 104 else byte for byte in range(256))
#: A field of dates may have moments, too. No other kinds of texts are mixed with one another.
_MIXED = frozenset(("date", "datetime", "NaiveDatetime"))
_CHOICE = r"[^\W\d][\w\-]{0,31}"
#: The values of an enumeration were seen this often, each of them and all together.
_EACH_CHOICE, _ALL_CHOICES = 2, 20
_FEWEST_CHOICES = 2


class Texts:
    """The texts at one place. What it ends with does not depend on their order.

    `forms` are those seen, by name, each with its flags; None if there were too many. With `plain` there are none: at least
    one text was no date, time or UUID. `choices` counts the texts that may be the values of an enumeration, None if they are
    not, or not requested.
    """

    __slots__ = ("choices", "forms", "kinds", "plain")

    def __init__(self, *, choices: bool) -> None:
        self.plain = False
        self.forms: dict[str, int] | None = {}
        self.kinds: set[str] = set()
        self.choices: Counter[str] | None = Counter() if choices else None

    def add(self, column: list[str]) -> None:
        """Learn from texts, of which there is at least one."""
        if self.choices is not None:
            self._add_choices(Counter(column))
        if not self.plain:
            found = text_kinds(column)
            if found is None:
                self._settle(plain=True)
            else:
                self._add_forms(found)

    def absorb(self, other: Texts) -> None:
        """Learn what another has learned."""
        if other.choices is None:
            self.choices = None
        elif self.choices is not None:
            self._add_choices(other.choices)
        if self.plain or other.plain:
            self._settle(plain=True)
            return
        self.kinds |= other.kinds
        if other.forms is None:
            self.forms = None
        self._add_forms(other.forms or {})

    def _add_choices(self, counts: Counter[str]) -> None:
        assert self.choices is not None
        self.choices.update(counts)
        if len(self.choices) > MOST_CHOICES or not all(re.fullmatch(_CHOICE, each) for each in counts):
            self.choices = None

    def _add_forms(self, found: dict[str, int]) -> None:
        for text, flags in found.items():
            self.kinds.add(UUID if text == UUID else form_named(text).kind)
            if self.forms is not None:
                self.forms[text] = self.forms.get(text, 0) | flags
        if self.forms is not None and len(self.forms) > MOST_FORMS:
            self.forms = None
        self._settle(plain=len(self.kinds) > 1 and not self.kinds <= _MIXED)

    def _settle(self, *, plain: bool) -> None:
        if plain:
            self.plain, self.forms, self.kinds = True, {}, set()

    def values(self) -> tuple[str, ...]:
        """Return the values of the enumeration, sorted; none if the texts are not of one."""
        counts = self.choices
        if not self.plain or counts is None or len(counts) < _FEWEST_CHOICES:
            return ()
        if counts.total() < _ALL_CHOICES or min(counts.values()) < _EACH_CHOICE:
            return ()
        return tuple(sorted(counts))


def is_uuid_text(column: list[str], data: bytes) -> bool:
    """Return whether all texts are UUIDs as they are written by Python: in lower case, with hyphens."""
    return len(data) == len(column) * len(_UUID_MASK) and data.translate(_HEX) == _UUID_MASK * len(column)


def text_kinds(column: list[str]) -> dict[str, int] | None:
    """Return the forms of texts, each with its flags; None if one of them is plain text."""
    if not 4 < len(column[0]) < 64:  # shorter or longer than a form, as most text is
        return None
    joined = "\n".join(column) + "\n"
    if not joined.isascii() or joined.count("\n") != len(column):
        return None
    data = joined.encode()
    if is_uuid_text(column, data):
        return {UUID: 0}
    masks = data.translate(_DIGITS).decode().splitlines()
    distinct = set(masks)
    if len(distinct) == 1:
        groups: Iterable[tuple[str, list[str], str]] = [(masks[0], column, joined)]
    else:
        groups = _groups(masks, distinct, column)
    found: dict[str, int] = {}
    for mask, texts, lines in groups:
        form = form_of(mask)
        flags = None if form is None else form.flags(texts, lines)
        if form is None or flags is None:
            return None
        found[form.text] = found.get(form.text, 0) | flags
    return found


def _groups(masks: list[str], distinct: set[str], column: list[str]) -> Iterator[tuple[str, list[str], str]]:
    if any(form_of(mask) is None for mask in distinct):
        yield "", [], ""  # which is no form
        return
    texts: dict[str, list[str]] = {mask: [] for mask in distinct}
    for mask, text in zip(masks, column, strict=True):
        texts[mask].append(text)
    for mask, each in texts.items():
        yield mask, each, "\n".join(each) + "\n"
