"""A simulated quarter of a day of 60 clinics: see benchmarks/day.py, which holds it to its facts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_six_hours_with_faults_cost_a_token_a_clinic_hour(tmp_path: Path) -> None:
    """Four processes, two stores, faults, revocations and outages: one token a clinic-hour and store, flat memory, no leftover."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not here (Debian: apt-get install redis-server)")
    command = [sys.executable, str(ROOT / "benchmarks" / "day.py"), "--quick", "--out", str(tmp_path)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads((tmp_path / "day.json").read_text())
    assert [row["hour"] for row in report["log"]] == [1, 2, 3, 4, 5, 6]
    quiet = [row for row in report["log"] if not row["out"]]
    assert [row["tokens"] for row in quiet] == [2 * (60 + row["revoked"]) for row in quiet]
    assert report["requests"]["API: 500"] > 0
