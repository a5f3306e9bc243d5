"""docs/how-to/observability.md: its tables say what the code has, and its examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import attrs
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import arzamed_async
from arzamed_async import Event, Work
from arzamed_async.events import WorkKind
from arzamed_async.otel import OTelObserver

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "observability.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
#: What each example prints, in order.
PRINTED = [
    r"\['Milano equipe/doctors 200'\]",
    r"DEBUG Milano: .*HTTP 503.*\nINFO Milano: attempt 1 .*\n(?:.*\n)*WARNING NotFoundError: Milano: .* \[call [0-9a-f]{16}\]\n",
    r'"level": "WARNING".*HTTP 503.*"arzamed_event": "RetryScheduled", "arzamed_clinic": "Milano"',
    r"POST\narzamed.token\narzamed.token_wait\nGET /api/v1/equipe/doctors\narzamed.call equipe/doctors",
    r"arzamed_token_requests_total\{.*\} 1\.0",
    r"call equipe/doctors\n  token_wait <token>\ntoken <token>\n  request <token>\n  request equipe/doctors",
]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, its head left out."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_event_is_in_the_table_with_its_fields() -> None:
    """The table of events names every event, and for each its fields in order."""
    written = {row[0].strip("`"): re.findall(r"`(\w+)`", row[2]) for row in rows("Events")}
    assert written == {kind.__name__: [field.name for field in attrs.fields(kind)] for kind in typing.get_args(Event)}


def test_work_is_described() -> None:
    """Each kind of work, and each field of Work, is named."""
    section = TEXT.partition("\n## A tracer of your own\n")[2]
    assert {f'"{kind}"' for kind in typing.get_args(WorkKind)} <= set(re.findall(r'"\w+"', section))
    assert {field.name for field in attrs.fields(Work)} <= set(re.findall(r"`(\w+)`", section))


def test_each_metric_is_in_the_table() -> None:
    """The table of metrics names every instrument that there is, and no other, with its unit."""
    made: dict[str, str] = {}

    class Meters(MeterProvider):
        def get_meter(self, *arguments: typing.Any, **options: typing.Any) -> typing.Any:
            meter = super().get_meter(*arguments, **options)
            for method in ("histogram", "counter", "up_down_counter", "observable_gauge"):
                plain = getattr(meter, f"create_{method}")

                def create(
                    name: str, *rest: typing.Any, plain: typing.Any = plain, method: str = method, **more: typing.Any
                ):
                    made[name] = method
                    return plain(name, *rest, **more)

                setattr(meter, f"create_{method}", create)
            return meter

    meters = Meters([InMemoryMetricReader()], shutdown_on_exit=False)
    OTelObserver(meter_provider=meters)
    meters.shutdown()
    kinds = {
        "histogram, s": "histogram",
        "counter": "counter",
        "up-down counter": "up_down_counter",
        "gauge": "observable_gauge",
    }
    assert {row[0].strip("`"): kinds[row[1]] for row in rows("Metrics")} == made


@pytest.mark.parametrize(("code", "printed"), list(zip(BLOCKS, PRINTED, strict=True)), ids=range(len(BLOCKS)))
def test_each_example_runs(code: str, printed: str) -> None:
    """An example, run as it stands, ends well and prints what it is for."""
    root = str(Path(arzamed_async.__file__).parent.parent)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert re.search(printed, run.stdout), run.stdout
