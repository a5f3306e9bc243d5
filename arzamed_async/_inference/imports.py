"""Which names a module imports, and what these are called in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

__all__ = ["HOMES", "SHORT", "Imports", "by_kind", "from_import", "section_of", "sorted_block"]

#: Where the names come from that a generated module uses.
HOMES = {
    **dict.fromkeys(("MISSING", "Endpoint", "Missing", "NaiveDatetime"), "arzamed_async"),
    **dict.fromkeys(("field", "frozen"), "attrs"),
    **dict.fromkeys(("date", "datetime", "time"), "datetime"),
    **dict.fromkeys(("Any", "Literal"), "typing"),
    "Decimal": "decimal",
    "UUID": "uuid",
}
#: What `import datetime as ...` calls the module, where a field has the name of a type in it.
SHORT = "dt"


class Imports:
    """The imports of a module: `known` is what names of other modules are called in it, by "module.name".

    `used` are the names that are needed and not imported yet, by module. With `qualified` the types of `datetime`
    are read through the module, since fields are named after them.
    """

    def __init__(self, known: Mapping[str, str] | None = None, *, qualified: bool = False) -> None:
        self._known = dict(known or {})
        self._qualified = qualified
        self.used: dict[str, set[str]] = {}
        self.uses_short = False

    def local(self, name: str) -> str:
        """Return what a name is called in the module, and import it if it is not."""
        home = HOMES.get(name)
        if home is None:
            return name
        if (known := self._known.get(f"{home}.{name}")) is not None:
            return known
        if (module := self._known.get(home)) is not None:
            return f"{module}.{name}"
        if home == "datetime" and self._qualified:
            self.uses_short = True
            return f"{SHORT}.{name}"
        self.used.setdefault(home, set()).add(name)
        return name


def by_kind(name: str) -> tuple[int, str]:
    """Return the place of a name in an import: constants, then classes, then functions, as isort sorts them."""
    rank = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return rank, name


def from_import(module: str, names: set[str]) -> str:
    """Return `from module import names`, sorted."""
    return f"from {module} import {', '.join(sorted(names, key=by_kind))}"


def section_of(module: str) -> int:
    """Return the section that a module is imported in: 0 for __future__, 1 for the standard library, 2 for others."""
    top = module.partition(".")[0]
    return 0 if top == "__future__" else 1 if top in sys.stdlib_module_names else 2


def sorted_block(imports: Imports) -> str:
    """Return the imports of a new module."""
    sections: dict[int, list[str]] = {}
    if imports.uses_short:
        sections[1] = [f"import datetime as {SHORT}"]
    for module in sorted(imports.used):
        sections.setdefault(section_of(module), []).append(from_import(module, imports.used[module]))
    return "\n\n".join("\n".join(sections[each]) for each in sorted(sections))
