"""`ruff format` and `ruff check` change nothing in generated modules. Run by nox's session `lint`, which has ruff."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # its helpers

from generated_modules import inferred
from hypothesis import HealthCheck, given, settings
from test_any_json import RECORDS

from arzamed_async._inference.layout import Bracketed, Expression, Joined, Named, assignment, call, quoted, subscript
from arzamed_async._inference.source import write


def ruff(folder: Path, *sources: str) -> str:
    """Return what ruff would change in modules, and what it complains about, with its default settings."""
    for number, source in enumerate(sources):
        (folder / f"m{number}.py").write_text(source, encoding="utf-8")
    rules = ("--select", "E4,E7,E9,F,I,N8,RUF036", "--output-format", "concise")
    runs = [
        subprocess.run(
            ["ruff", *command, "--isolated", "--no-cache", "."], cwd=folder, capture_output=True, text=True, check=False
        )
        for command in (("format", "--diff"), ("check", *rules))
    ]
    return "".join(each.stdout for each in runs if each.returncode)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(RECORDS, RECORDS)
def test_modules_of_any_json(tmp_path: Path, before: list[Any], after: list[Any]) -> None:
    """A module, and one that was widened, are laid out and sorted as ruff has it."""
    first = inferred(before).source
    assert ruff(tmp_path, first, write(inferred(after).schema, existing=first)) == ""


class Layouts:
    """Random statements, as generated modules have them, of any length."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def name(self, longest: int) -> str:
        return "x" + "".join(self.random.choice("abcdefgh") for _ in range(self.random.randint(1, longest)))

    def kind(self, depth: int = 0) -> Expression:
        chance = self.random.random()
        if chance < 0.5 or depth > 3:
            return self.name(36).capitalize()
        if chance < 0.65:
            return subscript("tuple", [self.union(depth + 1), "..."])
        if chance < 0.8:
            return subscript("dict", ["str", self.union(depth + 1)])
        return subscript("Literal", [quoted(self.name(30)) for _ in range(self.random.randint(1, 5))])

    def union(self, depth: int = 0) -> Expression:
        if not depth and self.random.random() < 0.1:
            return self.name(100).capitalize()
        members = [self.kind(depth) for _ in range(self.random.choice([1, 1, 1, 2, 3, 6]))]
        return members[0] if len(members) == 1 else Joined(tuple(members))

    def value(self) -> Expression | None:
        chance = self.random.random()
        if chance < 0.5:
            return None if chance < 0.25 else "MISSING"
        entries = [f'"json": {quoted(self.name(60))}', '"json_form": "YYYY-MM-DDThh:mm:ss.sssZ"']
        kept = tuple(entries[: self.random.randint(0, 2)])
        items: list[Expression] = ["default=MISSING"]
        return call("field", [*items, *[Named("metadata=", Bracketed("{", kept, "}", display=True))] * bool(kept)])

    def source(self) -> str:
        field = assignment(self.name(36), self.union(), self.value(), 4)
        made = call("Endpoint", [quoted(self.name(64)), self.name(30), "personal=True"])
        return f"class A:\n{field}\n\n\n{assignment(self.name(36), None, made)}\n"


def test_statements_of_any_length(tmp_path: Path) -> None:
    """Statements that do not fit on a line are broken where ruff breaks them."""
    layouts = Layouts(20_301_107)
    assert ruff(tmp_path, *("# ruff: noqa\n" + layouts.source() for _ in range(400))) == ""
