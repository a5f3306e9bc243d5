"""The public value classes: attrs classes, whose shared methods do what attrs' own would do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest

import arzamed_async
from arzamed_async import NotFoundError
from arzamed_async._frozen import frozen

ERROR = NotFoundError(clinic="Milano")
#: The arguments of two instances that differ, by class.
ARGUMENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "BreakerPolicy": ({}, {"failure_threshold": 3}),
    "CircuitChanged": ({"clinic": "Milano", "state": "open"}, {"clinic": "Milano", "state": "closed"}),
    "ClinicCredentials": (
        {"client_id": "milano", "client_secret": "invented-secret", "token_url": "https://auth.example/token"},
        {"client_id": "roma", "client_secret": "invented-secret", "token_url": "https://auth.example/token"},
    ),
    "ClinicStats": ({}, {"requests": 3, "breaker": "open"}),
    "Doctor": ({"name": "Dr. Inventata", "profile_image": None}, {"name": "Dr. Inventato", "profile_image": None}),
    "Drift": (
        {"kind": "null", "path": "a", "share": 0.5, "expected": "text", "found": "null"},
        {"kind": "null", "path": "b", "share": 0.5, "expected": "text", "found": "null"},
    ),
    "Endpoint": ({"path": "a", "model": arzamed_async.Doctor}, {"path": "b", "model": arzamed_async.Doctor}),
    "Endpoints": ({}, {"slots": "agenda/slots"}),
    "Failure": ({"clinic": "A", "error": ERROR, "seconds": 0.5}, {"clinic": "B", "error": ERROR, "seconds": 0.5}),
    "Finished": ({"clinic": "A", "count": 1}, {"clinic": "A", "count": 2}),
    "Lease": ({"key": "k", "owner": "o", "fence": 1}, {"key": "k", "owner": "o", "fence": 2}),
    "Limits": ({}, {"record_bytes": 5}),
    "ListResponse": (
        {"records": [1], "status": 200, "headers": arzamed_async.Headers({})},
        {"records": [2], "status": 200, "headers": arzamed_async.Headers({})},
    ),
    "ModelReport": ({"records": 1}, {"records": 2}),
    "OpenRecord": ({"data": {"a": 1}}, {"data": {"a": 2}}),
    "PaceChanged": (
        {
            "scope": "origin", "clinic": "", "base_url": "https://api.example", "change": "started",
            "requests_per_second": 50.0, "reason": "r",
        },
        {
            "scope": "clinic", "clinic": "A", "base_url": "https://api.example", "change": "ended",
            "requests_per_second": None, "reason": "r",
        },
    ),
    "PacingPolicy": ({}, {"max_requests_per_second": 50}),
    "PacingStats": ({}, {"requests_per_second": 50.0, "waiting": 3, "clinics": {"A": 5.0}}),
    "Patient": ({"data": {"a": 1}}, {"data": {"a": 2}}),
    "PoolLimits": ({}, {"connections": 5}),
    "PoolStats": (
        {"connections": 1, "in_use": 1, "open": 1, "queued": 0},
        {"connections": 1, "in_use": None, "open": None, "queued": None},
    ),
    "Record": ({"clinic": "A", "value": 1}, {"clinic": "A", "value": 2}),
    "RequestFinished": (
        {"clinic": "A", "method": "GET", "path": "p", "attempt": 1, "status": 200, "seconds": 0.5, "error": ""},
        {"clinic": "A", "method": "GET", "path": "p", "attempt": 1, "status": None, "seconds": 0.5, "error": "X"},
    ),
    "Response": (
        {"status": 200, "headers": arzamed_async.Headers({}), "body": b"invented"},
        {"status": 200, "headers": arzamed_async.Headers({}), "body": b"invented too"},
    ),
    "RetryPolicy": ({}, {"max_attempts": 2}),
    "RetryScheduled": (
        {"clinic": "A", "method": "GET", "path": "p", "attempt": 1, "delay_seconds": 0.5, "reason": "r"},
        {"clinic": "A", "method": "GET", "path": "p", "attempt": 2, "delay_seconds": 0.5, "reason": "r"},
    ),
    "SecretFromEnv": ({"variable": "A"}, {"variable": "B"}),
    "SecretFromFile": ({"path": "/invented/a"}, {"path": Path("/invented/b")}),
    "Slot": ({"data": {"a": 1}}, {"data": {"a": 2}}),
    "Stats": (
        {"clinics": {}, "pool": None, "retry_budget_remaining": 1.0},
        {"clinics": {}, "pool": None, "retry_budget_remaining": 2.0},
    ),
    "StoredRejection": (
        {"status": 401, "error": "e", "description": "d", "seconds_left": 1.0},
        {"status": None, "error": "e", "description": "d", "seconds_left": 1.0},
    ),
    "StoredToken": (
        {"access_token": "invented-a", "age_seconds": 1.0, "seconds_left": 2.0},
        {"access_token": "invented-b", "age_seconds": 1.0, "seconds_left": 2.0},
    ),
    "Success": ({"clinic": "A", "value": float("nan"), "seconds": 0.5}, {"clinic": "A", "value": [1], "seconds": 0.5}),
    "Timeouts": ({}, {"total_seconds": 5}),
    "Token": (
        {"access_token": "invented-a", "expires_at": datetime(2030, 1, 7, tzinfo=timezone.utc)},
        {"access_token": "invented-b", "expires_at": datetime(2030, 1, 7, tzinfo=timezone.utc)},
    ),
    "TokenPolicy": ({}, {"jitter_seconds": 5}),
    "TokenRequestFinished": (
        {"clinic": "A", "attempt": 1, "status": 200, "seconds": 0.5, "error": ""},
        {"clinic": "A", "attempt": 2, "status": 200, "seconds": 0.5, "error": ""},
    ),
    "TokenStoreFailed": ({"clinic": "A", "error": "X"}, {"clinic": "A", "error": "Y"}),
    "UnknownField": (
        {"clinic": "A", "path": "p", "field": "f"},
        {"clinic": "A", "path": "p", "field": "g"},
    ),
    "Work": (
        {"kind": "call", "clinic": "A", "method": "GET", "path": "p", "base_url": "https://api.example"},
        {"kind": "call", "clinic": "A", "method": "GET", "path": "p", "base_url": "https://api.example", "attempt": 1},
    ),
}  # fmt: skip
CLASSES = sorted(
    name for name in arzamed_async.__all__
    if isinstance(kind := getattr(arzamed_async, name), type) and attrs.has(kind)
)  # fmt: skip


def attrs_own(kind: Any) -> Any:
    """Return a class with the same fields whose methods are all generated by attrs."""
    fields = {
        each.name: attrs.field(
            default=each.default, validator=each.validator, converter=each.converter, repr=each.repr, eq=each.eq,
            hash=each.hash, kw_only=each.kw_only, metadata=dict(each.metadata), type=each.type,
        )
        for each in attrs.fields(kind)
    }  # fmt: skip
    own = {name: vars(kind)[name] for name in ("__hash__", "__init__") if kind.__name__ == "ClinicCredentials"}
    namespace = {"__doc__": kind.__doc__, "__qualname__": kind.__qualname__, "__module__": __name__, **own}
    return attrs.define(type(kind.__name__, (), namespace), these=fields, frozen=True)


def examples(name: str) -> tuple[Any, Any, Any, Any]:
    """Return two instances that differ, and the same of a class whose methods are generated by attrs."""
    kind = getattr(arzamed_async, name)
    own = attrs_own(kind)
    first, second = ARGUMENTS[name]
    return kind(**first), kind(**second), own(**first), own(**second)


def test_every_public_value_class_is_here() -> None:
    """The tests below see all public attrs classes."""
    assert sorted(ARGUMENTS) == CLASSES


@pytest.mark.parametrize("name", CLASSES)
def test_the_shape_is_what_attrs_makes(name: str) -> None:
    """Fields, `__match_args__`, slots and frozenness are those of a class that attrs has generated as a whole."""
    first, _, own, _ = examples(name)
    fields = {each.name: each for each in attrs.fields(type(own))}
    for each in attrs.fields(type(first)):
        assert (each.eq, each.hash, each.repr, each.order) == (
            fields[each.name].eq,
            fields[each.name].hash,
            fields[each.name].repr,
            fields[each.name].order,
        )
    assert type(first).__match_args__ == type(own).__match_args__
    assert not hasattr(first, "__dict__")
    for change in (lambda: setattr(first, attrs.fields(type(first))[0].name, 1), lambda: setattr(first, "other", 1)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            change()


@pytest.mark.parametrize("name", CLASSES)
def test_equality_and_hash_are_what_attrs_makes(name: str) -> None:
    """Equal are instances of one class with equal fields; they hash alike where attrs' own would, and fail where it would."""
    first, second, own, other = examples(name)
    same = type(first)(**ARGUMENTS[name][0])
    assert (first == same) == (own == type(own)(**ARGUMENTS[name][0]))
    assert (first != second) == (own != other) is True
    assert first != own
    assert first.__eq__(own) is NotImplemented
    assert outcome(lambda: hash(first) == hash(copy.copy(first))) == outcome(lambda: hash(own) == hash(copy.copy(own)))
    assert outcome(lambda: hash(second)).__class__ == outcome(lambda: hash(other)).__class__


def outcome(act: Callable[[], Any]) -> Any:
    """Return the result, or the class of the exception."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - what matters is which
        return type(error)


@pytest.mark.parametrize("name", CLASSES)
def test_the_repr_is_what_attrs_makes(name: str) -> None:
    """The repr is attrs' own, with its masked and hidden fields."""
    first, second, own, other = examples(name)
    assert (repr(first), repr(second)) == (repr(own), repr(other))


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("Failure", "Response")])
def test_copies_are_equal(name: str) -> None:
    """A pickled, copied or evolved instance has equal fields. (Errors and headers are compared by identity.)"""
    _, first, *_ = examples(name)
    for each in (pickle.loads(pickle.dumps(first)), copy.copy(first), copy.deepcopy(first), attrs.evolve(first)):
        assert each == first
        assert type(each) is type(first)


def test_a_value_that_holds_itself_has_a_repr() -> None:
    """The repr of a value within its own repr is `...`, as that of attrs."""
    held: list[Any] = []
    success = arzamed_async.Success("A", held, 0.5)
    held.append(success)
    assert repr(success) == "Success(clinic='A', value=[...], seconds=0.5, index=0)"


def test_a_method_of_the_class_itself_is_kept() -> None:
    """Credentials are hashed by what distinguishes clinics, and by the secret, of which a clinic may have had many."""
    credentials = arzamed_async.ClinicCredentials("milano", "invented-secret", "https://auth.example/token")
    assert hash(credentials) == hash(("milano", "https://auth.example/token", "invented-secret"))


def test_a_subclass_of_a_record_compares_its_own_fields() -> None:
    """A user's attrs class that extends a record has its own fields in equality, hash and repr."""

    @attrs.frozen
    class Room(arzamed_async.OpenRecord):
        name: str = ""

    assert Room({}, "a") != Room({}, "b")
    assert repr(Room({}, "a")).endswith("Room(data=<0 fields>, name='a')")
    assert len({Room({}, "a"), Room({}, "b"), Room({}, "b")}) == 2


def test_the_options_of_fields_are_followed() -> None:
    """`eq=False`, `hash=False` and `repr=False` leave a field out, as in attrs."""

    @frozen
    class Value:
        plain: int
        uncompared: int = attrs.field(default=0, eq=False)
        unhashed: object = attrs.field(default=0, hash=False)
        hidden: int = attrs.field(default=0, repr=False)

    assert Value(1, 2) == Value(1, 3)
    assert hash(Value(1, 2)) == hash(Value(1, 3))
    assert Value(1, unhashed=[]) != Value(1)
    assert hash(Value(1, unhashed=[])) == hash(Value(1))
    assert Value(1, hidden=2) != Value(1)
    assert repr(Value(1)).endswith("Value(plain=1, uncompared=0, unhashed=0)")
