"""The package's source files, as syntax trees, and who imports whom."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

from attrs import frozen

import arzamed_async

PACKAGE = Path(arzamed_async.__file__).parent
EXTRAS = ["cli", "dask", "logs", "otel", "stores", "testing"]
ALL_FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse a file."""
    # CPython 3.11 may raise SystemError ("recursion depth mismatch") where the collector runs code within ast.parse.
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()


def module_of(path: Path) -> str:
    """Return a file's module, relative to the package: `_http.transport`; a package is named by itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in ALL_FILES}
#: The core: all but the extras, and but the package's own `__init__`, which hands on the public names.
CORE = {name: path for name, path in MODULES.items() if name and name.split(".")[0] not in EXTRAS}


@frozen
class Import:
    """One import of one of the package's own modules."""

    by: str
    module: str
    relative: bool


def own_imports(name: str) -> list[Import]:
    """Return what a module imports of this package; imports for type checking only count as well."""
    path = MODULES[name]
    here = path.relative_to(PACKAGE).parts[:-1]
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE.name]
            found += [Import(name, module.partition(".")[2], relative=False) for module in modules]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = here[: len(here) - node.level + 1]
                start = ".".join([*base, *module.split(".")]).strip(".")
            elif module.split(".")[0] == PACKAGE.name:
                start = module.partition(".")[2]
            else:
                continue
            # `from . import x` imports a module, `from .x import y` a name of one, unless y is a module itself.
            for alias in node.names:
                below = f"{start}.{alias.name}".strip(".")
                found.append(Import(name, below if below in MODULES else start, relative=node.level > 0))
    return found


def libraries(name: str) -> set[str]:
    """Return the top-level modules from elsewhere that a module imports."""
    found = set()
    for node in ast.walk(tree_of(MODULES[name])):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
    return found


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function and method of a file."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
