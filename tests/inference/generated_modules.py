"""Runs generated modules: as a program would import them, read records with them and turn these back to JSON."""

from __future__ import annotations

import asyncio
import itertools
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from arzamed_async import Endpoint, to_dict
from arzamed_async._inference.inferred import InferredModel, infer_model
from arzamed_async._records.decoder import decoder_for

_numbers = itertools.count()


def inferred(records: list[Any], **options: Any) -> InferredModel:
    """Infer the model of records."""
    return asyncio.run(infer_model(records, **{"name": "slots", "path": "equipe/slots", **options}))


@contextmanager
def imported(source: str) -> Iterator[types.ModuleType]:
    """Import a source as a module, which is found by its name as any is."""
    module = types.ModuleType(f"generated_{next(_numbers)}")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, module.__name__, "exec", dont_inherit=True), vars(module))
        yield module
    finally:
        del sys.modules[module.__name__]


def endpoint_of(module: types.ModuleType) -> Endpoint[Any]:
    """Return the Endpoint that a module defines."""
    found = [each for each in vars(module).values() if isinstance(each, Endpoint)]
    assert len(found) == 1
    return found[0]


def read(source: str, records: list[Any]) -> list[Any]:
    """Read records, as JSON text, with the module's Endpoint."""
    with imported(source) as module:
        text = orjson.dumps(records)
        return list(decoder_for(endpoint_of(module).model).decode(orjson.loads(text), 0, text))


def written_back(source: str, records: list[Any]) -> list[Any]:
    """Read records, and return what `to_dict` makes of them, as from JSON."""
    return [orjson.loads(orjson.dumps(to_dict(each))) for each in read(source, records)]
