"""The names a user may import, `__all__` of each module, and the drawn tree of errors."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from support.sources import ALL_FILES, PACKAGE, tree_of

import arzamed_async
from arzamed_async import errors


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
        "MISSING", "PRODUCTION", "SANDBOX", "ArzamedError", "ArzamedSession", "BreakerPolicy", "CircuitChanged",
        "CircuitOpenError", "Clinic", "ClinicCredentials", "ClinicStats", "ConfigurationError",
        "CredentialsRejectedError", "DeadlineExceededError", "DecodeError", "Doctor", "Drift", "Endpoint", "Endpoints",
        "Event", "Failure", "FanOut", "Finished", "ForbiddenError", "Headers", "InferredModel", "Lease", "LimitExceededError", "Limits", "ListResponse",
        "Merge", "Missing", "ModelReport", "NaiveDatetime", "NotFoundError", "Observer", "OpenRecord", "Outcome", "PaceChanged", "PacingPolicy", "PacingStats", "Patient", "PoolLimits", "PoolStats",
        "RateLimitedError", "Record", "RecordStream", "RequestFinished", "Resource", "Response", "ResponseError",
        "RetryPolicy", "RetryScheduled", "SecretFromEnv", "SecretFromFile", "ServiceUnavailableError",
        "SessionClosedError", "SessionThread", "Slot", "Span", "Stats", "StatusError", "StoredRejection", "StoredToken", "StreamInterruptedError", "Success", "Timeouts",
        "Token", "TokenError", "TokenPolicy", "TokenRequestFinished", "TokenStore", "TokenStoreFailed", "TokenUnavailableError", "Tracer", "TransportError",
        "UnauthorizedError", "UnknownField", "UnpublishedEndpointWarning", "Work", "__version__", "check_model", "infer_model", "load_clinics", "to_dict",
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
