"""Names that a module imports when they are first read (PEP 562): what few programs need does not slow down the import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy"]


def lazy(module: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a module: `names` maps each name to the module that has it."""
    namespace = vars(sys.modules[module])

    def __getattr__(name: str) -> Any:  # noqa: N807 - a module's own
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules[module])
        value = namespace[name] = getattr(import_module(names[name], __package__), name)
        return value

    def __dir__() -> list[str]:  # noqa: N807 - a module's own
        return sorted({*namespace, *names})

    return __getattr__, __dir__
