"""What a user would write instead: the whole body, ijson, pydantic, msgspec. Each turns a response into a list of objects."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import attrs
import cattrs
import ijson
import msgspec
import orjson
import pydantic
from cattrs.gen import make_dict_structure_fn, override
from tools.records import RECORDS

from arzamed_async._records.codegen import json_key


def _renamed(converter: cattrs.Converter, model: type[Any]) -> Any:
    names = {each.name: override(rename=json_key(each)) for each in attrs.fields(attrs.resolve_types(model))}
    return make_dict_structure_fn(model, converter, **names)  # type: ignore[arg-type]


def lenient_converter() -> cattrs.Converter:
    """Cattrs tuned for speed, and coercing as it does by default."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(dt.datetime, lambda value, _: dt.datetime.fromisoformat(value))
    converter.register_structure_hook(dt.date, lambda value, _: dt.date.fromisoformat(value))
    converter.register_structure_hook_factory(attrs.has, lambda model: _renamed(converter, model))
    return converter


def strict_converter() -> cattrs.Converter:
    """The same with a strict hook for each primitive type: as much is checked as arzamed_async checks."""
    converter = lenient_converter()

    def strict(kind: type[Any]) -> None:
        def hook(value: Any, _: Any) -> Any:
            if value.__class__ is not kind:
                raise TypeError(kind.__name__)
            return value

        converter.register_structure_hook(kind, hook)

    for kind in (str, int, float, bool):
        strict(kind)
    return converter


class Rivals:
    """The ways, for one kind of record."""

    def __init__(self, kind: str) -> None:
        model, pydantic_model, msgspec_model = RECORDS[kind]
        self.lenient = lenient_converter().get_structure_hook(list[model])
        self.strict = strict_converter().get_structure_hook(list[model])
        self.one = lenient_converter().get_structure_hook(model)
        self.model = model
        self.adapter = pydantic.TypeAdapter(list[pydantic_model])
        self.msgspec = msgspec.json.Decoder(list[msgspec_model])

    async def whole_strict(self, response: aiohttp.ClientResponse) -> list[Any]:
        """The whole body, orjson, cattrs with strict hooks."""
        return self.strict(orjson.loads(await response.read()), list[self.model])

    async def whole_lenient(self, response: aiohttp.ClientResponse) -> list[Any]:
        """The whole body, orjson, cattrs tuned and lenient."""
        return self.lenient(orjson.loads(await response.read()), list[self.model])

    async def with_pydantic(self, response: aiohttp.ClientResponse) -> list[Any]:
        """The whole body, pydantic's own parser."""
        return self.adapter.validate_json(await response.read())

    async def with_msgspec(self, response: aiohttp.ClientResponse) -> list[Any]:
        """The whole body, msgspec's own parser: the limit of what is possible."""
        return self.msgspec.decode(await response.read())

    async def with_ijson(self, response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
        """Streamed by ijson (yajl2_c), each record through the lenient cattrs."""
        backend = ijson.get_backend("yajl2_c")
        async for item in backend.items_async(response.content, "item", use_float=True, buf_size=65_536):
            yield self.one(item, self.model)
