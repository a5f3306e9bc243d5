"""The records of the benchmarks, for every library that reads them: doctors (2 fields) and a patient-like one (20)."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pydantic
from attrs import frozen
from pydantic.alias_generators import to_camel

from arzamed_async import Doctor

__all__ = ["BLOCK", "HOSTILE", "RECORDS", "Address", "Doctor", "Person", "block", "hostile"]

#: Records are generated in blocks of this many, and one block is sent repeatedly.
BLOCK = 1000


@frozen
class Address:
    """Nested in Person."""

    street: str
    city: str
    postal_code: str
    country: str


@frozen
class Person:
    """Patient-like: invented, since the real fields are unpublished."""

    record_id: int
    first_name: str
    last_name: str
    birth_date: dt.date
    created_at: dt.datetime
    updated_at: dt.datetime
    email: str | None
    phone: str | None
    active: bool
    consent_given: bool
    language: str
    address: Address
    tax_code: str
    insurance: str | None
    visits: int
    balance: float
    tags: list[str]
    notes: str
    referred_by: str | None
    last_visit: dt.datetime | None


class _CamelModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel, strict=False)


class PydanticDoctor(_CamelModel):
    """Doctor for pydantic."""

    name: str
    profile_image: str | None


class PydanticAddress(_CamelModel):
    """Address for pydantic."""

    street: str
    city: str
    postal_code: str
    country: str


class PydanticPerson(_CamelModel):
    """Person for pydantic."""

    record_id: int
    first_name: str
    last_name: str
    birth_date: dt.date
    created_at: dt.datetime
    updated_at: dt.datetime
    email: str | None
    phone: str | None
    active: bool
    consent_given: bool
    language: str
    address: PydanticAddress
    tax_code: str
    insurance: str | None
    visits: int
    balance: float
    tags: list[str]
    notes: str
    referred_by: str | None
    last_visit: dt.datetime | None


class MsgspecDoctor(msgspec.Struct, rename="camel", frozen=True):
    """Doctor for msgspec."""

    name: str
    profile_image: str | None


class MsgspecAddress(msgspec.Struct, rename="camel", frozen=True):
    """Address for msgspec."""

    street: str
    city: str
    postal_code: str
    country: str


class MsgspecPerson(msgspec.Struct, rename="camel", frozen=True):
    """Person for msgspec."""

    record_id: int
    first_name: str
    last_name: str
    birth_date: dt.date
    created_at: dt.datetime
    updated_at: dt.datetime
    email: str | None
    phone: str | None
    active: bool
    consent_given: bool
    language: str
    address: MsgspecAddress
    tax_code: str
    insurance: str | None
    visits: int
    balance: float
    tags: list[str]
    notes: str
    referred_by: str | None
    last_visit: dt.datetime | None


#: For each kind of record: the classes for arzamed_async and cattrs, pydantic, msgspec.
RECORDS = {
    "doctors": (Doctor, PydanticDoctor, MsgspecDoctor),
    "people": (Person, PydanticPerson, MsgspecPerson),
}


def _doctor(n: int) -> dict[str, object]:
    image = None if n % 3 == 0 else f"https://images.invented.example/{n:06}.png"
    return {"name": f"Dr. Inventata Numero {n}", "profileImage": image}


def _person(n: int) -> dict[str, object]:
    return {
        "recordId": n,
        "firstName": f"Inventato{n}",
        "lastName": "Dell'Esempio",
        "birthDate": f"19{n % 90 + 10}-0{n % 9 + 1}-1{n % 9}",
        "createdAt": "2025-03-01T09:30:00+01:00",
        "updatedAt": "2026-05-01T10:00:00.250000+02:00",
        "email": f"inventato{n}@mail.invented.example" if n % 2 else None,
        "phone": None,
        "active": n % 5 != 0,
        "consentGiven": True,
        "language": "it",
        "address": {"street": "Via dell'Esempio 1", "city": "Milano", "postalCode": "20100", "country": "IT"},
        "taxCode": f"INVENTATO{n:07}",
        "insurance": None,
        "visits": n % 40,
        "balance": n / 7,
        "tags": ["invented", "example"],
        "notes": 'Nota inventata, con "virgolette" e {graffe}.',
        "referredBy": None,
        "lastVisit": "2026-06-01T11:00:00+02:00" if n % 2 else None,
    }


def block(kind: str) -> bytes:
    """Return BLOCK records of a kind as JSON, joined by commas, without the brackets of the list."""
    make = {"doctors": _doctor, "people": _person}[kind]
    return ",".join(json.dumps(make(n), separators=(",", ":"), ensure_ascii=False) for n in range(BLOCK)).encode()


HOSTILE = {
    "nested": b"[[[1]],[[1]]]",
    "towers": b"[" * 200 + b"]" * 200,
    "braces": b'{"a":"' + b'}{],[\\"' * 200 + b'"}',
    "huge": b'[[1],{"b":[2]}]',
}


def hostile(kind: str, size: int) -> bytes:
    """Return a hostile list of about `size` bytes; of kind "huge" it is one record, of kind "friendly" doctors."""
    if kind == "friendly":
        records = block("doctors")
        return b"[" + b",".join([records] * max(1, size // len(records))) + b"]"
    element = HOSTILE[kind]
    body = b",".join([element] * (size // (len(element) + 1)))
    return b'[{"a":[' + body + b"]}]" if kind == "huge" else b"[" + body + b"]"
