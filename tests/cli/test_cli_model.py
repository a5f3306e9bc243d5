"""`arzamed model`: a typed class from live records, and no value of a record anywhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.cli import Beside, Done, ended, poll, running

from arzamed_async import Endpoint, to_dict
from arzamed_async._records.decoder import decoder_for

CANARY = "Canaria-Inventata-5150"
KEY = f"{CANARY}@invented.example"

#: Records with a value of a person at each place where one can be.
RECORDS: list[dict[str, Any]] = [
    {
        "id": 515051505150 + n, "patientName": f"{CANARY} {n}", "born": "1951-05-15", "at": f"2030-01-07T09:0{n}:00.000Z",
        "room": None if n else f"{CANARY} Sala", "notes": [CANARY, [CANARY]], "byPerson": {KEY: {"share": 0.5150515051}},
        "kind": CANARY if n % 2 else "other", "nested": {"deep": {"deeper": [{"name": CANARY}]}}, **({} if n else {"rare": CANARY}),
    }
    for n in range(6)
]  # fmt: skip
VALUES = [CANARY, "5150515051", "1951-05-15", "2030-01-07", KEY]  # none so short that a random token could hold it


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
        (("--check", "my slots.py"), "name the endpoint, as in arzamed model slots --check 'my slots.py'"),
        (("--path", "x"), "NAME is missing: name the endpoint, as in arzamed model slots -o slots.py"),
        (("rooms",), "unknown endpoint rooms: give its path with --path"),
        (("--path", "x", "§§§"), "needs a letter"),
        (("slots", "--path", "../x"), "--path"),
        (("slots", "--path", "a/{b}/{c}"), "as in --path-param b=VALUE --path-param c=VALUE"),
        (("people", "--path", "equipe/patients/{p}/visits", "--enums"), "--enums writes values"),
        (("slots", "--path", "a", "--path-param", "b=1"), "b"),
        (("slots", "--path-param", "b"), "--path-param takes key=value, not 'b'"),
        (("slots", "--param", "b"), "--param takes key=value, not 'b'"),
        (
            ("patients", "--enums"),
            "--enums writes values of records into the file, which is not allowed for personal records: leave it out",
        ),
        (("slots", "--enums", "--personal"), "--enums writes values"),
        (("slots", "--format", "json"), "--format json is for --check: a module is Python"),
        (("slots", "--check", "x.py", "-o", "y.py"), "--check writes no module: leave out --output"),
        (("slots", "--check", "x.py"), "--check: x.py: no such file"),
        (("slots", "--format", "csv"), "csv"),
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
    assert done.stderr == ("arzamed: the clinics sent no records to make a class from: slots.py is not written\n")
    assert not (place / "slots.py").exists()


def test_a_guessed_path_that_fails_is_reported_as_a_guess(beside: Beside, canaries: str, place: Path) -> None:
    """The message names --path, as that of `arzamed slots` does, and a clinic's error that the path may be wrong."""
    beside.do(lambda fake: fake.fail(404, times=None, path="equipe/slots"))
    done = model(beside, canaries, "slots", "-o", "slots.py")
    assert done.exit_code == 4
    assert "the path equipe/slots is a guess: the vendor has not published it" in done.stderr
    assert "This path is unpublished; the path itself may be wrong" in done.stderr
    assert done.stderr.endswith("no records could be read from any clinic: slots.py is not written\n")


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


# --check

CLASS = """
from attrs import frozen
from arzamed_async import Endpoint

@frozen
class Slot:
    slot: int
    start: "str"
    doctor: str | None = None

SLOTS = Endpoint("equipe/slots", Slot)
"""
GOOD = [{"slot": 1, "start": "2030-01-07", "doctor": CANARY}]
DRIFTED = [
    {"slot": 1, "start": None, "doctor": CANARY},
    {"slot": CANARY, "start": CANARY, "room": CANARY, "doctor": None},
]


@pytest.fixture
def slots_py(place: Path) -> Path:
    """A file with a class, of a user's own."""
    (place / "slots.py").write_text(CLASS)
    return place / "slots.py"


def test_records_that_match_the_class_are_no_drift(beside: Beside, place: Path, slots_py: Path) -> None:
    """The exit code is 0, one line names class, file, records and path, and nothing is written beside the file."""
    done = model(beside, beside.clinics(place, "Milano", slots=GOOD), "slots", "--check", "slots.py")
    assert done.exit_code == 0
    assert done.stdout == "ok     Slot in slots.py matches 1 record of equipe/slots from 1 clinic\n"
    assert done.stderr == ""
    assert sorted(each.name for each in place.iterdir() if each.is_dir() or each.suffix == ".py") == [
        "cache",
        "slots.py",
    ]


def test_drift_is_named_with_its_share_and_its_clinics(beside: Beside, place: Path, slots_py: Path) -> None:
    """The exit code is 5; each line has kind, field, share, what was found, and the clinics; the last one the command to run."""
    clinics = beside.clinics(place, "Milano", "Roma", slots=GOOD)
    beside.do(lambda fake: fake.add_endpoint("equipe/slots", "Roma", DRIFTED))
    done = model(beside, clinics, "slots", "--check", "slots.py")
    assert done.exit_code == 5
    assert done.stdout.splitlines() == [
        "drift  Slot in slots.py does not match 3 records of equipe/slots from 2 clinics:",
        "  new field: room, 33%: text (Roma)",
        "  null: start, 33%: null, not text (Roma)",
        "  other type: slot, 33%: text, not a whole number (Roma)",
        "Reading such records as Slot raises a DecodeError. To widen the class: arzamed model slots --path equipe/slots -o slots.py",
    ]
    no_values(done.stdout, done.stderr)
    assert model(beside, clinics, "slots", "--path", "equipe/slots", "-o", "slots.py").exit_code == 0
    assert model(beside, clinics, "slots", "--check", "slots.py").exit_code == 0  # what the last line advises helps


def test_a_new_field_alone_breaks_no_program(beside: Beside, place: Path, slots_py: Path) -> None:
    """It is drift, and the last line distinguishes it from what raises errors."""
    clinics = beside.clinics(place, "Milano", slots=[{**GOOD[0], "room": 1}])
    done = model(beside, clinics, "slots", "--check", "slots.py")
    assert done.exit_code == 5
    assert "Programs still read these records, without the new fields." in done.stdout


def test_the_report_as_json(beside: Beside, place: Path, slots_py: Path) -> None:
    """`--format json` writes one object with all of it, and the clinics that failed."""
    clinics = beside.clinics(place, "Milano", "Roma", "Torino", slots=GOOD)
    beside.do(lambda fake: fake.add_endpoint("equipe/slots", "Roma", DRIFTED))
    beside.do(lambda fake: fake.fail(403, times=None, path="equipe/slots", clinic="Torino"))
    done = model(beside, clinics, "slots", "--check", "slots.py", "--format", "json")
    assert done.exit_code == 5
    report = json.loads(done.stdout)
    assert {key: report[key] for key in ("file", "class", "path", "ok", "records", "clinics_read")} == {
        "file": "slots.py", "class": "Slot", "path": "equipe/slots", "ok": False, "records": 3, "clinics_read": 2,
    }  # fmt: skip
    assert [(each["kind"], each["path"], each["clinics"]) for each in report["findings"]] == [
        ("new", "room", ["Roma"]),
        ("null", "start", ["Roma"]),
        ("type", "slot", ["Roma"]),
    ]
    assert [each["clinic"] for each in report["clinics_failed"]] == ["Torino"]
    no_values(done.stdout, done.stderr)


@pytest.mark.parametrize(("failing", "code"), [(None, 4), ("Roma", 3)])
def test_clinics_that_fail_a_check(beside: Beside, place: Path, slots_py: Path, failing: str | None, code: int) -> None:
    """They are named, and without drift the exit code is the usual one."""
    clinics = beside.clinics(place, "Milano", "Roma", slots=GOOD)
    beside.do(lambda fake: fake.fail(403, times=None, path="equipe/slots", clinic=failing))
    done = model(beside, clinics, "slots", "--check", "slots.py")
    assert done.exit_code == code
    assert "Roma: GET equipe/slots: HTTP 403" in done.stderr
    assert ("nothing was compared" in done.stderr) is (code == 4)
    assert ("ok " in done.stdout) is (code == 3)


def test_a_check_without_a_record_reports_that_nothing_was_compared(
    beside: Beside, place: Path, slots_py: Path
) -> None:
    """An empty list is a list of such records: it is no drift, and a line on stderr reports it."""
    done = model(beside, beside.clinics(place, "Milano", slots=[]), "slots", "--check", "slots.py")
    assert done.exit_code == 0
    assert done.stderr == "arzamed: the clinics sent no record: nothing was compared\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def (:", "--check: slots.py is not Python: invalid syntax (line 1)"),
        ("x = 1\nimport nowhere_at_all", "--check: slots.py cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all' (line 2)"),
        ("from . import base", "--check: slots.py cannot be imported: ImportError: attempted relative import with no known parent package (line 1)"),
        ("raise SystemExit(7)", "--check: slots.py cannot be imported: SystemExit: 7 (line 1)"),
        ("raise RuntimeError('a\\x1b[31m\\nb' * 999)", "--check: slots.py cannot be imported: RuntimeError: "),
        (CLASS.replace('"str"', '"Nowhere"'), "Slot: its annotations cannot be resolved"),
        ("x = 1", "--check: slots.py has no Endpoint, and 0 classes to choose from: add SLOTS = Endpoint(path, Slot) for yours"),
        (CLASS + 'MORE = Endpoint("equipe/more", Slot)', "--check: slots.py has several endpoints: choose one with --path (equipe/slots, equipe/more)"),
        ("\0", "--check: slots.py"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_compared_with_is_one_clear_line(
    beside: Beside, place: Path, source: str, words: str
) -> None:
    """It is a usage error without a traceback, and no request is sent."""
    (place / "slots.py").write_text(source)
    done = model(beside, beside.clinics(place, "Milano", slots=GOOD), "slots", "--check", "slots.py")
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 400
    assert beside.do(lambda fake: len(fake.requests)) == 0


def test_of_several_endpoints_that_with_the_path_is_meant(beside: Beside, place: Path) -> None:
    """--path chooses; without an Endpoint the one class that no other holds is meant; a sibling module can be imported."""
    clinics = beside.clinics(place, "Milano", slots=[{"slot": 1, "start": "x"}])
    (place / "sibling.py").write_text("Text = str\nprint('from the file')")
    two = f"{CLASS}\nfrom sibling import Text\n@frozen\nclass Other:\n    slot: int\n    start: Text\n    held: Slot | None = None\n"
    (place / "two.py").write_text(two + 'OTHERS = Endpoint("equipe/others", Other)')
    done = model(beside, clinics, "slots", "--path", "equipe/slots", "--check", "two.py")
    assert done.stdout == "ok     Slot in two.py matches 1 record of equipe/slots from 1 clinic\n"
    assert "from the file" in done.stderr
    (place / "bare.py").write_text(two.replace('SLOTS = Endpoint("equipe/slots", Slot)', ""))
    done = model(beside, clinics, "slots", "--path", "equipe/slots", "--check", "bare.py")
    assert done.stdout == "ok     Other in bare.py matches 1 record of equipe/slots from 1 clinic\n"
    sys.modules.pop("sibling", None)


def test_the_path_to_read_is_that_of_the_endpoint(beside: Beside, place: Path, slots_py: Path) -> None:
    """Without --path the Endpoint of the file says what to read."""
    slots_py.write_text(CLASS.replace("equipe/slots", "equipe/appointments"))
    clinics = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.add_endpoint("equipe/appointments", "Milano", GOOD))
    done = model(beside, clinics, "anything", "--check", "slots.py")
    assert (done.exit_code, "1 record of equipe/appointments" in done.stdout) == (0, True)


@pytest.mark.skipif(os.name != "posix", reason="signals are others there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_file_as_it_was(beside: Beside, canaries: str, place: Path, number: int, code: int) -> None:
    """The exit code is that of the signal, a line names the file, and neither the file nor one beside it is written."""
    beside.do(lambda fake: fake.slow_body(100, 600, clinic="Roma"))
    arguments = ["--path", "equipe/slots", "-o", "slots.py", "--base-url", beside.fake.base_url, "--clinics", canaries]
    with running("model", "slots", *arguments) as process:
        poll(lambda: beside.do(lambda fake: fake.api_requests()) >= 2, "both clinics are read")
        process.send_signal(number)
        written, said = process.communicate(timeout=60)
        assert process.returncode == code
    assert (written, said) == (b"", b"arzamed: interrupted: slots.py is not written\n")
    assert [each.name for each in place.iterdir() if "slots" in each.name] == []
    beside.do(lambda fake: fake.clear_faults())
