"""An extension of griffe: the reference shows a table for what a class or a function takes, has and raises.

The texts are those of the sources: `Args:`, `Attributes:` and `Raises:` of docstrings, the string after a field of an attrs class,
and sentences that begin with "Raises". Types, defaults and units are read from the code. The example of a name is the block after
its `:::` line in docs/api, where the tests run it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

__all__ = [
    "EXAMPLE",
    "EXTRAS",
    "AttrsFields",
    "described",
    "fields_of",
    "parameters_of",
    "public_objects",
    "raised_by",
    "unit_of",
]

#: Modules that a user imports by their own names.
EXTRAS = ("dask", "logs", "otel", "stores", "testing")
#: A `:::` line with its options, and the example after it.
EXAMPLE = re.compile(
    r"^(?P<head>::: (?P<path>[\w.]+)\n(?:    .*\n)*)\n*"
    r"(?P<code>(?:<!--[^\n]*-->\n)?^```python\n(?:(?!```).*\n)*?```\n(?:\n```text\n(?:(?!```).*\n)*?```\n)?)",
    re.MULTILINE,
)
_SECTION = re.compile(r"^(Args|Attributes|Raises):\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)
_ITEM = re.compile(r"^ {4}(\*{0,2}[\w., ]+): (.*(?:\n {8,}.*)*)", re.MULTILINE)
_RAISES = re.compile(r"(?<![\w`])(Each step raises|Raises) ((?:[^.]|\.(?=\w))*)\.")
_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Warning|Timeout|Full)|`[\w.]*[A-Z]\w+`)")
_BARE = re.compile(r"(Each step raises|Raises) (?:what `\w+` raises|[A-Z]\w+|,| |and|or)+\.\s*")
_ELSEWHERE = re.compile(r"arguments are those of `(\w+)`")
_WORD = re.compile(r"(?<![&#.])[A-Za-z]+(?![\w;.])")
#: Units by the name of a number.
_UNITS = {
    r"(^|_)seconds(_left)?$|^clock$|^wall_clock$|^start$": "seconds",
    r"(^|_)bytes(_read)?$|^bytes_read$": "bytes",
    r"requests_per_second|^clinics$|^token_endpoints$": "requests a second",
    r"attempts?$": "attempts",
    r"^connections|^in_use$|^open$": "connections",
    r"^concurrency$|^shard_size$": "clinics",
    r"^buffer$|records$|^count$|^delivered$|^size$": "records",
    r"budget": "retries",
    r"status(es)?$": "HTTP status",
    r"^failure_threshold$|requests$|^in_flight$|^queued$|^waiting$|^max_in_flight$|^times$|^expected$|^burst$|open_requests|^failures$|^retries$": "requests",
    r"^(record_)?index$": "place, from 0",
    r"^fence$": "number of the lease",
    r"^port$": "TCP port",
    r"^share$": "of 1",
    r"^seed$": "any whole number",
    r"^retry_after$": "seconds, or an HTTP date",
}
#: Whose texts the methods of other classes share: each protocol, and the classes that follow it.
_PROTOCOLS = {
    "TokenStore": ("FileTokenStore", "RedisTokenStore", "MemoryTokenStore"),
    "Tracer": ("OTelObserver",),
    "Observer": ("LoggingObserver", "OTelObserver", "Tracer"),
    "ArzamedSession": ("SessionOptions", "fan_out_dask"),
}


def public_objects(package: griffe.Module) -> Iterator[tuple[str, Any]]:
    """Yield each public name with its path, and the class, function or value that it is."""
    for module in (package, *(package.modules[name] for name in EXTRAS)):
        for name in module.exports or ():
            member = module.members[str(name)]
            yield f"{module.path}.{name}", member.final_target if member.is_alias else member


def _sections(docstring: griffe.Docstring | None) -> dict[str, dict[str, str]]:
    """Return the items of a docstring's sections."""
    found: dict[str, dict[str, str]] = {"Args": {}, "Attributes": {}, "Raises": {}}
    for section in _SECTION.finditer((docstring.value if docstring else "") + "\n"):
        for names, text in _ITEM.findall(section[2]):
            for name in names.split(", "):
                found[section[1]][name] = re.sub(r"\s+", " ", text).strip()
    return found


def _text(obj: Any) -> str:
    return re.sub(r"\s+", " ", obj.docstring.value if obj.docstring else "").strip()


def _first_sentence(obj: Any) -> str:
    first = (obj.docstring.value if obj.docstring else "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\.) (?=[A-Z`])", first)[0]


def is_number(annotation: str) -> bool:
    """Return whether a type is a number, or None or text instead, or has numbers as its values."""
    flat = annotation
    while flat != (flat := re.sub(r"\[[^\[\]]*\]", lambda found: "<" + found[0][1:-1].replace("|", "/") + ">", flat)):
        pass
    kinds = [each for each in flat.split(" | ") if each not in {"None", "str"}]
    return bool(kinds) and all(
        re.fullmatch(r"int|float|(frozenset|Mapping)<(str, )?(int|float)>|Callable<<>, float>", each) for each in kinds
    )


def unit_of(name: str, annotation: str) -> str:
    """Return the unit of a number, by its name: CONTRIBUTING requires that names carry units."""
    if not is_number(annotation):
        return ""
    return next((unit for pattern, unit in _UNITS.items() if re.search(pattern, name.lstrip("*"))), "")


def _written(annotation: Any, package: griffe.Module) -> str:
    """Return an annotation as text, with aliases that are not public spelled out."""
    if annotation is None:
        return ""
    if isinstance(annotation, str):
        return annotation
    text = str(annotation)
    for each in annotation.iterate(flat=True) if isinstance(annotation, griffe.Expr) else ():
        if isinstance(each, griffe.ExprName) and each.name not in (package.exports or ()):
            target = _find(package, each)
            value = target.value if target is not None and target.is_attribute else None
            if value is not None and "TypeVar" not in str(value):
                spelled = _written(value, package).replace("\\", r"\\")
                text = re.sub(rf"(?<![\w.]){each.name}(?!\w)(\[T\])?", spelled, text)
    return re.sub(r"\s+", " ", text.replace("builtins.", ""))


def _find(package: griffe.Module, name: griffe.ExprName) -> Any:
    try:
        path = name.canonical_path
        found = package[path.removeprefix(f"{package.path}.")] if path.startswith(f"{package.path}.") else None
        return found.final_target if found is not None and found.is_alias else found
    except (KeyError, griffe.AliasResolutionError, griffe.NameResolutionError):
        return None


def _default(value: Any) -> str | None:
    """Return a field's default, None if it is required. An attrs field shows its default, and not the call that declares it."""
    if isinstance(value, griffe.ExprCall) and str(value.function) in {"field", "attrs.field"}:
        given = {each.name: each.value for each in value.arguments if isinstance(each, griffe.ExprKeyword)}
        if "factory" in given:
            return "{}" if str(given["factory"]).startswith("dict") else f"{given['factory']}()"
        return _shown(given.get("default"))
    return _shown(value)


def _shown(value: Any) -> str | None:
    """Return a default as text: a private name stands for "nothing"."""
    return None if value is None else "not given" if re.fullmatch(r"_[A-Z]+", str(value)) else str(value)


def is_attrs(cls: griffe.Class) -> bool:
    """Return whether attrs makes the class's constructor of its fields."""
    return any("frozen" in str(each.value) for each in cls.decorators) or any(map(is_attrs, _bases(cls)))


def _bases(cls: griffe.Class) -> list[griffe.Class]:
    """Return the base classes that are the package's own."""
    found = []
    for base in cls.bases:
        name = base.left if isinstance(base, griffe.ExprSubscript) else base
        target = _find(cls.package, name) if isinstance(name, griffe.ExprName) else None
        if target is not None and target.is_class:
            found.append(target)
    return found


Row = tuple[str, str, "str | None", str]


def fields_of(cls: griffe.Class) -> list[Row]:
    """Return name, type, default and meaning of each public attribute: the class's own, or of an attrs class all."""
    said, rows = _sections(cls.docstring), {}
    for base in _bases(cls) if is_attrs(cls) or not _is_public(cls.package, cls) else ():
        rows.update({row[0]: row for row in fields_of(base)})
    inherited = {name for base in _all_bases(cls) for name in base.members}
    own = (
        each
        for each in cls.members.values()
        if each.is_attribute and not each.name.startswith("_") and (each.docstring or each.name not in inherited)
    )
    initial = cls.members.get("__init__")
    known = {each.name: each for each in initial.parameters} if initial is not None else {}
    for each in own:
        annotation = each.annotation or (known[each.name].annotation if each.name in known else None)
        meaning = said["Attributes"].get(each.name) or _text(each) or _inherited(cls, each.name)
        written = re.sub(r"^ClassVar\[(.*)\]$", r"\1", _written(annotation, cls.package))
        rows[each.name] = (each.name, written or _kind(each.value), _default(each.value), meaning)
    return list(rows.values())


def _kind(value: Any) -> str:
    text = str(value)
    return "str" if text[:1] in "\"'(" else "bool" if text in {"True", "False"} else "int" if text.isdigit() else ""


def _is_public(package: griffe.Module, obj: Any) -> bool:
    return obj.name in (package.exports or ()) or any(
        obj.name in (package.modules[each].exports or ()) for each in EXTRAS
    )


def _protocols(package: griffe.Module, name: str) -> list[Any]:
    return [package.members[each].final_target for each, users in _PROTOCOLS.items() if name in users]


def _inherited(owner: Any, name: str, method: str = "") -> str:
    """Return the text that a protocol has for a parameter, or for an attribute that is one."""
    for protocol in _protocols(owner.package, owner.name):
        inner = protocol.members.get(method)
        text = (_sections(inner.docstring)["Args"].get(name) if inner else None) or _sections(protocol.docstring)[
            "Args"
        ].get(name)
        if text:
            return text
    return ""


def parameters_of(obj: Any) -> list[Row]:
    """Return name, type, default and meaning of each parameter of a function, or of a class's constructor."""
    function = obj.members["__init__"] if obj.is_class else obj
    cls = obj if obj.is_class else obj.parent if obj.parent.is_class else None
    said = dict(_sections(obj.docstring)["Args"])
    if other := _ELSEWHERE.search(obj.docstring.value if obj.docstring else ""):
        said = {**_sections(obj.parent.members[other[1]].docstring)["Args"], **said}
    shared: dict[str, str] = {}
    for each in (*reversed(_all_bases(cls)), cls) if cls is not None else ():
        shared.update(_sections(each.docstring)["Args"])
    rows = []
    for each in function.parameters:
        if each.name in {"self", "cls"}:
            continue
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(each.kind.value if each.kind else "", "")
        name = stars + each.name.lstrip("*")
        meaning = said.get(name) or shared.get(name) or _inherited(cls or obj, name, obj.name)
        default = "" if stars else _shown(each.default)
        rows.append((name, _written(each.annotation, obj.package), default, meaning))
    return rows


def raised_by(obj: Any) -> dict[str, str]:
    """Return what a function raises by its docstring, each with its meaning."""
    found = dict(_sections(obj.docstring)["Raises"])
    for sentence in _RAISES.findall(_text(obj)):
        if (same := re.search(r"what `(?:\w+\.)?(\w+)` raises", sentence[1])) is not None:
            owner = obj.parent if same[1] in obj.parent.members else obj.package["resources.Resource"]
            found = {**raised_by(owner.members[same[1]]), **found}
        for name in _ERROR.findall(sentence[1]):
            found.setdefault(name.strip("`"), _summary(obj.package, name.strip("`")))
    return found


def _summary(package: griffe.Module, name: str) -> str:
    member = package.members.get(name)
    if member is None:
        return {
            "OSError": "The file system or the network has failed.",
            "AssertionError": "The assertion does not hold.",
        }.get(name, "")
    return _first_sentence(member.final_target if member.is_alias else member)


def described(obj: Any, example: str = "") -> str:
    """Return a docstring with its example and its tables."""
    text = _SECTION.sub("", (obj.docstring.value if obj.docstring else "") + "\n")
    parts = [_BARE.sub("", text).strip()]
    if example:
        parts.append(example)
    package = obj.package
    if obj.is_class and is_attrs(obj):
        parts.append(_table(package, "Parameters and attributes", fields_of(obj), defaults=True))
    elif obj.is_class:
        if _sections(obj.docstring)["Args"] and "__init__" in obj.members and _is_made(obj):
            parts.append(_table(package, "Parameters", parameters_of(obj), defaults=True))
        parts.append(_table(package, "Attributes", fields_of(obj), defaults=False))
        if inherited := [each for each in _all_bases(obj) if fields_of(each)]:
            links = " and ".join(
                f"[`{each.name}`][arzamed_async.{each.name}]" for each in inherited if _is_public(package, each)
            )
            parts.append(f"It also has the attributes of {links}." if links else "")
    elif obj.is_function:
        parts.append(_table(package, "Parameters", parameters_of(obj), defaults=True))
    if not obj.is_attribute and (raised := raised_by(obj)):
        rows = "\n".join(f"| {_linked(package, name)} | {_cell(meaning)} |" for name, meaning in raised.items())
        parts.append(f"| raises | when |\n|---|---|\n{rows}")
    return "\n\n".join(part for part in parts if part)


def _is_made(cls: griffe.Class) -> bool:
    return any(each.name in _sections(cls.docstring)["Args"] for each in cls.members["__init__"].parameters)


def _all_bases(cls: griffe.Class) -> list[griffe.Class]:
    return [each for base in _bases(cls) for each in (base, *_all_bases(base))]


def _table(package: griffe.Module, title: str, rows: list[Row], *, defaults: bool) -> str:
    if not rows:
        return ""
    units = [unit_of(name, kind) for name, kind, _, _ in rows]
    heads = [title.lower(), "type", *(["default"] if defaults else []), *(["unit"] if any(units) else []), "meaning"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (name, kind, default, meaning), unit in zip(rows, units, strict=True):
        shown = "required" if default is None else f"<code>{_cell(default)}</code>" if default else ""
        cells = [f"<code>{name.replace('*', '&#42;')}</code>", _linked(package, kind)]
        cells += [shown] if defaults else []
        cells += [unit] if any(units) else []
        lines.append(f"| {' | '.join([*cells, _cell(meaning)])} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "&#124;") if "`" not in text else re.sub(r"\|", r"\\|", text)


def _linked(package: griffe.Module, kind: str) -> str:
    """Return a type as code, whose public names lead to their own place."""
    escaped = (
        kind.replace("|", "&#124;")
        .replace("[", "&#91;")
        .replace("]", "&#93;")
        .replace("_", "&#95;")
        .replace("*", "&#42;")
    )

    def link(found: re.Match[str]) -> str:
        if found[0] in (package.exports or ()):
            return f"[{found[0]}][{package.path}.{found[0]}]"
        return found[0]

    return f"<code>{_WORD.sub(link, escaped)}</code>" if kind else ""


class AttrsFields(griffe.Extension):
    """Writes the tables and examples into the docstrings, and drops the attributes, which the tables show."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: object) -> None:
        """Be called by griffe with the package that it has loaded."""
        pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(Path("docs/api").glob("*.md")))
        examples = {found["path"]: found["code"] for found in EXAMPLE.finditer(pages)}
        objects = {path: obj for path, obj in public_objects(pkg) if obj.is_class or obj.is_function}
        methods = {id(each): each for obj in objects.values() if obj.is_class for each in _methods(obj)}
        texts = [(obj, described(obj, examples.get(path, ""))) for path, obj in objects.items()]
        texts += [(each, described(each)) for each in methods.values()]
        for obj, text in texts:
            obj.docstring = griffe.Docstring(text, parent=obj)
        for cls in (each for each in objects.values() if each.is_class):
            for each in (cls, *_all_bases(cls)):
                for name in [name for name, member in each.members.items() if member.is_attribute]:
                    del each.members[name]


def _methods(cls: griffe.Class) -> Iterator[Any]:
    for each in (cls, *_all_bases(cls)):
        yield from (found for found in each.members.values() if found.is_function and not found.name.startswith("_"))
