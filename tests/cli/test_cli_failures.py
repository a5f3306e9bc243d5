"""The failures of a command: many clinics at one dead host are one line with a count; what is a clinic's own is not."""

from __future__ import annotations

import pytest

from arzamed_async import ArzamedError, DeadlineExceededError, ForbiddenError, TokenUnavailableError, TransportError
from arzamed_async.cli.failures import FailureLines
from arzamed_async.cli.messages import StderrReporter


def written(failures: list[tuple[ArzamedError, str]], capsys: pytest.CaptureFixture[str], *, each: bool) -> list[str]:
    lines = FailureLines(StderrReporter(), each=each)
    for error, note in failures:
        lines.add(error.clinic, error, note)
    lines.finish()
    lines.finish()
    return capsys.readouterr().err.splitlines()


def test_sixty_clinics_at_a_dead_host_are_a_line_and_a_count(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is written with its advice, the others are counted with three names; -v lists each."""
    monkeypatch.delenv("COLUMNS", raising=False)
    dead: list[tuple[ArzamedError, str]] = [
        (TokenUnavailableError("token endpoint unreachable: connection refused", clinic=f"c{n}", host="a.example"), "")
        for n in range(60)
    ]
    first, rest = written(dead, capsys, each=False)
    assert first == "arzamed: c0: token endpoint unreachable: connection refused. Check token_url, or retry later"
    assert (
        rest == "arzamed: 59 more clinics failed in the same way at a.example: c1, c2, c3, and 56 more (-v lists each)"
    )
    assert len(written(dead, capsys, each=True)) == 60


def test_slow_clinics_may_be_slow_together(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow clinic is told about --timeout alone; of several at a host the count names --concurrency, too."""
    monkeypatch.delenv("COLUMNS", raising=False)
    slow: list[tuple[ArzamedError, str]] = [
        (
            DeadlineExceededError(seconds=30, phase="waiting for the response", clinic=f"c{n}", method="GET", host="a"),
            "",
        )
        for n in range(3)
    ]
    (only,) = written(slow[:1], capsys, each=False)
    assert only.endswith("Retry later, or give --timeout more than twice the seconds that the response takes")
    first, rest = written(slow, capsys, each=False)
    assert first == only
    assert rest.endswith("If these clinics are slow only when they are read together, lower --concurrency")


def test_what_differs_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A rejected key, another host, and a list that is incomplete are written for each clinic."""
    failures: list[tuple[ArzamedError, str]] = [
        (ForbiddenError(403, clinic="A", host="a"), ""),
        (ForbiddenError(403, clinic="B", host="a"), ""),
        (TransportError("lost", clinic="C", host="a"), ""),
        (TransportError("lost", clinic="D", host="b"), ""),
        (TransportError("lost", clinic="E", host="a"), "Its list is incomplete"),
        (TransportError("lost", clinic="F", host="a"), ""),
    ]
    text = written(failures, capsys, each=False)
    assert sum("arzamed: " in line for line in text) == 6
    assert "1 more clinic failed in the same way at a: F" in " ".join(text)
