"""Names for what was inferred: fields in snake_case by the rule that reads them, classes after their key, lists singular.

Keys are foreign text: a key of any script, of signs alone, or one that differs from another in case alone has a name, too.
"""

from __future__ import annotations

import builtins
import keyword
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

from .._records.fields import json_key
from .bounds import MOST_KEY

__all__ = [
    "BUILTINS",
    "DATES",
    "RESERVED",
    "class_name",
    "constant_name",
    "field_names",
    "is_of_patients",
    "key_by_rule",
    "numbered",
    "singular",
    "words",
]

#: The name of a field whose key has neither letter nor digit.
UNNAMED = "unnamed"
BUILTINS = frozenset(dir(builtins))
#: Names that mean something else in the body of a class than a field of that name, and one that looks like a digit.
RESERVED = frozenset({"str", "int", "float", "bool", "dict", "tuple", "list", "field", "self", "l"})
DATES = frozenset({"date", "datetime", "time"})

#: What singular() cannot see from an ending: irregular plurals, and singulars that look like a plural.
_IRREGULAR = {
    # English
    "people": "person", "children": "child", "men": "man", "women": "woman", "diagnoses": "diagnosis",
    "analyses": "analysis", "indices": "index", "criteria": "criterion", "series": "series", "species": "species",
    "news": "news", "alias": "alias", "aliases": "alias", "lens": "lens", "data": "data", "movies": "movie",
    # German
    "termine": "termin", "adressen": "adresse", "patienten": "patient", "kontakte": "kontakt", "zeiten": "zeit",
    "personen": "person", "befunde": "befund", "diagnosen": "diagnose", "rezepte": "rezept", "kurs": "kurs",
    "ärzte": "arzt", "aerzte": "arzt", "räume": "raum", "raeume": "raum", "namen": "name", "telefone": "telefon",
    "versicherte": "versicherter", "zeiträume": "zeitraum", "puls": "puls", "hals": "hals", "praxen": "praxis",
    # Italian
    "pazienti": "paziente", "medici": "medico", "indirizzi": "indirizzo", "contatti": "contatto", "visite": "visita",
    "telefoni": "telefono", "orari": "orario", "esami": "esame", "farmaci": "farmaco", "allergie": "allergia",
    "terapie": "terapia", "diagnosi": "diagnosi", "dottori": "dottore", "stanze": "stanza", "ricette": "ricetta",
}  # fmt: skip
#: Endings of plurals that no singular has, with what stands in their place. The first that fits is used.
_ENDINGS = (
    ("ungen", "ung"), ("heiten", "heit"), ("keiten", "keit"),  # German
    ("zioni", "zione"), ("sioni", "sione"), ("menti", "mento"), ("tori", "tore"),  # Italian
    ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("zzes", "zz"), ("ies", "y"),  # English
)  # fmt: skip
#: What ends so is singular, whatever the language: address, status, analysis, Praxis, Ergebnis.
_SINGULAR = ("ss", "us", "is")


def words(text: str) -> list[str]:
    """Return the parts of a key in lower case: "patientID" is patient and id, "HTTPServer" is http and server."""
    found: list[str] = []
    word = ""
    normal = unicodedata.normalize("NFKC", text)  # as Python reads names
    for place, sign in enumerate(normal):
        if not f"_{sign}".isidentifier() or sign == "_":
            found.append(word)
            word = ""
            continue
        before, after = normal[place - 1 : place], normal[place + 1 : place + 2]
        if word and sign.isupper() and (not before.isupper() or after.islower()):
            found.append(word)
            word = ""
        word += sign
    return [unicodedata.normalize("NFKC", each.lower()) for each in (*found, word) if each]


def is_of_patients(name: str, path: str | None) -> bool:
    """Return whether an endpoint's name, or a segment of its path, names patients."""
    segments = [name, *(each for each in (path or "").split("/") if "{" not in each)]
    return any(singular(word) == "patient" for each in segments for word in words(each))


def singular(word: str) -> str:
    """Return the singular of a plural in lower case. A word that may be singular, in any of the languages, stays."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    return word[:-1] if word.endswith("s") and not word.endswith(_SINGULAR) and len(word) > 3 else word


def key_by_rule(name: str) -> str:
    """Return the JSON key that a field of this name is read from, if it states none."""
    return json_key(cast("Any", SimpleNamespace(name=name, metadata={})))


def numbered(name: str) -> Iterator[str]:
    """Yield the name, and then the name with 2, 3 and so on."""
    yield name
    number = 1
    while True:
        number += 1
        yield f"{name}{number}"


def class_name(key: str, *, plural: bool, parent: str, taken: Collection[str]) -> str:
    """Return the name of the class for what `key` holds: after the key, and where that is taken after parent and key.

    `plural` is whether the key names several of them. In deep nesting the names of parents add up: where that is too long, the name
    after the key gets a number.
    """
    parts = words(key)
    if parts and plural:
        parts[-1] = singular(parts[-1])
    own = "".join(each[:1].upper() + each[1:] for each in parts)
    choices: Iterable[str] = (own, f"{parent}{own}" if own else f"{parent}Item")
    for choice in choices:
        if len(choice) <= MOST_KEY and choice[:1].isupper() and _is_free(choice, taken):
            return choice
    base = own if own[:1].isupper() else f"{parent or 'Item'}{own}"
    return next(each for each in numbered(base if base.isidentifier() else "Item") if _is_free(each, taken))


def _is_free(name: str, taken: Collection[str]) -> bool:
    unclear = name in ("I", "O") or keyword.iskeyword(name)
    return name not in taken and name not in BUILTINS and name.isidentifier() and not unclear


def constant_name(name: str, path: str | None, taken: Collection[str]) -> str:
    """Return the name of the Endpoint: SLOTS for a path that ends in `slots`, or the name given, in capital letters."""
    parts = words(name)
    segments = [words(each) for each in (path or "").split("/") if "{" not in each]
    last = segments[-1] if segments else []
    if last and parts and last[:-1] == parts[:-1] and singular(last[-1]) == singular(parts[-1]):
        parts = last
    base = "_".join(parts).upper()
    return next(each for each in numbered(base) if _is_free(each, taken))


def _plain_name(key: str, reserved: Collection[str]) -> str:
    name = "_".join(words(key)) or UNNAMED
    if not name[0].isidentifier():  # a digit, and an underscore in front would be stripped from the argument's name
        name = f"field_{name}"
    if keyword.iskeyword(name) or name in reserved:
        name += "_"  # which the rule strips
    return name if name.isidentifier() else UNNAMED


def field_names(keys: Iterable[str], *, reserved: Collection[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a name for each key: a key that the rule reads from its name comes before one that needs an alias.

    `reserved` are names that mean something else in the class's body, `taken` those of fields that exist.
    """
    wanted = {key: _plain_name(key, reserved) for key in keys}
    used = set(taken)
    names: dict[str, str] = {}
    for key in sorted(wanted, key=lambda each: key_by_rule(wanted[each]) != each):  # stable
        base = wanted[key]
        numbers = (base if n == 1 else f"{base.rstrip('_')}_{n}" for n in range(1, len(wanted) + len(used) + 2))
        names[key] = next(each for each in numbers if each not in used and each not in reserved)
        used.add(names[key])
    return {key: names[key] for key in wanted}
