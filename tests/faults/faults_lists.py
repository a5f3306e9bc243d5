"""Malformed lists. `get` hands the body on as it is; the token is not the list's business."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from fault_model import LIMITS, Fault, Outcome, failed, good, themed
from fault_server import DOCTORS_JSON, RECORD, Act, Wire

from arzamed_async import ArzamedError, DecodeError, Doctor, LimitExceededError, StreamInterruptedError, TransportError

GOOD: list[dict[str, Any]] = json.loads(DOCTORS_JSON)
ONE = DOCTORS_JSON[1 : DOCTORS_JSON.index(b"}") + 1]


def answering(body: bytes) -> Act:
    """Return the act of an API that answers so."""

    async def act(wire: Wire) -> None:
        await wire.answer(body)

    return act


def calls(outcome: Outcome, body: bytes) -> dict[str, Outcome]:
    """Return this outcome for the calls that read a list."""
    huge = len(body) > LIMITS.body_bytes
    return {
        **dict.fromkeys(("list", "stream", "fan-out"), outcome),
        "get": failed(LimitExceededError, limit="body_bytes") if huge else good(body),
    }


def bad(
    name: str,
    body: bytes | str | list[Any],
    tries: int = 1,
    error: type[ArzamedError] = DecodeError,
    /,
    **facts: object,
) -> Fault:
    """Return the fault of a body that is no such list."""
    data = json.dumps(body).encode() if isinstance(body, list) else body.encode() if isinstance(body, str) else body
    return Fault(name=name, act=answering(data), at="api", expect=calls(failed(error, tries, **facts), data))


def cut(name: str, body: bytes) -> Fault:
    """Return the fault of a list that stops before its end: it is asked for again."""
    return bad(name, body, 4, TransportError)


def cut_late(name: str, body: bytes, delivered: int = 3) -> Fault:
    """Return the fault of a list that stops where a stream has handed out records already."""
    fault = cut(name, body)
    return evolve(fault, expect={**fault.expect, "stream": failed(StreamInterruptedError, 4, delivered=delivered)})


def fine(name: str, body: bytes | list[Any], value: list[Doctor] | None = None) -> Fault:
    """Return an odd list that is good all the same."""
    data = json.dumps(body).encode() if isinstance(body, list) else body
    return Fault(name=name, act=answering(data), at="api", expect=calls(good(value), data))


def second(**change: Any) -> list[dict[str, Any]]:
    """Return the good list, its second record changed."""
    return [GOOD[0], {**GOOD[1], **change}, GOOD[2]]


def second_without(key: str) -> list[dict[str, Any]]:
    return [GOOD[0], {name: value for name, value in GOOD[1].items() if name != key}, GOOD[2]]


def second_is(text: bytes) -> bytes:
    """Return the good list with this in place of its second record."""
    first, _, third = (json.dumps(each).encode() for each in GOOD)
    return b"[" + b", ".join([first, text, third]) + b"]"


LONG = GOOD * 20_000

SYNTAX = themed(
    "Lists: not a JSON array",
    bad("an object", b'{"doctors": ' + DOCTORS_JSON + b"}"),
    bad("a number", "5"),
    bad("a string", '"invented"'),
    bad("null", "null"),
    bad("true", "true"),
    bad("two arrays", DOCTORS_JSON * 2),
    bad("two arrays and a comma", DOCTORS_JSON + b"," + DOCTORS_JSON),
    bad("JSON lines", b"\n".join(json.dumps(each).encode() for each in GOOD)),
    bad("a trailing comma", DOCTORS_JSON[:-1] + b",]"),
    bad("a leading comma", b"[," + DOCTORS_JSON[1:]),
    bad("two commas", DOCTORS_JSON.replace(b"}, {", b"},, {")),
    bad("a comma alone", "[,]"),
    bad("a missing comma", DOCTORS_JSON.replace(b"}, {", b"} {")),
    bad("a missing colon", DOCTORS_JSON.replace(b'"name":', b'"name"')),
    bad("an extra bracket", DOCTORS_JSON + b"]"),
    bad("an extra brace", DOCTORS_JSON[:-1] + b"}]"),
    bad("a bracket of the wrong kind", DOCTORS_JSON[:-1] + b"}"),
    bad("a closing bracket first", b"]" + DOCTORS_JSON),
    bad("text after the list", DOCTORS_JSON + b" and more"),
    bad("an opening bracket after the list", DOCTORS_JSON + b"["),
    bad("a semicolon after the list", DOCTORS_JSON + b";"),
    bad("JSON with padding", b"callback(" + DOCTORS_JSON + b")"),
    bad("a guard before it", b")]}'\n" + DOCTORS_JSON),
    bad("single quotes", DOCTORS_JSON.replace(b'"', b"'")),
    bad("names without quotes", DOCTORS_JSON.replace(b'"name"', b"name")),
    bad("a comment", b"[/* invented */" + DOCTORS_JSON[1:]),
    bad("a comment to the line's end", b"// invented\n" + DOCTORS_JSON),
    bad("NaN", second_is(b'{"name": NaN, "profileImage": null}')),
    bad("Infinity", second_is(b'{"name": "x", "profileImage": Infinity}')),
    bad("True, as Python writes it", second_is(b'{"name": "x", "profileImage": None, "new": True}')),
    bad("a number with a leading zero", second_is(b'{"name": "x", "profileImage": null, "new": 01}')),
    bad("a lone surrogate", second_is(b'{"name": "\\ud800", "profileImage": null}')),
    bad("half a pair of surrogates", second_is(b'{"name": "\\ud83d\\u0041", "profileImage": null}')),
    bad("an escape that is none", second_is(b'{"name": "\\x41", "profileImage": null}')),
    bad("a control character in a string", second_is(b'{"name": "a\nb", "profileImage": null}')),
    bad("a depth bomb of arrays", b"[" * 60_000),
    bad("a depth bomb of objects", b"[" + b'{"name":' * 20_000),
    bad(
        "a depth bomb in a field",
        second_is(b'{"name": "x", "profileImage": null, "new": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    ),
    cut_late("unclosed", DOCTORS_JSON[:-1]),
    evolve(cut_late("unclosed after a comma", DOCTORS_JSON[:-1] + b","), differs=True),
    cut_late("an unclosed record", DOCTORS_JSON[:-2], delivered=2),
    cut_late("an unclosed string", DOCTORS_JSON[:-10], delivered=2),
    cut("an opening bracket alone", b"["),
)
RECORDS = themed(
    "Lists: records",
    bad("a record that is null", second_is(b"null"), record_index=1),
    bad("a record that is a number", second_is(b"5"), record_index=1),
    bad("a record that is text", second_is(b'"invented"'), record_index=1),
    bad("a record that is an array", second_is(b'["invented", null]'), record_index=1),
    bad("an empty record", second_is(b"{}"), record_index=1, field="name"),
    bad("a list in the list", b"[" + DOCTORS_JSON + b"]", record_index=0),
    bad("a required field missing", second_without("name"), record_index=1, field="name"),
    bad("a field missing that may be null", second_without("profileImage"), record_index=1, field="profile_image"),
    bad("null for a required field", second(name=None), record_index=1, field="name"),
    bad("a number for text", second(name=5), record_index=1, field="name"),
    bad("a list for text", second(name=["invented"]), record_index=1, field="name"),
    bad("false for text or null", second(profileImage=False), record_index=1, field="profile_image"),
    bad("an object for text or null", second(profileImage={"url": RECORD}), record_index=1, field="profile_image"),
    bad("another case of a name", b'[{"Name": "x", "profileImage": null}]', record_index=0, field="name"),
    bad(
        "a record over record_bytes",
        second(name="x" * LIMITS.record_bytes),
        1,
        LimitExceededError,
        limit="record_bytes",
    ),
    bad("a record without end", b'[{"name": "' + b"x" * 200_000, 1, LimitExceededError, limit="record_bytes"),
    bad("a list over list_bytes", LONG, 1, LimitExceededError, limit="list_bytes"),
    bad("white space without end", b"[" + b" " * 1_200_000, 1, LimitExceededError, limit="list_bytes"),
    fine("an empty list", b"[]", []),
    fine("fields nobody knows", [{**doctor, "invented": {"deep": [1, 2]}} for doctor in GOOD]),
    fine("a field given twice", b"[" + ONE[:-1] + b', "name": "Dr. Due"}]', [Doctor("Dr. Due", RECORD)]),
    fine("empty names", [{"name": "", "profileImage": ""}], [Doctor("", "")]),
    fine("brackets and quotes in strings", [{"name": '}]{["\\', "profileImage": None}], [Doctor('}]{["\\', None)]),
    fine(
        "every plane of Unicode",
        [{"name": "è \u2028 \U0001f600", "profileImage": None}],
        [Doctor("è \u2028 \U0001f600", None)],
    ),
)
