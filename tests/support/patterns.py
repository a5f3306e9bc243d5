"""The regular expressions that the package uses, whether one of them may backtrack, and texts that are hard for it.

A use is a call such as `re.search(_X, ...)` or `_X.sub(...)`: it is found in the syntax tree, and the expression for the
pattern is evaluated in its module. So a new pattern is found without a line anywhere.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from collections.abc import Iterator, Sequence
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from attrs import field, frozen

from . import sources

METHODS = {"match", "fullmatch", "search", "finditer", "findall", "split", "sub", "subn"}
#: Methods that begin at the start of the text alone.
ANCHORED = {"match", "fullmatch"}
#: Uses whose pattern is made of what was received: an example of it.
MADE = {
    ("_records.json_cuts", r"b'\\}[ \\t\\n\\r]*,[ \\t\\n\\r]*' + re.escape(key[0])"): (
        rb"\}[ \t\n\r]*,[ \t\n\r]*" + re.escape(b'{ "name"')
    )
}
#: Calls of a method of such a name that are none of a pattern.
OTHERS = {("_resilience.in_flight", "pace")}
#: Functions that compile a pattern when it is first used.
COMPILERS = {("_http.response_scan", "_response"), ("_json", "_pattern"), ("_records.scalars", "_pattern")}


@frozen
class Use:
    """One use of a pattern."""

    module: str
    text: str
    method: str
    pattern: re.Pattern[Any] = field(eq=False)

    @property
    def name(self) -> str:
        """A name for tables and reports."""
        return f"{self.module}: {self.text}.{self.method}"


def uses() -> list[Use]:
    """Return the uses of patterns in the package; AssertionError for one whose pattern is not known."""
    found = [use for name in sources.MODULES if name for use in _uses_in(name)]
    return list({use: use for use in found}.values())


def _uses_in(name: str) -> Iterator[Use]:
    tree = sources.tree_of(sources.MODULES[name])
    if not any(isinstance(node, ast.Import) and node.names[0].name == "re" for node in ast.walk(tree)):
        return
    scope = vars(importlib.import_module(f"arzamed_async.{name}"))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, method = node.func.value, node.func.attr
        if isinstance(owner, ast.Name) and owner.id == "re" and scope.get("re") is re:
            if method in METHODS:
                yield Use(name, ast.unparse(node.args[0]), method, _compiled(name, node.args[0], scope))
        elif method in METHODS and (name, ast.unparse(owner)) not in OTHERS:
            pattern = _value(owner, scope)
            if isinstance(pattern, re.Pattern):
                yield Use(name, ast.unparse(owner), method, pattern)
            else:  # str.split is none; of any other the pattern has to be known
                assert method == "split" or isinstance(pattern, (str, bytes)), (name, ast.unparse(node))


def _compiled(name: str, node: ast.expr, scope: dict[str, Any]) -> re.Pattern[Any]:
    made: Any = MADE.get((name, ast.unparse(node)))
    pattern = _value(node, scope) if made is None else made
    assert isinstance(pattern, (str, bytes, re.Pattern)), f"{name}: what does {ast.unparse(node)} match?"
    return re.compile(pattern)


def _value(node: ast.expr, scope: dict[str, Any]) -> Any:
    try:
        return eval(compile(ast.Expression(node), "", "eval"), dict(scope))
    except Exception:  # noqa: BLE001 - it is not known: the caller decides
        return None


def compiled_elsewhere() -> list[str]:
    """Return the calls of re.compile that are neither bound to a name of their module nor in one of COMPILERS."""
    known: set[ast.AST] = set()
    calls: dict[ast.AST, str] = {}
    for name, path in sources.MODULES.items():
        tree = sources.tree_of(path)
        known |= {node.value for node in tree.body if isinstance(node, ast.Assign)}
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and (name, function.name) in COMPILERS:
                known |= set(ast.walk(function))
        calls |= {
            node: f"{name}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
        }
    return [text for node, text in calls.items() if node not in known]


# Whether a pattern may take more than linear time

#: Characters that stand for all of them.
ALPHABET = frozenset(range(0x250)) | {0x0661, 0x200B, 0x2028, 0x2800, 0x3000, 0xFF1D, 0x1F600, 0xE0041}
REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT)
ALL_REPEATS = (*REPEATS, ops.POSSESSIVE_REPEAT)
#: A repeat of at most so many is a constant where it stands outside of others.
FEW = 256
CATEGORIES = {
    ops.CATEGORY_DIGIT: r"\d", ops.CATEGORY_NOT_DIGIT: r"\D", ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S", ops.CATEGORY_WORD: r"\w", ops.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip

Set = frozenset[int]
Node = tuple[Any, Any]


class Check:
    """Reads the tree of a pattern; `problems` are the places where the matcher may go back over what it has read.

    The rules: after a repeat without a bound stands nothing that the repeat takes as well, unless it is possessive; the
    same holds for every repeat and every alternative within one. So going back never finds another way, and each attempt
    is linear. Where every position begins an attempt, a repeat without a bound either ends the pattern, so that the
    attempt succeeds, or takes no character that begins an attempt, so that the attempts share no text.
    """

    def __init__(self, pattern: re.Pattern[Any], method: str) -> None:
        self.problems: list[str] = []
        self.repeated: list[Set] = []
        tree = parser.parse(
            pattern.pattern, pattern.flags & ~(re.DEBUG | (re.UNICODE if isinstance(pattern.pattern, bytes) else 0))
        )
        nodes = list(tree)
        self._ignore_case = bool(pattern.flags & re.IGNORECASE)
        self._sequence(nodes, frozenset(), inside=False, free=True)
        if method not in ANCHORED and nodes[:1] != [(ops.AT, ops.AT_BEGINNING)]:
            self._attempts(nodes)

    def _sequence(self, nodes: Sequence[Node], after: Set, *, inside: bool, free: bool) -> None:
        for index, node in enumerate(nodes):
            rest = nodes[index + 1 :]
            follow = self.first(rest) | (after if self.nullable(rest) else frozenset())
            self._node(node, follow, inside=inside, free=free)

    def _node(self, node: Node, follow: Set, *, inside: bool, free: bool) -> None:
        kind, value = node
        if kind in ALL_REPEATS:
            least, most, body = value
            endless = most is ops.MAXREPEAT or most > FEW
            own = self.first(body)
            backtracks = free and kind in REPEATS
            if endless:
                self.repeated.append(self.all_of(body))
                if self.nullable(body):
                    self.problems.append("repeats what may be empty")
            if backtracks and least != most and (endless or inside) and own & follow:
                self.problems.append(f"what follows a repeat begins with {_shown(own & follow)}, as the repeat does")
            again = own if most is ops.MAXREPEAT or most > 1 else frozenset()
            self._sequence(body, again | follow, inside=inside or endless, free=backtracks)
        elif kind is ops.SUBPATTERN:
            before, self._ignore_case = self._ignore_case, self._ignore_case or bool(value[1] & re.IGNORECASE)
            self._sequence(value[3], follow, inside=inside, free=free)
            self._ignore_case = before
        elif kind is ops.ATOMIC_GROUP:
            self._sequence(value, frozenset(), inside=inside, free=True)
        elif kind in (ops.ASSERT, ops.ASSERT_NOT):
            self._sequence(value[1], frozenset(), inside=inside, free=True)
        elif kind is ops.BRANCH:
            seen: Set = frozenset()
            for each in value[1]:
                own = self.first(each) | (follow if self.nullable(each) else frozenset())
                if inside and free and own & seen:
                    self.problems.append(f"two alternatives within a repeat begin with {_shown(own & seen)}")
                seen |= own
                self._sequence(each, follow, inside=inside, free=free)
        else:
            assert kind in (ops.LITERAL, ops.NOT_LITERAL, ops.IN, ops.ANY, ops.AT), f"the checker does not know {kind}"

    def _attempts(self, nodes: Sequence[Node]) -> None:
        for branch in self._branches(nodes):
            if not self._ends_with_repeats(branch):
                both = self.first(branch) & frozenset().union(*self.repeated)
                if both:
                    self.problems.append(
                        f"an attempt may begin at each {_shown(both)} within a repeat, and fail after it"
                    )

    def _branches(self, nodes: Sequence[Node]) -> list[Sequence[Node]]:
        if len(nodes) == 1 and nodes[0][0] is ops.BRANCH:
            return [inner for each in nodes[0][1][1] for inner in self._branches(list(each))]
        if len(nodes) == 1 and nodes[0][0] is ops.SUBPATTERN:
            return self._branches(list(nodes[0][1][3]))
        return [nodes]

    def _ends_with_repeats(self, nodes: Sequence[Node]) -> bool:
        """Return whether these cannot fail any more once they are in a repeat without a bound (and past its first FEW)."""
        for index, node in enumerate(nodes):
            if inner := self._endless_parts(node):
                return (
                    self.nullable(nodes[index + 1 :])
                    and node[0] is not ops.ASSERT_NOT
                    and all(map(self._ends_with_repeats, inner))
                )
        return True

    def _endless_parts(self, node: Node) -> list[Sequence[Node]]:
        """Return the sequences in a node in which there is a repeat without a bound; for such a repeat, what it repeats."""
        kind, value = node
        parts: list[Sequence[Node]] = []
        if kind in ALL_REPEATS:
            if value[1] is ops.MAXREPEAT or value[1] > FEW:
                return [value[2]]
            parts = [value[2]]
        elif kind is ops.SUBPATTERN:
            parts = [value[3]]
        elif kind is ops.ATOMIC_GROUP:
            parts = [value]
        elif kind in (ops.ASSERT, ops.ASSERT_NOT):
            parts = [value[1]]
        elif kind is ops.BRANCH:
            parts = value[1]
        return [each for each in parts if any(map(self._endless_parts, each))]

    def nullable(self, nodes: Sequence[Node]) -> bool:
        """Return whether these match the empty text anywhere."""
        return all(map(self._is_nullable, nodes))

    def _is_nullable(self, node: Node) -> bool:
        kind, value = node
        if kind in ALL_REPEATS:
            return value[0] == 0 or self.nullable(value[2])
        if kind is ops.SUBPATTERN:
            return self.nullable(value[3])
        if kind is ops.ATOMIC_GROUP:
            return self.nullable(value)
        if kind is ops.BRANCH:
            return any(map(self.nullable, value[1]))
        return kind is ops.ASSERT and self.nullable(value[1])

    def first(self, nodes: Sequence[Node]) -> Set:
        """Return the characters with which a match of these may begin."""
        found: Set = frozenset()
        for node in nodes:
            found |= self._first_of(node)
            if not self._is_nullable(node) and node[0] not in (ops.AT, ops.ASSERT, ops.ASSERT_NOT):
                break
        return found

    def _first_of(self, node: Node) -> Set:
        kind, value = node
        if kind in ALL_REPEATS:
            return self.first(value[2])
        if kind is ops.SUBPATTERN:
            return self.first(value[3])
        if kind is ops.ATOMIC_GROUP:
            return self.first(value)
        if kind is ops.BRANCH:
            return frozenset().union(*map(self.first, value[1]))
        return self._characters(node)

    def all_of(self, nodes: Sequence[Node]) -> Set:
        """Return all characters that a match of these may hold."""
        found: Set = frozenset()
        for kind, value in nodes:
            inner: list[Sequence[Node]] = []
            if kind in ALL_REPEATS:
                inner = [value[2]]
            elif kind is ops.SUBPATTERN:
                inner = [value[3]]
            elif kind is ops.ATOMIC_GROUP:
                inner = [value]
            elif kind is ops.BRANCH:
                inner = value[1]
            found |= frozenset().union(self._characters((kind, value)), *map(self.all_of, inner))
        return found

    def _characters(self, node: Node) -> Set:
        kind, value = node
        if kind is ops.LITERAL:
            found: Set = frozenset({value})
        elif kind is ops.NOT_LITERAL:
            found = ALPHABET - {value}
        elif kind is ops.ANY:
            found = ALPHABET
        elif kind is ops.IN:
            found = frozenset().union(*map(_item, value))
            if value[0][0] is ops.NEGATE:
                found = ALPHABET - found
        else:
            return frozenset()
        if self._ignore_case:
            found |= {
                ord(each) for number in found for each in (chr(number).lower(), chr(number).upper()) if len(each) == 1
            }
        return found


def _item(item: Node) -> Set:
    kind, value = item
    if kind is ops.LITERAL:
        return frozenset({value})
    if kind is ops.RANGE:
        return frozenset(range(value[0], min(value[1], 0x30FF) + 1)) | {
            each for each in ALPHABET if value[0] <= each <= value[1]
        }
    if kind is ops.CATEGORY:
        return frozenset(each for each in ALPHABET if re.match(CATEGORIES[value], chr(each)))
    return frozenset()


def _shown(characters: Set) -> str:
    return repr("".join(map(chr, sorted(characters)))[:8])


def problems(pattern: re.Pattern[Any], method: str) -> list[str]:
    """Return why a use of a pattern may take more than linear time; nothing if it cannot."""
    return Check(pattern, method).problems


# Texts that are hard for a pattern


def hard_texts(pattern: re.Pattern[Any], size: int) -> Iterator[str | bytes]:
    """Yield texts of about this size: runs of what each part of the pattern takes, alone and in turn, with ends that fail."""
    check = Check(pattern, "match")
    parts: dict[str, None] = {}
    for characters in [*check.repeated, *_sets(list(parser.parse(pattern.pattern)), check)]:
        parts |= dict.fromkeys(chr(each) for each in _samples(characters))
    few = list(parts)[:6]
    pieces = [*few, *map("".join, itertools.pairwise(few)), "".join(few)]
    kind = "latin-1" if isinstance(pattern.pattern, bytes) else ""
    for piece in filter(None, pieces):  # a pattern of positions alone takes nothing
        for end in ("", "~\x00"):
            text = piece * (size // len(piece)) + end
            yield text.encode(kind, "replace") if kind else text


def _samples(characters: Set) -> list[int]:
    ordered = sorted(characters)
    return [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered


def _sets(nodes: Sequence[Node], check: Check) -> Iterator[Set]:
    for kind, value in nodes:
        if kind in ALL_REPEATS:
            yield from _sets(value[2], check)
        elif kind is ops.SUBPATTERN:
            yield from _sets(value[3], check)
        elif kind is ops.ATOMIC_GROUP:
            yield from _sets(value, check)
        elif kind is ops.BRANCH:
            for each in value[1]:
                yield from _sets(each, check)
        elif found := check._characters((kind, value)):
            yield found
