r"""The characters that show nothing, or change how others are shown, as parts of a regular expression's `[...]`.

They are the categories Cc, Cf, Cs, Zl and Zp of the Unicode database, and what it calls default-ignorable: a terminal
or a spreadsheet passes over these, too. Written out, since no pattern of `re` knows a category.
"""

from __future__ import annotations

__all__ = ["CONTROLS", "INVISIBLE", "SHAPES", "SPACES"]

#: What a terminal acts on (C0, DEL, C1), without tab and line breaks; and surrogates, which no encoding can represent.
CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"

#: Joiners and variation selectors: they choose the shape of the letters beside them, in Persian, Hindi or Japanese
#: names and in emoji. Text without them can still be read.
SHAPES = r"\u034f\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"

#: All of them, without `SPACES`.
INVISIBLE = (
    CONTROLS
    + SHAPES
    + r"\t\r\n\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    + r"\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    + r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

#: The category Zs.
SPACES = r"\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
