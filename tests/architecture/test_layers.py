"""Who may import whom: the table of packages, single importers, modules that never wait, what extras may use."""

from __future__ import annotations

import ast
import re

import pytest
from support.sources import CORE, EXTRAS, MODULES, PACKAGE, functions, libraries, own_imports, tree_of

import arzamed_async

#: What all may use: values and errors, without I/O.
VALUES = {
    "_arguments",
    "_counted",
    "_events",
    "_extras",
    "_frozen",
    "_json",
    "_lazy",
    "_listed",
    "_masked",
    "_memory",
    "_merged",
    "_responses",
    "_stats",
    "_stored",
    "_tracebacks",
    "_validation",
    "_version",
    "config",
    "credentials",
    "errors",
    "events",
    "models",
    "token_store",
}
LOW = {"_concurrency", "_http", "_logs", "_resilience", "_spans", "_telemetry"}
#: The whole table. A package imports from these packages and no other; a module on top counts as a package.
MAY_IMPORT = {
    "__main__": {"cli"},
    "_counted": set(),
    "_errors": {"_counted"},
    "errors": {"_errors"},
    "events": {"_events", "_lazy", "config"},
    "_events": {"_frozen", "config"},
    "_extras": {"_frozen", "_tracebacks"},
    "_frozen": {"_tracebacks"},
    "_json": set(),
    "_memory": set(),
    "_lazy": set(),
    "_masked": set(),
    "_version": set(),
    "_tracebacks": {"errors"},
    "_private_file": {"errors"},
    "_arguments": {"errors"},
    "_hosts": {"errors"},
    "_validation": {"_arguments", "_hosts", "_masked", "errors"},
    "_listed": {"_counted", "_frozen", "models"},
    "_merged": {"_frozen", "errors"},
    "_stats": {"_frozen", "config"},
    "_responses": {"_counted", "_frozen", "_json", "_masked", "_memory", "_tracebacks", "errors"},
    "models": {"_counted", "_frozen", "_json", "_lazy", "_merged", "_responses", "_stats"},
    "_stored": {"_frozen", "_masked"},
    "token_store": {"_lazy", "_stored"},
    "config": {"_arguments", "_frozen", "_validation", "errors"},
    "credentials": {"_arguments", "_frozen", "_masked", "_tracebacks", "_validation", "errors"},
    "clinics_file": {"_arguments", "_masked", "_tracebacks", "_validation", "credentials", "errors"},
    "_logs": {"_counted", "_events", "errors"},
    "_telemetry": {"_logs", "errors", "events"},
    "_spans": {"_telemetry", "events"},
    "_concurrency": {"errors"},
    "_resilience": {"_concurrency", "_counted", "config", "errors"},
    "_records": {"_json", "_memory", "errors", "models"},
    "_http": {
        "_arguments", "_concurrency", "_hosts", "_logs", "_masked", "_validation", "_version", "config", "errors", "models",
    },
    "_fan_out": {"_arguments", "_concurrency", "_merged", "_tracebacks", "_validation", "errors"},
    "_tokens": {*VALUES, *LOW},
    "_calls": {*VALUES, *LOW, "_tokens"},
    "_readers": {*VALUES, *LOW, "_calls", "_records"},
    "resources": {*VALUES, *LOW, "_calls", "_readers", "_records"},
    "_inference": {*VALUES, "_http", "_readers", "_records"},
    "clinic": {*VALUES, *LOW, "_calls", "_readers", "_records", "resources"},
    "session": {*VALUES, *LOW, "_calls", "_fan_out", "_readers", "_records", "_tokens", "clinic", "clinics_file", "resources"},
    "session_thread": {"_arguments", "_frozen", "_tracebacks", "_validation", "errors", "session"},
}  # fmt: skip
#: These decide from values: none of them waits.
NEVER_WAIT = re.compile(
    r"_records(\..*)?|_tokens\.oauth2|_http\.(urls|status|decompress|request_bytes|response_scan)"
    r"|_resilience\.(attribution|budget|circuit_breaker|clinic_scope|in_flight|origin_scope|pace)"
)


def package_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def test_the_table_names_every_package() -> None:
    """Each package and each module on top has a line in the table, and each line one of these."""
    assert {package_of(name) for name in CORE} == set(MAY_IMPORT)
    assert sorted(path.name for path in PACKAGE.iterdir() if path.name in EXTRAS) == EXTRAS
    assert {package_of(name) for name in MODULES} == {"", *MAY_IMPORT, *EXTRAS}


@pytest.mark.parametrize("name", CORE)
def test_imports_keep_to_the_table(name: str) -> None:
    """A module of the core imports from its own package and from those of its line in the table."""
    here = package_of(name)
    for each in own_imports(name):
        there = package_of(each.module)
        assert each.relative, f"{name} imports {each.module} by its full name"
        assert there == here or there in MAY_IMPORT[here], (
            f"{name} imports {each.module}, and {here} may not import {there}"
        )


def cycles(edges: dict[str, set[str]]) -> set[str]:
    """Return what is left when all that imports nothing (else) has been taken away, again and again."""
    left = dict(edges)
    while free := [name for name, imports in left.items() if not imports & left.keys()]:
        for name in free:
            del left[name]
    return set(left)


def test_no_cycle() -> None:
    """No module imports itself by way of others, the extras included."""
    edges = {name: {each.module for each in own_imports(name)} - {""} for name in MODULES if name}
    assert cycles(edges) == set()


def test_no_cycle_among_packages() -> None:
    """No package imports itself by way of others."""
    edges: dict[str, set[str]] = {}
    for name in CORE:
        imports = {package_of(each.module) for each in own_imports(name)}
        edges.setdefault(package_of(name), set()).update(imports - {package_of(name)})
    assert cycles(edges) == set()


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        (
            "aiohttp",
            {"_http.direct", "_http.failures", "_http.handler", "_http.pool", "_http.resolver", "_http.transport"},
        ),
        ("backoff", {"_resilience.retry"}),
        ("cattrs", {"_records.decoder"}),
    ],
)
def test_few_importers(library: str, importers: set[str]) -> None:
    """Backoff and cattrs are imported by one module of the core each, aiohttp by those that own connections."""
    assert {name for name in CORE if library in libraries(name)} == importers


@pytest.mark.parametrize("name", [name for name in CORE if NEVER_WAIT.fullmatch(name)])
def test_rules_never_wait(name: str) -> None:
    """Records, URLs, statuses and budgets are decided from values: no function there is async."""
    assert not [node.name for node in functions(CORE[name]) if isinstance(node, ast.AsyncFunctionDef)]


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_import_public_names_only(extra: str) -> None:
    """An extra imports what a user may import, the text for a missing package, numbers with their nouns, the sentences of
    events, and its own modules.

    The command line also widens the module of a model, and it and the fake write files of secrets: neither has a public name.
    """
    for name in (each for each in MODULES if package_of(each) == extra):
        for node in ast.walk(tree_of(MODULES[name])):
            if isinstance(node, ast.ImportFrom) and node.module == "arzamed_async":
                assert {alias.name for alias in node.names} <= set(arzamed_async.__all__), name
        for each in own_imports(name):
            allowed = {
                "",
                "_counted",
                "_extras",
                "_logs",
                *EXTRAS,
                *({"_inference", "_private_file", "_records"} if extra in ("cli", "testing") else ()),
            }
            assert package_of(each.module) in ({extra} if each.relative else allowed), each


@pytest.mark.parametrize("name", sorted({package_of(name) for name in CORE if "." in name}))
def test_a_package_lists_its_modules(name: str) -> None:
    """The docstring of a package is a sentence on its purpose, and names each of its modules once, in reading order."""
    tree = tree_of(CORE[name])
    docstring = ast.get_docstring(tree) or ""
    assert len(tree.body) == 1, "a docstring and nothing else"
    assert docstring.splitlines()[0].endswith(".")
    listed = re.findall(r"^    (\w+) ", docstring, re.MULTILINE)
    assert sorted(listed) == sorted(each.partition(".")[2] for each in CORE if each.startswith(f"{name}."))
