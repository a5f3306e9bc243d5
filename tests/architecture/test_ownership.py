"""An object's state is its own: no attribute is set from outside the module of its class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.sources import CORE, tree_of

#: Variables that hold an error: the layers that know its facts fill them in while it passes.
ERRORS = {"error", "failure", "outcome"}


def own_attributes(path: Path) -> set[str]:
    """Return the attributes that the classes of a module declare, or set on themselves."""
    own: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            own.add(node.attr)
        elif isinstance(node, ast.ClassDef):
            own |= {
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            }
    return own


def set_from_outside(path: Path) -> Iterator[str]:
    """Yield each attribute that is set or deleted on something other than `self`, and is of no class of this module."""
    own = own_attributes(path)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)) and node.attr not in own:
            holder = ast.unparse(node.value)
            if holder not in ERRORS:
                yield f"{holder}.{node.attr}"


def test_nothing_is_set_on_an_object_from_outside() -> None:
    """No module of the core sets an attribute of a class that another module defines, but for an error's facts."""
    found = {name: set(set_from_outside(path)) for name, path in CORE.items()}
    assert {name: attributes for name, attributes in found.items() if attributes} == {}
