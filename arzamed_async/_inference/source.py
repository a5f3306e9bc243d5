"""Writes the module of an inferred model, or widens one that exists."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ConfigurationError
from .imports import HOMES, SHORT, Imports, sorted_block
from .naming import DATES, RESERVED, class_name, constant_name, words
from .plan import plan_classes
from .render import class_source, endpoint_source, in_order
from .schema import Kinds, ListOf, MapOf, Model, ObjectOf, Scalar
from .widened import widened
from .wording import docstring, module_text, record_text

__all__ = ["write"]


def write(model: Model, *, existing: str | None = None) -> str:
    """Return the source of a module with a frozen attrs class for the records of a model, and its Endpoint.

    With `existing`, the source of such a module, that is widened: what has been renamed or added is kept. Raises
    ConfigurationError, which names the line, where it cannot be read or is not a module of this model.

        write(Model("slots", "equipe/slots", False, 1, ObjectOf(())))
    """
    if not any(each.isidentifier() for each in words(model.name)):
        raise ConfigurationError("the name of a model needs a letter: it becomes the name of a class")
    return _new_module(model) if existing is None else widened(model, existing)


def _new_module(model: Model) -> str:
    facts = list(_facts(model.object))
    qualified = any(is_key and "_".join(words(fact)) in DATES for is_key, fact in facts) and any(
        not is_key and fact in {*DATES} for is_key, fact in facts
    )
    imports = Imports(qualified=qualified)
    reserved = {*RESERVED, SHORT} if qualified else RESERVED
    root = class_name(model.name, plural=True, parent="Record", taken=HOMES)
    constant = constant_name(model.name, model.path, {*HOMES, root})
    classes = plan_classes(root, model.object, taken={*HOMES, constant}, reserved=reserved)
    about = model.path or model.name
    blocks = [class_source(each, imports) for each in in_order(classes) if each is not classes[0]]
    blocks.append(class_source(classes[0], imports, record_text(about, model.notes)))
    if model.path is not None:
        blocks.append(endpoint_source(constant, model.path, root, personal=model.personal, imports=imports))
    head = docstring(module_text(about, model.records, "`arzamed model`"), 0)
    return "\n\n\n".join([f"{head}\n\n{sorted_block(imports)}", *blocks]) + "\n"


def _facts(found: ObjectOf) -> Iterator[tuple[bool, str]]:
    """Yield each key (True), and the name of each type (False)."""
    for each in found.fields:
        yield True, each.key
        yield from _of_kinds(each.kinds)


def _of_kinds(kinds: Kinds) -> Iterator[tuple[bool, str]]:
    for kind in kinds.kinds:
        if isinstance(kind, Scalar):
            yield False, kind.name
        elif isinstance(kind, ObjectOf):
            yield from _facts(kind)
        elif isinstance(kind, ListOf | MapOf):
            yield from _of_kinds(kind.item)
