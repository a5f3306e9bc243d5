"""The cells of notebook.md, run by a Jupyter kernel."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from recipe_pages import NAMES, PAGES

from arzamed_async.testing import FakeArzamed

CELLS = re.findall(
    r"^```python\n(.*?)^```$", (PAGES / "notebook.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def run(monkeypatch: pytest.MonkeyPatch, place: Path, cells: list[str]) -> list[Any]:
    """Run cells in a kernel of their own, and return what each shows."""
    import nbformat
    from nbclient import NotebookClient

    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(place / "jupyter"))
    new: Any = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(each) for each in cells])
    resources = {"metadata": {"path": str(place)}}
    client: Any = NotebookClient(notebook, kernel_name="python3", timeout=None, resources=resources)
    asyncio.run(client.async_execute())  # execute() would leave an event loop open
    return [
        "".join(each.get("text", "") or each.get("data", {}).get("text/plain", "") for each in cell.outputs)
        for cell in notebook.cells
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's packages
def test_the_notebook(place: Path, fake_arzamed: FakeArzamed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The "notebook" page: cells share one session and one token, to the last, which closes it; then the first may be run again."""
    opening, *reading, closing = CELLS
    again = [opening, reading[0], closing, "repr(session)"]
    shown = run(monkeypatch, place, [opening, *reading, closing, *again])
    assert shown[0] == ""
    assert shown[1] == str(len(NAMES))
    assert shown[2].split("\n")[0] == NAMES[0]
    assert shown[3] == "['Bari: CredentialsRejectedError']"
    assert shown[-3] == str(len(NAMES))
    assert "closed" in shown[-1]
    fake_arzamed.assert_token_requests("Milano", 2)  # of two sessions
    assert fake_arzamed.open_requests == 0
