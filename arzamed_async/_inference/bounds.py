"""What inference keeps of data that may be hostile: how much of it, and which keys are the names of fields."""

from __future__ import annotations

import re

from ..errors import ConfigurationError, LimitExceededError

__all__ = [
    "MOST_CHOICES",
    "MOST_DEPTH",
    "MOST_FIELDS",
    "MOST_FORMS",
    "MOST_HOLDERS",
    "MOST_KEY",
    "MOST_PLACES",
    "Budget",
    "is_name",
    "key_mask",
    "too_many_fields",
]

#: The most fields that an object has. A nested object with more keys is a map; records with more are refused.
MOST_FIELDS = 256
#: The most fields of a nested object that hold objects or lists. One with more is a map.
MOST_HOLDERS = 48
#: The most fields, lists and maps of all objects together: records with more are refused.
MOST_PLACES = 4096
#: What is nested deeper than this is not described: it is "Any".
MOST_DEPTH = 32
#: The most characters of the name of a field.
MOST_KEY = 64
#: The most forms of dates and times that are distinguished in a field.
MOST_FORMS = 24
#: The most values of an enumeration.
MOST_CHOICES = 12

_MANY_DIGITS = 6
_NAME = r"[\w .:@$#/\-]+"
_ADDRESS = r"[^@\s]+@[^@\s]+"


def is_name(key: str) -> bool:
    """Return whether a key may be the name of a field. Any other is an identifier, as in a map, and never shown.

    These are no names: what is empty or has more than 64 characters, characters that names do not have, no letter, six
    digits or more (as dates, numbers of persons and UUIDs have), and e-mail addresses.
    """
    if key.__class__ is not str:
        raise ConfigurationError(f"a key of a record is text, not {type(key).__name__}")
    if not 0 < len(key) <= MOST_KEY:
        return False
    if key.isalpha() and key.isascii():
        return True
    return (
        re.fullmatch(_NAME, key) is not None
        and key.strip() == key
        and any(map(str.isalpha, key))
        and sum(map(str.isdigit, key)) < _MANY_DIGITS
        and re.fullmatch(_ADDRESS, key) is None
    )


def key_mask(key: str) -> str | None:
    """Return a key with its digits blanked if it has two in a row: `room12` and `room34` have the same mask.

    Keys of the same mask number things. (`line1` and `line2` do so, too, but are a pair of fields.)
    """
    return re.sub(r"[0-9]+", "0", key) if re.search(r"[0-9]{2}", key) else None


def too_many_fields() -> LimitExceededError:
    """Return the error for records that no class describes."""
    return LimitExceededError(
        "the records have too many fields",
        hint=f"A record may have {MOST_FIELDS} fields, and {MOST_PLACES:,} with those of the objects in it:"
        " read such records as OpenRecords",
    )


class Budget:
    """What the places of one model share: the options, and how many places there may be."""

    __slots__ = ("choices", "places")

    def __init__(self, *, choices: bool) -> None:
        self.choices = choices
        self.places = 0

    def take(self) -> None:
        """Count one more place. Raises LimitExceededError."""
        self.places += 1
        if self.places > MOST_PLACES:
            raise too_many_fields()

    def give_back(self, places: int) -> None:
        """Count places that are no longer needed."""
        self.places -= places
