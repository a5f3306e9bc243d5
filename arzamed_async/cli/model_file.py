"""The file that `arzamed model --check` compares with: imported, and the class in it that is meant."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Generator, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from attrs import frozen

from arzamed_async import ConfigurationError, Endpoint

from .messages import cut, printable

__all__ = ["Checked", "checked"]

_MODULE = "arzamed_checked"
_MOST_TEXT, _MOST_NAMES = 200, 10


@frozen
class Checked:
    """The class to compare with, and the path and mark of its Endpoint (where there is one)."""

    model: type[Any]
    path: str | None
    personal: bool


def checked(file: Path, path: str | None) -> Checked:
    """Import a file, and return the class of its Endpoint: of several that with this path. Raises ConfigurationError."""
    module = _imported(file)
    endpoints: list[Endpoint[Any]] = [each for each in vars(module).values() if isinstance(each, Endpoint)]
    by_path = {each.path: each for each in endpoints}
    found = by_path.get(path) if path is not None else None
    if found is None and len(by_path) == 1:
        found = next(iter(by_path.values()))
    if found is not None:
        return Checked(found.model, found.path, found.personal)
    if by_path:
        problem = f"has several endpoints: choose one with --path ({_listed(by_path)})"
    else:
        own = [each for each in vars(module).values() if _is_own(each, module)]
        inner = {id(each) for model in own for each in _held(model)}
        outer = [each for each in own if id(each) not in inner]
        if len(outer) == 1:
            return Checked(outer[0], None, personal=False)
        problem = (
            f"has no Endpoint, and {len(outer)} classes to choose from: add SLOTS = Endpoint(path, Slot) for yours"
        )
    raise ConfigurationError(f"--check: {file} {problem}")


def _imported(file: Path) -> ModuleType:
    """Run a file as a module, as `python FILE` does: its own folder is searched first, and what it prints goes to stderr."""
    if not os.path.isfile(file):  # noqa: PTH113 - Path's raises for a long name
        raise ConfigurationError(f"--check: {file}: no such file")
    problem = ""
    try:
        loader = SourceFileLoader(_MODULE, str(file))
        spec = importlib.util.spec_from_loader(_MODULE, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        with _as_a_program(file.resolve().parent), contextlib.redirect_stdout(sys.stderr):
            sys.modules[_MODULE] = module  # in which names in quotes are looked up
            loader.exec_module(module)
    except SyntaxError as error:
        problem = f"--check: {file} is not Python: {error.msg} (line {error.lineno})"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the file's own code can raise anything
        problem = f"--check: {file} cannot be imported: {_described(error)}{_line(error, file)}"
    else:
        return module
    raise ConfigurationError(problem)


@contextlib.contextmanager
def _as_a_program(folder: Path) -> Generator[None]:
    """Search a folder first, and write no bytecode beside its files."""
    before, path = sys.dont_write_bytecode, str(folder)
    sys.dont_write_bytecode = True
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
        with contextlib.suppress(ValueError):
            sys.path.remove(path)


def _described(error: BaseException) -> str:
    return cut(printable(f"{type(error).__name__}: {error}".removesuffix(": ")), _MOST_TEXT)


def _line(error: BaseException, file: Path) -> str:
    """Return the last line of the file that was running."""
    lines: list[int] = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""


def _is_own(value: Any, module: ModuleType) -> bool:
    return isinstance(value, type) and attrs.has(value) and value.__module__ == module.__name__


def _held(model: type[Any]) -> Iterator[Any]:
    """Yield the classes in the fields of a class."""
    from arzamed_async._records.fields import json_fields, places

    for _, _, kind in json_fields(model):
        for _, each in places(kind):
            if each is not model:
                yield each


def _listed(names: Any) -> str:
    shown = [*names][:_MOST_NAMES]
    return ", ".join(shown) + ", …" * (len(names) > len(shown))
