"""Whose limit it is: the clinic's or the origin's."""

from __future__ import annotations

import random

import pytest

from arzamed_async._resilience.attribution import HEAVY_ROW, Attribution, Rows
from arzamed_async._resilience.clinic_scope import ClinicScope
from arzamed_async._resilience.origin_scope import OriginScope


def test_a_volley_beyond_a_burst_is_a_heavy_row() -> None:
    """Of 64 requests sent at once the last 14 are refused: that is the origin's limit, in whatever order they arrive."""
    numbers = list(range(51, 65))
    random.Random(1).shuffle(numbers)
    rows = Rows()
    assert max(rows.refused(number, fresh=True) for number in numbers) >= HEAVY_ROW


@pytest.mark.parametrize("seed", range(5))
def test_one_clinic_in_ten_is_no_row(seed: int) -> None:
    """Where one clinic in ten is refused for ever, 5,000 clinics make no heavy row."""
    lots, rows = random.Random(seed), Rows()
    weights = [rows.refused(number, fresh=True) for number in range(1, 5001) if lots.random() < 0.1]
    assert max(weights) < HEAVY_ROW


def test_a_clinic_refused_often_is_no_row() -> None:
    """A hundred refusals of one clinic prove nothing about the origin."""
    evidence, clinic = Attribution(), ClinicScope()
    weights = []
    for number in range(1, 101):
        weights.append(evidence.row(clinic, number, 0.0, paced=False))
        clinic.last_refused_at = 0.0
    assert max(weights) <= 1


class Scripted:
    """An origin whose responses a test gives."""

    def __init__(self, clinics: int) -> None:
        self.now = 100.0
        self.origin = OriginScope()
        self.clinics = [ClinicScope(f"clinic-{number}") for number in range(clinics)]

    def send(self, *numbers: int) -> list[tuple[ClinicScope, int]]:
        return [(self.clinics[number], self.origin.start(self.clinics[number])) for number in numbers]

    def accept(self, sent: list[tuple[ClinicScope, int]]) -> None:
        self.now += 0.02
        for clinic, number in sent:
            self.origin.accepted(clinic, number, self.now)

    def refuse(self, sent: list[tuple[ClinicScope, int]], status: int = 429, after: float | None = None) -> list[bool]:
        self.now += 0.002
        return [self.origin.refused(clinic, number, status, after, self.now) for clinic, number in sent]


def test_several_clinics_refused_in_a_row_pace_the_origin() -> None:
    """The origin is paced where distinct clinics are refused in a row, and the clinics are not."""
    run = Scripted(64)
    sent = run.send(*range(64))
    run.refuse(sent[50:])
    run.accept(sent[:50])
    assert run.origin.pace is not None
    assert not run.origin.paced


def test_a_clinic_over_its_own_limit_is_paced_alone() -> None:
    """A clinic that was served and is refused now gets a pace; the origin and the other clinics do not."""
    run = Scripted(10)
    run.accept(run.send(*range(10)))
    assert run.refuse(run.send(3, 3, 3)) == [True, True, True]
    assert run.origin.pace is None
    assert run.origin.paced == {run.clinics[3]}


def test_a_pace_of_clinics_is_given_back_where_the_origin_is_at_fault() -> None:
    """Clinics blamed for what turns out to be the origin's limit lose their pace."""
    run = Scripted(20)
    run.accept(run.send(*range(20)))
    sent = run.send(*range(20))
    run.refuse(sent[:5])
    assert len(run.origin.paced) == 5
    run.refuse(sent[5:])
    assert run.origin.pace is not None
    assert not run.origin.paced


def test_a_single_503_is_a_retry() -> None:
    """A lone clinic's 503 without Retry-After is no throttling: it is the retry loop's business."""
    run = Scripted(1)
    run.accept(run.send(0, 0, 0))
    assert run.refuse(run.send(0), 503) == [False]
    assert run.origin.pace is run.clinics[0].pace is None


def test_many_503s_beside_successes_are_a_limit() -> None:
    """A clinic whose requests are mostly responded to with 503, though some are served, is paced."""
    run = Scripted(1)
    for _ in range(16):
        run.accept(run.send(0))
        run.refuse(run.send(0, 0), 503)
    assert run.clinics[0].pace is not None


def test_only_503s_are_an_outage() -> None:
    """Where nobody is served and nothing is under way, a 503 is the retry loop's business."""
    run = Scripted(64)
    sent = run.send(*range(64))
    verdicts = run.refuse(sent, 503)
    assert verdicts[-1] is False


def test_one_clinic_never_shuts_the_origin() -> None:
    """A long Retry-After closes the scope of the clinic that got it, however often it comes; the origin stays open."""
    run = Scripted(5)
    run.accept(run.send(*range(5)))
    for _ in range(20):
        assert run.refuse(run.send(2), after=3600.0) == [False]
    assert run.clinics[2].shut_until > run.now + 3500
    assert run.origin.shut_until < run.now
    run.origin.forget(run.clinics[2])
    assert run.clinics[2].shut_until < run.now


def test_a_tenth_with_a_long_retry_after_does_not_shut_the_origin() -> None:
    """Exhausted clinics with Retry-After: 3600 close themselves, also where two of them are refused in succession."""
    run = Scripted(1000)
    for first in range(0, 1000, 50):
        sent = run.send(*range(first, first + 50))
        exhausted = [one for index, one in enumerate(sent) if index in {3, 4, 20, 31, 44}]
        run.refuse(exhausted, after=3600.0)
        run.accept([one for one in sent if one not in exhausted])
    assert run.origin.shut_until < run.now
    assert run.origin.pace is None


def test_a_503_with_a_long_retry_after_shuts_nothing() -> None:
    """Shutting a scope is for 429 alone: a 503 with Retry-After: 3600 fails its own call alone."""
    run = Scripted(1)
    run.accept(run.send(0))
    assert run.refuse(run.send(0), 503, after=3600.0) == [False]
    assert run.clinics[0].shut_until < run.now
    assert not run.origin.active


@pytest.mark.parametrize(("later", "paced"), [(29.9, True), (30.1, False)])
def test_a_scope_rests(later: float, paced: bool) -> None:
    """Thirty seconds without a refusal, and nobody waiting: a scope is forgotten, and a call costs nothing again."""
    run = Scripted(2)
    run.accept(run.send(0, 1))
    run.refuse(run.send(0))
    run.now += later - 0.02
    run.accept(run.send(1))
    assert (run.clinics[0].pace is not None) is paced
    assert run.origin.active is paced


def test_a_suspect_does_not_cut_the_origin() -> None:
    """While the origin is paced, a clinic refused again and again among others that are served is left to itself."""
    run = Scripted(200)
    sent = run.send(*range(64))
    run.refuse(sent[50:])
    run.accept(sent[:50])
    run.accept(run.send(*range(64, 164)))
    verdicts = []
    for number in range(164, 174):
        verdicts += run.refuse(run.send(7))
        run.accept(run.send(number))
    assert verdicts[0] is True
    assert run.clinics[7].suspect
