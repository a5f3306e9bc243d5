"""A module that exists, widened by a model: what has been renamed, added or explained in it is kept."""

from __future__ import annotations

import ast

from ..errors import ConfigurationError
from .edits import Edits
from .existing import Found, Module, at_line, read_module
from .import_edits import edit_imports
from .imports import HOMES, Imports
from .naming import DATES, RESERVED, class_name, constant_name
from .render import endpoint_source
from .schema import Model
from .widen import Widener

__all__ = ["widened"]

_BOM = "\ufeff"


def widened(model: Model, existing: str) -> str:
    """Return the source of a module whose classes also read the records of a model.

    Raises ConfigurationError, which names the line, where the module cannot be understood or is not one of this model.
    """
    if existing.startswith(_BOM):  # as editors on Windows write it; Python skips it
        return _BOM + widened(model, existing.removeprefix(_BOM))
    module = read_module(existing)
    root, endpoint = _root(module, model)
    if not model.records:
        return existing
    known = {full: local for local, full in module.names.items()}
    dates = {each.plan.name for found in module.found.values() for each in found.fields} & DATES
    imports = Imports(known, qualified=bool(dates))
    bound = module.bound()
    reserved = {*RESERVED, *module.names, *(DATES if "datetime" not in known else ())}
    widener = Widener(module, {*bound, *HOMES}, reserved)
    widener.widen_class(root.plan, model.object, root)
    edits = Edits(module, imports)
    edits.renew_head(model.records)
    for found in module.found.values():
        edits.widen(found, "records" if found is root else "objects")
    edits.insert_classes(widener.made)
    if endpoint is not None and model.personal:
        _mark_personal(edits, module, endpoint)
    if endpoint is None and model.path is not None:
        name = constant_name(model.name, model.path, {*bound, *HOMES})
        made = endpoint_source(name, model.path, root.plan.name, personal=model.personal, imports=imports)
        edits.append(f"\n\n{made}")
    edit_imports(module, imports, edits)
    result = edits.result()
    try:
        ast.parse(result)
    except SyntaxError as error:
        line = error.lineno
    else:
        return result
    raise ConfigurationError(f"the existing module cannot be widened near line {line}: write the model to another file")


def _root(module: Module, model: Model) -> tuple[Found, ast.Call | None]:
    """Return the class of the model's records, and the call that makes its Endpoint."""
    endpoints = list(module.endpoints())
    expected = class_name(model.name, plural=True, parent="Record", taken=HOMES)
    for call, path, name in endpoints:
        if path == model.path or (model.path is None and name == expected):
            if name not in module.found:
                raise at_line(call, f"{name} is not an attrs class of this module")
            return module.found[name], call
    found = module.found.get(expected)
    other = next((each for each in endpoints if each[2] == expected), None)
    if found is None or other is not None:
        wanted = f"an Endpoint of {model.path}" if model.path is not None else f"a class {expected}"
        problem = f"there is neither {wanted} nor a class {expected}" if model.path else f"there is not {wanted}"
        line = (
            f", line {other[0].lineno}: its Endpoint is of another path than {model.path}" if other else f": {problem}"
        )
        raise ConfigurationError(f"the existing module{line}. It has not been changed: write the model to another file")
    return found, None


def _mark_personal(edits: Edits, module: Module, endpoint: ast.Call) -> None:
    given = [each for each in endpoint.keywords if each.arg == "personal"]
    if given or len(endpoint.args) > 2:
        return
    last = max([*endpoint.args, *(each.value for each in endpoint.keywords)], key=lambda each: module.span(each)[1])
    end = module.span(last)[1]
    edits.replace(end, end, ", personal=True")
