"""Names of fields and classes that a reader would have chosen, for keys of any kind."""

from __future__ import annotations

import keyword
import re
import unicodedata

import attrs
import pytest
from generated_modules import inferred
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async._inference.naming import class_name, constant_name, field_names, key_by_rule, singular, words

RESERVED = {"str", "int", "float", "bool", "dict", "tuple", "field", "self"}


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("slots", "slot"), ("patients", "patient"), ("addresses", "address"), ("allergies", "allergy"),
        ("boxes", "box"), ("diagnoses", "diagnosis"), ("people", "person"), ("children", "child"), ("codes", "code"),
        ("termine", "termin"), ("adressen", "adresse"), ("leistungen", "leistung"), ("krankheiten", "krankheit"),
        ("ärzte", "arzt"), ("kontakte", "kontakt"),
        ("appuntamenti", "appuntamento"), ("pazienti", "paziente"), ("prestazioni", "prestazione"),
        ("indirizzi", "indirizzo"), ("dottori", "dottore"),
    ],
)  # fmt: skip
def test_a_plural_becomes_its_singular(plural: str, expected: str) -> None:
    """English plurals by rule; German and Italian ones by endings that no singular has, or by name."""
    assert singular(plural) == expected


@pytest.mark.parametrize(
    "word",
    [
        "status", "address", "analysis", "bus", "praxis", "ergebnis", "haus", "anamnese", "name", "kurs", "puls",
        "kreis", "series", "data", "history", "note", "diagnosi", "nome", "gas", "zeit", "befund", "paziente",
    ],
)  # fmt: skip
def test_a_singular_stays(word: str) -> None:
    """A word that is no plural, in English, German or Italian, is not cut."""
    assert singular(word) == word


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("profileImage", ["profile", "image"]), ("patientID", ["patient", "id"]), ("HTTPServer", ["http", "server"]),
        ("first_name", ["first", "name"]), ("line2Text", ["line2", "text"]), ("GeburtsDatum", ["geburts", "datum"]),
        ("straßeNr", ["straße", "nr"]), ("value[x]", ["value", "x"]), ("@type", ["type"]), ("", []), ("$", []),
        ("ÄrzteListe", ["ärzte", "liste"]), ("日本", ["日本"]), ("ﬁeld", ["field"]),
    ],
)  # fmt: skip
def test_words_of_a_key(key: str, expected: list[str]) -> None:
    """Words end at a change of case and at each sign that no name can have."""
    assert words(key) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["birthDate", "id"], ["birth_date", "id"]),
        (["class", "from", "None"], ["class_", "from_", "none"]),
        (["Status", "status", "STATUS"], ["status_2", "status", "status_3"]),
        (["_id", "id"], ["id_2", "id"]),
        (["_id"], ["id"]),
        (["2fa"], ["field_2fa"]),
        (["", "-", "größe"], ["unnamed", "unnamed_2", "größe"]),
        (["str", "self"], ["str_", "self_"]),
        (["first_name", "firstName"], ["first_name_2", "first_name"]),
    ],
)
def test_names_of_fields(keys: list[str], expected: list[str]) -> None:
    """A key that the rule reads from its name has the name; others get a number, and an alias."""
    assert list(field_names(keys, reserved=RESERVED).values()) == expected


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
def test_any_keys_have_names_that_a_class_can_have(keys: list[str]) -> None:
    """Any keys are named apart, by names that Python, attrs and the rule of the decoder take as they are."""
    names = field_names(keys, reserved=RESERVED)
    assert list(names) == keys
    assert len(set(names.values())) == len(keys)
    for name in names.values():
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert name not in RESERVED
        assert name == unicodedata.normalize("NFKC", name)
    made = attrs.make_class(
        "Made", {name: attrs.field(kw_only=True) for name in names.values()}, frozen=True, slots=True
    )
    assert made(**dict.fromkeys(names.values(), 1)) is not None


@given(st.from_regex(r"[a-z][a-z0-9]{0,5}([A-Z][a-z0-9]{1,5}){0,3}", fullmatch=True))
def test_a_key_in_camel_case_needs_no_alias(key: str) -> None:
    """The rule gives back any key in plain camelCase."""
    assert key_by_rule(field_names([key], reserved=RESERVED)[key]) == key


@pytest.mark.parametrize(
    ("key", "plural", "expected"),
    [
        ("identifiers", True, "Identifier"), ("address", False, "Address"), ("contactPoints", True, "ContactPoint"),
        ("exception", False, "SlotException"), ("none", False, "SlotNone"), ("日本", False, "Slot日本"),
        ("$", False, "SlotItem"), ("2fa", False, "Slot2fa"), ("taken", False, "SlotTaken"),
    ],
)  # fmt: skip
def test_names_of_classes(key: str, plural: bool, expected: str) -> None:
    """A class is named after its key; where Python or the module uses that name, after its parent and the key."""
    assert class_name(key, plural=plural, parent="Slot", taken={"Taken"}) == expected


def test_names_of_parents_do_not_add_up_without_end() -> None:
    """In objects that are nested deep under two keys, no name of a class is longer than that of a key can be."""
    value: dict[str, object] = {"leaf": 1}
    for level in range(28):
        value = {("level", "inner")[level % 2]: value}
    classes = re.findall(r"^class (\w+):", inferred([value]).source, re.MULTILINE)
    assert len(classes) == len(set(classes)) == 29
    assert max(map(len, classes)) <= 64


@given(st.text(max_size=12), st.booleans(), st.sets(st.sampled_from(["A", "SlotA", "SlotItem", "SlotItem2"])))
def test_any_key_has_a_class_name(key: str, plural: bool, taken: set[str]) -> None:
    """Any key gives an identifier that is free."""
    name = class_name(key, plural=plural, parent="Slot", taken=taken)
    assert name.isidentifier()
    assert name not in taken
    assert not keyword.iskeyword(name)


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("slots", "equipe/slots", "SLOTS"), ("Slot", "equipe/slots", "SLOTS"), ("Termin", "equipe/slots", "TERMIN"),
        ("slots", "equipe/doctors/{doctor}/slots", "SLOTS"), ("slots", None, "SLOTS"), ("free-slots", "a/b", "FREE_SLOTS"),
        ("missing", "equipe/missing", "MISSING2"),
    ],
)  # fmt: skip
def test_the_name_of_the_endpoint(name: str, path: str | None, expected: str) -> None:
    """The Endpoint is named after the list: by its path where that holds what the name does."""
    assert constant_name(name, path, {"MISSING"}) == expected
