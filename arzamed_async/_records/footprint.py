"""Estimates what the records of one class take in memory, from their JSON."""

from __future__ import annotations

from .._memory import FREE_BYTES, OBJECT_BYTES, VALUE_BYTES, text_width, value_bytes

__all__ = ["RECORD_FLOOR_BYTES", "Footprint"]

#: The least that a record counts.
RECORD_FLOOR_BYTES = 256
MOST_RECORDS, MOST_OPEN_RECORDS = 1_000_000, 200_000
#: A field's slot with a text (the characters of which count apart) or a number, or with a Decimal, a date, a UUID.
_PLAIN_FIELD, _BULKY = 80, 128
#: What an OpenRecord adds to its mapping.
_OPEN_RECORD = 48


class Footprint:
    """What the records of one class take in memory.

    Records are `nested` if a field holds others, and `is_open` if JSON of any shape is kept somewhere in them. `widest` is the most
    fields of a class in them; `bulky` are values such as dates. A document of up to `free_bytes` stays below FREE_BYTES.
    """

    __slots__ = ("_each", "_each_object", "_each_value", "_most_each_byte", "_nested", "free_bytes", "most_records")

    def __init__(self, *, widest: int, slots: bool, nested: bool, is_open: bool, bulky: bool) -> None:
        instance = 64 if slots else 200
        self._nested = nested or is_open
        self._each_object = max(OBJECT_BYTES, instance + 16 * widest)
        self._each_value = _BULKY if bulky else VALUE_BYTES
        self._each = max(RECORD_FLOOR_BYTES, instance + (_BULKY if bulky else _PLAIN_FIELD) * widest)
        self.most_records = MOST_OPEN_RECORDS if is_open else MOST_RECORDS
        densest = (
            max(RECORD_FLOOR_BYTES, self._each_object + self._each_value + _OPEN_RECORD) if self._nested else self._each
        )
        self._most_each_byte = max(densest // 3, self._each_value // 2) + 4
        self.free_bytes = FREE_BYTES // self._most_each_byte

    def most(self, count: int, size: int) -> int:
        """Return the most memory that `count` records of `size` bytes of JSON may take."""
        return max(RECORD_FLOOR_BYTES * count, self._most_each_byte * size)

    def of(self, count: int, data: bytes) -> int:
        """Return about how much memory the `count` records of this JSON take."""
        if self._nested:
            values = value_bytes(data, self._each_object, self._each_value)
            return max(RECORD_FLOOR_BYTES * count, _OPEN_RECORD * count + values)
        return self._each * count + text_width(data) * len(data)
