"""The retry budget, from values alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async._resilience.budget import RetryBudget


@define
class Clinic:
    owed: float = 0.0


def test_one_clinic_spends_a_quarter_and_all_of_them_the_whole() -> None:
    """Of a hundred retries one clinic may take 25; four take all; the fifth finds none."""
    budget = RetryBudget(100)
    clinics = [Clinic() for _ in range(5)]
    spent = [sum(budget.spend(clinic) for _ in range(40)) for clinic in clinics]
    assert spent == [25, 25, 25, 25, 0]
    assert budget.remaining == 0


def test_success_pays_back() -> None:
    """A success after a retry pays 1, any other 0.1, and there is never more in hand than the whole."""
    budget = RetryBudget(100)
    dead, healthy = Clinic(), Clinic()
    for _ in range(25):
        budget.spend(dead)
    budget.succeeded(healthy, retried=True)
    assert budget.remaining == 76
    for _ in range(100):
        budget.succeeded(healthy, retried=False)
    assert budget.remaining == pytest.approx(86)
    for _ in range(1000):
        budget.succeeded(healthy, retried=True)
    assert budget.remaining == 100
    assert not budget.spend(dead)  # what others pay back is not its to spend
    budget.succeeded(dead, retried=True)
    assert budget.spend(dead)
    assert not budget.spend(dead)


@pytest.mark.parametrize(("retries", "spent"), [(0, 0), (0.5, 0), (1, 1), (2, 1), (8, 2), (math.inf, 500)])
def test_small_and_unbounded_budgets(retries: float, spent: int) -> None:
    """One clinic always has one retry if there is one at all; none means none, infinity sets no bound."""
    budget = RetryBudget(retries)
    clinic = Clinic()
    assert sum(budget.spend(clinic) for _ in range(500)) == spent


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["spend", "retried", "plain"])), max_size=300))
def test_its_bounds_hold(steps: list[tuple[int, str]]) -> None:
    """Whatever happens, in hand is between 0 and the whole, and no clinic owes over a quarter."""
    budget = RetryBudget(20)
    clinics = [Clinic() for _ in range(4)]
    act: dict[str, Callable[[Clinic], object]] = {
        "spend": budget.spend,
        "retried": lambda clinic: budget.succeeded(clinic, retried=True),
        "plain": lambda clinic: budget.succeeded(clinic, retried=False),
    }
    for which, step in steps:
        act[step](clinics[which])
        assert 0 <= budget.remaining <= 20
        assert all(0 <= clinic.owed <= 5 for clinic in clinics)
