"""A nightly export: 300 clinics, five of which fail in five ways, at 50 requests a second of an API that limits them."""

from __future__ import annotations

import json
import time

import pyarrow.parquet as pq
from support.cli import Beside
from support.clinics_files import toml

CLINICS, RATE = 300, 50  # the rate is the API's own limit: a server on a busy machine refuses some requests
#: How each of the five fails, and the class of its error.
FAILING = {
    "Roma": "CredentialsRejectedError",
    "Bari": "ForbiddenError",
    "Lecce": "DecodeError",
    "Udine": "StreamInterruptedError",
    "Siena": "DeadlineExceededError",
}


def prepare(fake):
    """Add the clinics and what goes wrong with five of them; return the credentials."""
    half = ["Dr. Inventata Uno", {"name": 3, "profileImage": None}]
    records = {"Lecce": half, "Udine": [f"Dr. Inventata {n}" for n in range(2000)]}
    names = [*FAILING, *(f"Clinica {n}" for n in range(CLINICS - len(FAILING)))]
    clinics = [fake.add_clinic(name, doctors=records.get(name)) for name in names]
    fake.revoke_key("Roma")
    fake.fail(403, times=None, clinic="Bari")
    fake.cut_body(60_000, times=None, clinic="Udine")
    fake.set_latency(600, "Siena")
    fake.limit_rate(RATE)
    return clinics


def test_an_export_of_300_clinics_is_one_command(place):
    """The file has all records of 295 clinics and none of five, the report has all 300, and the end is one line.

    The API refuses what is over its rate, and no clinic fails by it.
    """
    with Beside() as beside:
        file = toml(place, beside.do(prepare))
        began = time.monotonic()
        done = beside.run(
            *("doctors", "--clinics", file, "--output", "doctors.parquet", "--complete-only"),
            *("--report", "report.json", "--rate", str(RATE), "--timeout", "30"),
        )
        seconds = time.monotonic() - began
    assert done.exit_code == 3, done.stderr
    assert done.stdout == ""
    rows = pq.read_table("doctors.parquet").to_pylist()
    assert len(rows) == 3 * (CLINICS - len(FAILING))
    assert not {row["clinic"] for row in rows} & FAILING.keys()
    report = json.loads((place / "report.json").read_text())
    failed = {each["clinic"]: each["error"] for each in report["clinics"] if each["outcome"] != "complete"}
    assert failed == FAILING
    assert report["totals"] == {"clinics": 300, "complete": 295, "failed": 5, "records": len(rows)}
    assert all(each["records"] == 3 for each in report["clinics"] if each["outcome"] == "complete")
    *failures, last = done.stderr.splitlines()
    assert len(failures) == len(FAILING)
    assert {line.split(": ")[1] for line in failures} == FAILING.keys()
    assert last.startswith("arzamed: 295 of 300 clinics complete, 5 failed; 885 records in ")
    assert last.endswith(", written to doctors.parquet; report in report.json")
    assert sorted(each.name for each in place.iterdir()) == ["cache", "doctors.parquet", "invented.toml", "report.json"]
    assert seconds < 200
