"""docs/explanation/reliability.md and docs/reference/fault-matrix.md against the matrix."""

from __future__ import annotations

import pytest
from fault_kinds import ERRORS, KINDS
from fault_list import FAULTS
from fault_report import PAGES, kind_cells

import arzamed_async

EACH = [kind for kinds in KINDS.values() for kind in kinds]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_the_matrix(path) -> None:
    """Each page says what the matrix says: `python tests/faults/fault_report.py` writes it again."""
    assert path.read_text(encoding="utf-8") == PAGES[path]()


def test_each_fault_is_of_exactly_one_kind() -> None:
    """The page for operators leaves out no fault of the matrix, and shows none twice."""
    counts = {(fault.theme, fault.name): sum(kind.has(fault) for kind in EACH) for fault in FAULTS}
    assert {fault: count for fault, count in counts.items() if count != 1} == {}


def test_each_kind_covers_faults_that_are_in_the_matrix() -> None:
    """Nothing that a kind covers has gone from the matrix."""
    for kind in EACH:
        for theme, *ends in kind.covers:
            part = type(kind)(kind.title, kind.todo, [(theme, *ends)])
            assert any(part.has(fault) for fault in FAULTS), (kind.title, theme, ends)


def test_a_kind_that_can_fail_says_what_to_do() -> None:
    """Only a fault that no call notices needs nothing to be done."""
    for kind in EACH:
        unnoticed = set(kind_cells(kind)) <= {"✓", "-"}
        assert kind.todo.startswith("Nothing") == unnoticed, kind.title


def test_each_error_of_the_matrix_has_its_own_word() -> None:
    """The errors' table has every error of the matrix, each is a class of the package, and no two share a word."""
    met = {outcome.error.__name__ for fault in FAULTS for outcome in fault.expect.values() if outcome.error}
    assert set(ERRORS) == met
    assert all(hasattr(arzamed_async, name) for name in ERRORS)
    assert len({each[0] for each in ERRORS.values()}) == len(ERRORS)
