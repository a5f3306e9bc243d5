"""The layout of the package: floors, single importers, public names, the drawn tree, sizes."""

from __future__ import annotations

import ast
import gc
import inspect
import re
from pathlib import Path

import pytest

import arzamed_async
from arzamed_async import errors

PACKAGE = Path(arzamed_async.__file__).parent
FLOORS = {
    1: ["_checks", "_extras", "_masked", "_version", "config", "credentials", "errors", "events", "models", "protocols", "stored"],
    2: [
        "_breaker", "_codec", "_decompress", "_faults", "_json_array", "_json_cuts", "_protocol", "_quota", "_record_writer",
        "_scalars", "_structures",
    ],
    3: ["_answers", "_bulkhead", "_coalescing", "_retry", "_scope", "_sockets", "_tokens", "_transport"],
    4: [
        "_attempts", "_calls", "_clinics", "_engine", "_lists", "_notices", "_reader", "_resume", "_shared_tokens", "_store_door", "_streams",
        "_token_request", "_tracing", "resources",
    ],
    5: ["_crew", "clinic", "clinics_file", "fan_out", "merge", "session"],
}  # fmt: skip
EXTRAS = ["cli", "dask", "logs", "otel", "stores", "testing"]
#: Imports on one floor: what a floor's faces, engine and rules are made of. Everything else goes down.
SAME_FLOOR = {
    "_checks": {"errors"},
    "config": {"_checks", "errors"},
    "credentials": {"_checks", "_masked", "errors"},
    "stored": {"_masked"},
    "models": {"_masked", "errors", "events"},
    "protocols": {"events", "stored"},
    "_codec": {"_record_writer", "_scalars", "_structures"},
    "_record_writer": {"_scalars", "_structures"},
    "_structures": {"_scalars"},
    "_json_array": {"_json_cuts"},
    "_answers": {"_bulkhead", "_scope"},
    "_transport": {"_answers", "_bulkhead", "_scope", "_sockets"},
    "_token_request": {"_attempts", "_clinics", "_notices", "_tracing"},
    "_tracing": {"_notices"},
    "_shared_tokens": {"_notices", "_store_door", "_token_request"},
    "_store_door": {"_notices"},
    "_engine": {"_clinics", "_notices", "_shared_tokens", "_token_request", "_tracing"},
    "_calls": {"_attempts", "_clinics", "_engine", "_tracing"},
    "_reader": {"_calls", "_engine"},
    "_resume": {"_calls", "_engine"},
    "_streams": {"_calls", "_engine", "_reader", "_resume", "_tracing"},
    "_lists": {"_calls", "_engine", "_reader", "_streams"},
    "resources": {"_calls", "_clinics", "_engine", "_notices", "_lists", "_streams"},
    "session": {"_crew", "clinic", "fan_out", "merge"},
    "fan_out": {"_crew", "clinic"},
    "merge": {"_crew", "clinic"},
    "_crew": {"clinic"},
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules}
MODULES = sorted(PACKAGE.glob("*.py"))
ALL_FILES = sorted(PACKAGE.rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    # CPython 3.11 may raise SystemError ("recursion depth mismatch") where the collector runs code within ast.parse.
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()


def imports(path: Path) -> set[tuple[int, str]]:
    """Return (level, module) of every import in a file, those for type checking only included."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            found.add((node.level, node.module or ""))
        elif isinstance(node, ast.Import):
            found.update((0, alias.name) for alias in node.names)
    return found


def test_every_module_has_a_floor() -> None:
    """Each module of the package stands on a floor, and each that is named exists."""
    assert {path.stem for path in MODULES} - {"__init__"} == set(FLOOR_OF)
    assert sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()) == EXTRAS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_go_down(path: Path) -> None:
    """A module imports from lower floors, and on its own only what is drawn."""
    name = path.stem
    if name == "__init__":
        return
    for level, module in imports(path):
        if level == 0:
            assert not module.startswith("arzamed_async")
            continue
        lower = FLOOR_OF[module] < FLOOR_OF[name]
        assert lower or module in SAME_FLOOR.get(name, set()), f"{name} imports {module}"


@pytest.mark.parametrize(
    ("library", "importer"), [("aiohttp", "_transport"), ("backoff", "_retry"), ("cattrs", "_codec")]
)
def test_one_importer(library: str, importer: str) -> None:
    """Each of these libraries is imported by one module of the core."""
    importers = {path.stem for path in MODULES if any(module.split(".")[0] == library for _, module in imports(path))}
    assert importers == {importer}


def test_no_async_on_the_rules_floor() -> None:
    """Rules decide from values: none of them awaits."""
    for name in FLOORS[2]:
        assert not any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree_of(PACKAGE / f"{name}.py")))


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_import_public_names_only(extra: str) -> None:
    """An extra imports from the package what a user may import, and the text for a missing package; nothing else."""
    for path in (PACKAGE / extra).rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "arzamed_async":
                module = node.module or ""
                if module == "arzamed_async":
                    assert {alias.name for alias in node.names} <= set(arzamed_async.__all__)
                else:
                    assert module.split(".")[1] in (*EXTRAS, "_extras")
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1


def test_no_cycle() -> None:
    """No module imports itself by way of others."""
    edges = {
        path.stem: {module for level, module in imports(path) if level == 1} for path in MODULES if path.stem[1] != "_"
    }
    done: set[str] = set()
    while left := {name for name in edges if name not in done}:
        free = {name for name in left if edges[name] <= done}
        assert free, f"a cycle among {sorted(left)}"
        done |= free


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_all_is_sorted_and_true(path: Path) -> None:
    """`__all__` is sorted, and every name in it is there."""
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            names = ast.literal_eval(node.value)
            constants = sorted(name for name in names if name.isupper())
            others = sorted(name for name in names if not name.isupper())
            assert names == [*constants, *others] or names == sorted(names)


def test_public_names_are_pinned() -> None:
    """What a user may import is this, and every name of it is there."""
    assert arzamed_async.__all__ == [
        "PRODUCTION", "SANDBOX", "ArzamedError", "ArzamedSession", "BreakerPolicy", "CircuitChanged",
        "CircuitOpenError", "Clinic", "ClinicCredentials", "ClinicStats", "ConfigurationError",
        "CredentialsRejectedError", "DeadlineExceededError", "DecodeError", "Doctor", "Endpoint", "Endpoints",
        "Event", "Failure", "FanOut", "Finished", "ForbiddenError", "Headers", "Lease", "LimitExceededError", "Limits",
        "Merge", "NotFoundError", "Observer", "OpenRecord", "Outcome", "Patient", "PoolLimits", "PoolStats",
        "RateLimitedError", "Record", "RecordStream", "RequestFinished", "Resource", "Response", "ResponseError",
        "RetryPolicy", "RetryScheduled", "SecretFromEnv", "SecretFromFile", "ServiceUnavailableError",
        "SessionClosedError", "Slot", "Span", "Stats", "StatusError", "StoredRejection", "StoredToken", "StreamInterruptedError", "Success", "Timeouts",
        "Token", "TokenError", "TokenPolicy", "TokenRequestFinished", "TokenStore", "TokenStoreFailed", "TokenUnavailableError", "Tracer", "TransportError",
        "UnauthorizedError", "UnknownField", "UnpublishedEndpointWarning", "Work", "__version__", "load_clinics",
    ]  # fmt: skip
    assert all(hasattr(arzamed_async, name) for name in arzamed_async.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+", arzamed_async.__version__)


def test_the_drawn_error_tree_is_the_real_one() -> None:
    """The tree in the docstring of errors.py is the tree of the classes, and every class is in it."""
    drawn = {}
    stack: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^((?:[│ ]   )*)(?:[├└]── )?(\w+Error)$", line)
        if match is None:
            continue
        depth = len(match[1]) // 4 + ("──" in line)
        del stack[depth:]
        drawn[match[2]] = stack[-1] if stack else None
        stack.append(match[2])
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and name.endswith("Error")}
    real = {
        name: next((base.__name__ for base in kind.__bases__ if base.__name__ in classes), None)
        for name, kind in classes.items()
    }
    assert drawn == real
    assert errors.__all__ == sorted(classes)
    assert set(classes) <= set(arzamed_async.__all__)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sizes(path: Path) -> None:
    """A module can be read in ten minutes: under 300 lines, no function over 50."""
    text = path.read_text(encoding="utf-8")
    longest = 350 if path.stem == "errors" else 300  # the one tree stands in one file
    assert text.count("\n") < longest
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name
