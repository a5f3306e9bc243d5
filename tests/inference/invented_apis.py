"""Ten invented APIs of slots and patients, in the shapes that real clinic systems have. Nobody in them exists."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen


@frozen
class Api:
    """An endpoint, and the records that it sends. `canaries` are values of persons, which no output may hold."""

    name: str
    path: str
    records: list[dict[str, Any]]
    personal: bool = False
    options: dict[str, Any] = field(factory=dict)
    canaries: tuple[str, ...] = ()


def _fhir_slot(n: int) -> dict[str, Any]:
    slot: dict[str, Any] = {
        "resourceType": "Slot",
        "id": f"slot-{n}",
        "identifier": [{"system": "urn:invented", "value": str(n), "period": {"start": "2026-01-01T00:00:00+01:00"}}],
        "serviceType": [{"coding": [{"code": "57", "display": "Invented", "userSelected": n % 2 == 0}]}],
        "schedule": {"reference": f"Schedule/{n}"},
        "status": "busy" if n % 3 else "free",
        "start": f"2026-11-{n + 1:02}T09:00:00+01:00",
        "end": f"2026-11-{n + 1:02}T09:30:00+01:00",
    }
    if n % 4 == 0:
        slot["identifier"][0]["period"]["end"] = "2026-12-31T23:59:59+01:00"
        slot["comment"] = None
    return slot


def _fhir_patient(n: int) -> dict[str, Any]:
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "id": f"0b8a5c1e-0000-4000-8000-{n:012}",
        "name": [{"use": "official", "family": f"Inventatissimo{n}", "given": ["Canarino", "Finto"]}],
        "telecom": [{"system": "phone", "value": f"+39 000 {n:04}", "period": {"start": "2020-01-01"}}],
        "address": [
            {"line": ["Via Inventata 1"], "city": "Nonesiste", "period": {"start": "2020-01-01", "end": "2021-01-01"}}
        ],
        "birthDate": f"19{50 + n}-02-03",
        "deceasedBoolean": False,
        "contact": [{"relationship": "none", "name": {"family": "Inventatissimo", "given": ["Altra"]}}]
        if n % 2
        else [],
    }
    if n % 5 == 0:
        patient["maritalStatus"] = {"text": "invented"}
    return patient


def _iso(n: int) -> dict[str, Any]:
    return {
        "slotId": n,
        "date": f"2026-11-{n + 1:02}",
        "time": "09:30",
        "startsAt": f"2026-11-{n + 1:02}T09:30:00.000Z",
        "localStart": f"2026-11-{n + 1:02}T10:30:00",
        "bookedAt": None if n % 3 == 0 else f"2026-10-0{n % 9 + 1}T08:00:00Z",
        "free": n % 2 == 0,
    }


def _epoch(n: int) -> dict[str, Any]:
    return {
        "id": n,
        "start": 1_795_000_000_000 + n * 1_800_000,
        "end": 1_795_001_800_000 + n * 1_800_000,
        "duration": 30.5,
    }


def _german(n: int) -> dict[str, Any]:
    return {
        "TerminNr": n,
        "Uhrzeit": "10:15:00",
        "Ärzte": [{"Name": "Dr. Erfunden", "Titel": None}],
        "größe": 1.5,
        "Straße": "Erfundener Weg",
        "Behandlungen": [{"Kürzel": "EF", "Leistungen": [{"Ziffer": "01", "Betrag": 12.5}]}],
        "Notiz": "erfunden" if n % 2 else None,
    }


def _italian(n: int) -> dict[str, Any]:
    return {
        "codice_appuntamento": n,
        "data_inizio": f"2026-11-{n + 1:02}",
        "pazienti": [{"codice_fiscale": f"NVNTTS{n:02}A00X000X", "età": 40 + n}],
        "prestazioni": [{"descrizione": "Inventata", "prezzo": 10 if n % 2 else "gratis"}],
        "disponibilità": {"sala": "A", "piano": n} if n else None,
    }


def _maps(n: int) -> dict[str, Any]:
    return {
        "day": f"2026-11-{n + 1:02}",
        "slotsByDoctor": {
            f"{doctor:08}-0000-4000-8000-000000000000": {"free": doctor % 3, "rooms": ["1"]}
            for doctor in range(n, n + 9)
        },
        "counts": {str(1000 + each): each for each in range(n, n + 9)},
    }


def _mixed(n: int) -> dict[str, Any]:
    return {
        "price": n if n % 2 else f"{n} EUR",
        "score": n if n % 2 else n + 0.5,
        "flag": n % 2 == 0 if n % 3 else "yes",
        "note": None,
        "attachments": [],
        "value": {"amount": n} if n % 2 else [n],
        "matrix": [[1, 2], [], [n]],
        "tags": ["a", None, 1],
    }


def _keywords(n: int) -> dict[str, Any]:
    return {
        "class": "A",
        "from": f"2026-11-{n + 1:02}T09:00:00Z",
        "None": n,
        "type": "slot",
        "id": n,
        "ID": f"X{n}",
        "Id": None,
        "_id": f"{n:024x}",
        "@type": "Slot",
        "self": {"href": "/slots"},
        "lambda": [{"def": 1}],
        "first-name": "Inventata",
        "str": "text",
        "2fa": True,
    }


def _sparse(n: int) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": n,
        "state": "free" if n % 4 else "booked",
        "fee": 12.5 + n,
        "period": {"start": "2026-01-01"},
    }
    if n % 2:
        record["room"] = {"id": n, "period": {"start": "2026-01-01"}}
    if n % 3:
        record["cancelledAt"] = None if n % 2 else "2026-11-29T10:00:00+00:00"
    if n == 1:
        record["veryLongNameOfAFieldThatTheVendorThoughtOf"] = {"preferredLanguageOfCommunication": [{"a": 1}]}
        record["preferredLanguagesOfCommunicationInTheClinicToday"] = [{"preferredLanguageCode": "it"}]
    return record


def _twenty(make: Any) -> list[dict[str, Any]]:
    return [make(n) for n in range(20)]


APIS = {
    "fhir_slots": Api("slots", "equipe/slots", _twenty(_fhir_slot)),
    "fhir_patients": Api(
        "patients", "equipe/patients", _twenty(_fhir_patient), personal=True, canaries=("Inventatissimo", "Canarino", "Nonesiste")
    ),
    "iso_dates": Api("slots", "equipe/doctors/{doctor}/slots", _twenty(_iso)),
    "epoch_dates": Api("slots", "v2/slots", _twenty(_epoch)),
    "german": Api("termine", "praxis/termine", _twenty(_german), canaries=("Erfunden",)),
    "italian": Api("appuntamenti", "clinica/appuntamenti", _twenty(_italian), personal=True, canaries=("NVNTTS",)),
    "maps": Api("days", "slots/days", _twenty(_maps)),
    "mixed": Api("slots", "slots/mixed", _twenty(_mixed)),
    "keywords": Api("slots", "slots/keywords", _twenty(_keywords)),
    "sparse": Api("free-slots", "slots/free", _twenty(_sparse), options={"enums": True}),
}  # fmt: skip
