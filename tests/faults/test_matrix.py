"""Every fault against every call: how it ends, what it sends, what it leaves, and whether the next call works."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve
from fault_calls import play
from fault_list import FAULTS
from fault_model import Fault, good
from support.quick_loop import quickly

CASES = [(fault, call) for fault in FAULTS for call in fault.expect]
#: Those that are worth another try, and can come to an end.
PASSING = [
    (fault, call)
    for fault, call in CASES
    if fault.expect[call].tries > 1 and fault.stage != "start" and not fault.differs
]


def named(cases: list[tuple[Fault, str]]) -> list[object]:
    return [pytest.param(fault, call, id=f"{fault.theme}: {fault.name} - {call}") for fault, call in cases]


@pytest.mark.parametrize(("fault", "call"), named(CASES))
def test_a_fault_ends_a_call_as_the_matrix_says(fault: Fault, call: str) -> None:
    """The error's exact class and the requests sent are those of the matrix; nothing is left or said; the next call works."""
    quickly(play(fault, call, fault.expect[call]))


@pytest.mark.parametrize(("fault", "call"), named(PASSING))
def test_a_fault_that_passes_costs_one_more_request(fault: Fault, call: str) -> None:
    """A fault worth another try that strikes once is never seen: the call works, a broken stream goes on where it was."""
    outcome = evolve(good(), tries=2, tokens=fault.expect[call].tokens)
    quickly(play(fault, call, outcome, times=1))


def test_each_fault_has_a_name_of_its_own() -> None:
    """No two faults of a theme are called the same."""
    assert Counter((fault.theme, fault.name) for fault in FAULTS).most_common(1)[0][1] == 1
