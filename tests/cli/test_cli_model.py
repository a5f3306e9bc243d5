"""`arzamed model`: a typed class from live records, and no value of a record anywhere."""

from __future__ import annotations

import ast
import importlib.util
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.cli import Beside, Done, ended

from arzamed_async import Endpoint, to_dict
from arzamed_async._records.decoder import decoder_for

CANARY = "Canaria-Inventata-5150"
KEY = f"{CANARY}@invented.example"

#: Records with a value of a person at each place where one can be.
RECORDS: list[dict[str, Any]] = [
    {
        "id": 515051505150 + n, "patientName": f"{CANARY} {n}", "born": "1951-05-15", "at": f"2030-01-07T09:0{n}:00.000Z",
        "room": None if n else f"{CANARY} Sala", "notes": [CANARY, [CANARY]], "byPerson": {KEY: {"share": 0.5150}},
        "kind": CANARY if n % 2 else "other", "nested": {"deep": {"deeper": [{"name": CANARY}]}}, **({} if n else {"rare": CANARY}),
    }
    for n in range(6)
]  # fmt: skip
VALUES = [CANARY, "51505150", "5150", "1951-05-15", "2030-01-07", KEY, "Sala"]


@pytest.fixture
def canaries(beside: Beside, place: Path) -> str:
    """Two clinics whose slots and patients hold canaries; the path of their file."""
    return beside.clinics(place, "Milano", "Roma", slots=RECORDS, patients=RECORDS)


def no_values(*texts: str) -> None:
    """Assert that no value of a record is in these."""
    for text in texts:
        assert [value for value in VALUES if value.casefold() in text.casefold()] == []


def module(path: Path) -> ModuleType:
    """Import a generated module."""
    spec = importlib.util.spec_from_file_location(f"generated_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(autouse=True)
def nothing_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no generated module imported, and no bytecode."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("generated_") or name == "arzamed_checked":
            del sys.modules[name]


def model(beside: Beside, clinics: str, *arguments: str) -> Done:
    """Run `arzamed model`."""
    return beside.run("model", *arguments, "--clinics", clinics)


def test_a_module_is_made_of_the_records_of_all_clinics(beside: Beside, canaries: str, place: Path) -> None:
    """The module has an Endpoint whose class reads all records, and writes them back; the last line has the totals."""
    done = model(beside, canaries, "slots", "--path", "equipe/slots", "-o", "slots.py")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == "arzamed: 10 fields in 12 records of 2 clinics: written to slots.py\n"
    made = module(place / "slots.py")
    assert isinstance(made.SLOTS, Endpoint)
    assert made.SLOTS.path == "equipe/slots"
    read = decoder_for(made.SLOTS.model).decode(RECORDS, 0)
    assert [to_dict(each) for each in read] == RECORDS
    assert stat.S_IMODE((place / "slots.py").stat().st_mode) == 0o600


def test_without_a_file_the_module_goes_to_stdout(beside: Beside, canaries: str, place: Path) -> None:
    """Stdout has the module and nothing else; so it has for `-o -`."""
    done = model(beside, canaries, "slots", "--path", "equipe/slots")
    assert (done.exit_code, done.stderr) == (0, "")
    ast.parse(done.stdout)
    assert model(beside, canaries, "slots", "--path", "equipe/slots", "-o", "-") == done
    model(beside, canaries, "slots", "--path", "equipe/slots", "-o", "slots.py")
    assert (place / "slots.py").read_text() == done.stdout


@pytest.mark.parametrize("name", ["slots", "patients"])
@pytest.mark.parametrize("level", ["", "-v", "debug"])
def test_no_value_of_a_record_is_written_anywhere(
    beside: Beside, canaries: str, place: Path, monkeypatch: pytest.MonkeyPatch, name: str, level: str
) -> None:
    """Not in the module, in messages, with -v or in the package's log, in the process that a user starts."""
    if level == "debug":
        monkeypatch.setenv("ARZAMED_LOG", "debug")
    options = ["--base-url", beside.fake.base_url, "--clinics", canaries, *(["-v"] if level == "-v" else [])]
    code, written, said = ended("model", name, "-o", "it.py", *options)
    assert (code, written) == (0, b"")
    no_values((place / "it.py").read_text(), said.decode())
    no_values(*(each.read_text(errors="replace") for each in place.rglob("*") if each.is_file()))


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda fake: fake.fail(500, times=None, path="equipe/slots"), 4),
        (lambda fake: fake.fail(500, times=None, path="equipe/slots", clinic="Roma"), 3),
        (lambda fake: fake.fail(403, times=None, path="equipe/slots", clinic="Roma"), 3),
        (lambda fake: fake.add_endpoint("equipe/slots", "Roma", [*RECORDS, CANARY]), 3),
        (lambda fake: fake.add_endpoint("equipe/slots", "Roma", [{f"{n}{KEY}": n for n in range(5000)}]), 0),
        (lambda fake: fake.add_endpoint("equipe/slots", "Roma", [{f"key{chr(97 + n % 26)}{chr(97 + n // 26)}": CANARY for n in range(600)}]), 3),
        (lambda fake: fake.cut_body(after_bytes=900, times=None, clinic="Roma"), 3),
    ],
)  # fmt: skip
def test_no_value_is_written_where_clinics_fail(
    beside: Beside, canaries: str, place: Path, break_it: Any, code: int
) -> None:
    """A clinic that fails is named with the usual exit code, whatever went wrong, and no value of its records with it."""
    beside.do(break_it)
    options = ["--base-url", beside.fake.base_url, "--clinics", canaries, "-v"]
    found, written, said = ended("model", "slots", "--path", "equipe/slots", "-o", "it.py", *options)
    assert found == code, said.decode()
    assert written == b""
    assert code != 3 or "arzamed: Roma: " in said.decode()
    assert (place / "it.py").exists() is (code != 4)
    no_values(said.decode(), *(each.read_text(errors="replace") for each in place.rglob("*") if each.is_file()))
    assert [each.name for each in place.iterdir() if each.name.startswith(".it")] == []


def test_an_existing_file_is_widened_and_otherwise_left_alone(beside: Beside, canaries: str, place: Path) -> None:
    """Changes of one's own are kept where a field comes, and a file that has all fields is not touched."""
    arguments = ("slots", "--path", "equipe/slots", "-o", "slots.py")
    model(beside, canaries, *arguments)
    file = place / "slots.py"
    file.write_text(file.read_text().replace("A record of `equipe/slots`.", "A slot, as Inventata calls it."))
    file.chmod(0o640)
    os.utime(file, ns=(1, 1))
    done = model(beside, canaries, *arguments)
    assert done.stderr == "arzamed: 10 fields in 12 records of 2 clinics: slots.py has them all and is not changed\n"
    assert file.stat().st_mtime_ns == 1
    beside.do(lambda fake: fake.add_endpoint("equipe/slots", "Roma", [{**RECORDS[0], "brandNew": 1}]))
    done = model(beside, canaries, *arguments)
    assert done.stderr.endswith("written to slots.py\n")
    assert "brand_new: int" in file.read_text()
    assert "A slot, as Inventata calls it." in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"def (:\n", "slots.py"),
        (b"\xff\xfe", "slots.py is not a Python module in UTF-8: name another file"),
        (b"#" * 5_000_000, "slots.py is too long for a module of classes: name another file"),
    ],
    ids=["no Python", "no text", "long"],
)
def test_a_file_that_cannot_be_widened_is_refused_before_anything_is_read(
    beside: Beside, canaries: str, place: Path, content: bytes, words: str
) -> None:
    """It is a usage error: the file stays, and no request is sent."""
    (place / "slots.py").write_bytes(content)
    done = model(beside, canaries, "slots", "-o", "slots.py")
    assert done.exit_code == 2
    assert words in done.stderr
    assert (place / "slots.py").read_bytes() == content
    assert beside.do(lambda fake: len(fake.requests)) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rooms",), "the package knows no endpoint rooms: give its path with --path"),
        (("--path", "x", "§§§"), "needs a letter"),
        (("slots", "--path", "../x"), "--path"),
        (("slots", "--path", "a/{b}"), "b"),
        (("slots", "--path", "a", "--path-param", "b=1"), "b"),
        (("slots", "--path-param", "b"), "--path-param takes key=value, not 'b'"),
        (("slots", "--param", "b"), "--param takes key=value, not 'b'"),
        (
            ("patients", "--enums"),
            "--enums writes values of records into the file: none of personal records are written",
        ),
        (("slots", "--enums", "--personal"), "--enums writes values"),
        (("slots", "-o", "invented.toml"), "--output names the clinics file"),
        (("slots", "-o", "nowhere/x.py"), "its folder does not exist"),
        (("slots", "--records", "0"), "--records"),
    ],
)
def test_a_mistake_in_the_options_is_found_before_anything_is_read(
    beside: Beside, canaries: str, arguments: tuple[str, ...], words: str
) -> None:
    """It is a usage error of one message that names the option, and no request is sent."""
    done = model(beside, canaries, *arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""
    assert beside.do(lambda fake: len(fake.requests)) == 0


def test_without_a_record_nothing_is_written(beside: Beside, place: Path) -> None:
    """Empty lists are no model: the file is not written, and the exit code is that of a run in which nothing worked."""
    clinics = beside.clinics(place, "Milano", slots=[])
    done = model(beside, clinics, "slots", "-o", "slots.py")
    assert done.exit_code == 4
    assert done.stderr == (
        "arzamed: the clinics sent no record, so that there is nothing to make a class from: slots.py is not written\n"
    )
    assert not (place / "slots.py").exists()


def test_a_guessed_path_that_fails_is_reported_as_a_guess(beside: Beside, canaries: str, place: Path) -> None:
    """The message names --path, as that of `arzamed slots` does, and a clinic's error that the path may be wrong."""
    beside.do(lambda fake: fake.fail(404, times=None, path="equipe/slots"))
    done = model(beside, canaries, "slots", "-o", "slots.py")
    assert done.exit_code == 4
    assert "the path equipe/slots is a guess: the vendor has not published it" in done.stderr
    assert "This path is unpublished; the path itself may be wrong" in done.stderr
    assert done.stderr.endswith("no clinic's records could be read: slots.py is not written\n")


def test_the_options_shape_the_module(beside: Beside, place: Path) -> None:
    """--records bounds what is read, --enums and --decimals choose types, --personal marks the endpoint, and --path-param fills the path."""
    rooms = [{"kind": "single" if n % 2 else "double", "price": 1.5, "late": n >= 90} for n in range(100)]
    clinics = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.add_endpoint("equipe/houses/7/rooms", "Milano", rooms))
    arguments = ("rooms", "--path", "equipe/houses/{house}/rooms", "--path-param", "house=7")
    usual = model(beside, clinics, *arguments).stdout
    assert "kind: str" in usual
    assert "price: float" in usual
    assert 'Endpoint("equipe/houses/{house}/rooms", Room)' in usual
    chosen = model(beside, clinics, *arguments, "--enums", "--decimals").stdout
    assert 'kind: Literal["double", "single"]' in chosen
    assert "price: Decimal" in chosen
    assert "personal=True" in model(beside, clinics, *arguments, "--personal").stdout
    assert "inferred from 10 records" in model(beside, clinics, *arguments, "--records", "10").stdout


def test_the_order_of_clinics_and_records_does_not_matter(beside: Beside, place: Path) -> None:
    """The same records give the same file, in whatever order clinics and records come."""
    made: set[str] = set()
    for names, records in ((("A", "B"), RECORDS), (("B", "A"), RECORDS[::-1])):
        clinics = beside.clinics(place, *(f"{name}{len(made)}" for name in names), slots=records)
        made.add(model(beside, clinics, "slots", "--path", "equipe/slots").stdout)
    assert len(made) == 1
