"""Ten invented APIs: their modules are what is kept in `generated/`, to be read, and to be checked by ruff, mypy and pyright.

`python tests/inference/test_invented_apis.py` writes them again.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from generated_modules import endpoint_of, imported, inferred, read, written_back
from invented_apis import APIS, Api

from arzamed_async._inference.source import write

FOLDER = Path(__file__).parent / "generated"


def source_of(api: Api, records: list[dict[str, Any]] | None = None) -> str:
    model = inferred(
        api.records if records is None else records, name=api.name, path=api.path, personal=api.personal, **api.options
    )
    return model.source


@pytest.mark.parametrize("name", APIS)
def test_the_module_is_the_one_that_was_read(name: str) -> None:
    """What is generated is what a reader has approved: the file in `generated/`."""
    assert source_of(APIS[name]) == (FOLDER / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", APIS)
def test_the_order_of_the_records_changes_nothing(name: str) -> None:
    """The same records in any order give the same file."""
    records = list(APIS[name].records)
    random.Random(name).shuffle(records)
    assert source_of(APIS[name], records) == source_of(APIS[name])


@pytest.mark.parametrize("name", APIS)
def test_the_module_reads_its_records_and_writes_them_back(name: str) -> None:
    """Each record is read without an error, and `to_dict` makes the same JSON of it."""
    api = APIS[name]
    source = source_of(api)
    assert written_back(source, api.records) == orjson.loads(orjson.dumps(api.records))
    with imported(source) as module:
        assert (endpoint_of(module).path, endpoint_of(module).personal) == (api.path, api.personal)


@pytest.mark.parametrize("name", [name for name, api in APIS.items() if api.canaries])
def test_no_value_is_in_the_module(name: str) -> None:
    """No value of a person is in the source."""
    for canary in APIS[name].canaries:
        assert canary not in source_of(APIS[name])


@pytest.mark.parametrize("name", APIS)
def test_half_the_records_widened_by_the_other_half(name: str) -> None:
    """A module made of half the records and widened by the others reads all of them, and is not changed by the same again."""
    api = APIS[name]
    halves = [
        inferred(half, name=api.name, path=api.path, personal=api.personal, **api.options).schema
        for half in (api.records[::2], api.records[1::2])
    ]
    source = write(halves[1], existing=write(halves[0]))
    assert len(read(source, api.records)) == len(api.records)
    assert write(halves[1], existing=source) == source


if __name__ == "__main__":
    for name, api in APIS.items():
        (FOLDER / f"{name}.py").write_text(source_of(api), encoding="utf-8")
