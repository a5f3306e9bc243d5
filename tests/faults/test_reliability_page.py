"""docs/explanation/reliability.md against the matrix."""

from __future__ import annotations

from fault_report import PAGE, page


def test_the_page_is_the_matrix() -> None:
    """docs/explanation/reliability.md says what the matrix says: `python tests/faults/fault_report.py` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()
