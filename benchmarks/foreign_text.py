"""What code that looks at foreign text costs a byte, as the text grows from 1 KiB to 1 MiB: in instructions, which hold on any machine.

Each regular expression of the package, as tests/support/patterns.py finds it in the source, runs on texts that are hard for it; so
do the functions in GUARDS, on texts of one character or of some in turn. The cost of a byte is that between two sizes, so that what a
call costs in any case is not in it. With --check it fails where a byte costs more in a long text (128 KiB then) than in a short one. A pattern that is known to be quadratic is counted, too: the run fails if it is not found.

    python benchmarks/foreign_text.py
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from tools.command import new_parser
from tools.measure import callgrind

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.patterns import Use, hard_texts, uses

from arzamed_async import ArzamedError, ClinicCredentials, StoredToken, _hosts, _json, _memory, _validation
from arzamed_async._http import proxies, rate_limit, request_bytes, status, urls
from arzamed_async._records.json_array import JsonArrayParser
from arzamed_async._tokens import oauth2
from arzamed_async.cli import encoding, excel, formats, messages, tokens
from arzamed_async.stores import _entry

KIB = 1024
SIZES = [KIB, 4 * KIB, 16 * KIB]
#: Of texts of this size one is enough for each case. With --check it is an eighth of that, which takes a minute and not four.
LONGEST = 1024 * KIB
#: By how much a byte may cost more in a longer text: a growing result is copied when it moves.
MOST_GROWTH = 1.5
#: Below this a byte's cost is compared as if it were this: code that refuses a long text costs nothing more there, and copying a text
#: again and again, the cheapest that is quadratic, costs some thousands of instructions a byte at the longest size.
LEAST = 128.0
#: Of the texts that are hard for a pattern, those which are run.
TEXTS = 3
COMPARED = "quadratic, for comparison"
QUADRATIC = re.compile(r"\s+$")
PIECES = ["\t", "7", " ", "\x00", "a", '"', "[", "{", "\u202e", "\x1b[", "a\t", '"\\', "1,", "%"]


def _array(text: str) -> object:
    parser, body = JsonArrayParser(record_bytes=2 * 1024 * KIB), f"[{text}".encode()
    for place in range(0, len(body), 16 * KIB):
        parser.feed(body[place : place + 16 * KIB])
        while parser.next_window() is not None:
            pass
    return parser.finish()


def _refused(text: str) -> object:
    return ClinicCredentials("a", "invented", f"https://login.example/{text}")


#: Functions that get what others have written, whole.
GUARDS: dict[str, Callable[[str], object]] = {
    "cli.encoding.json_text": lambda text: encoding.json_text({"a": text}, "b"),
    "cli.excel.without_commas": excel.without_commas,
    "cli.formats._cell": lambda text: formats._cell(text, ";"),  # noqa: SLF001
    "cli.messages.printable": messages.printable,
    "cli.tokens.claims_of": lambda text: tokens.claims_of(f"a.{text}.b"),
    "credentials.token_url": _refused,
    "_hosts.encoded_path": _hosts.encoded_path,
    "_hosts.is_loopback": _hosts.is_loopback,
    "_http.proxies._exempt": lambda text: proxies._exempt("a.example", 443, text),  # noqa: SLF001
    "_http.rate_limit.pause_seconds": lambda text: rate_limit.pause_seconds(lambda _name: text, 0.0, 20.0),
    "_http.request_bytes.split_url": request_bytes.split_url,
    "_http.status.json_object": lambda text: status.json_object(text.encode()),
    "_http.status.printable_excerpt": lambda text: status.printable_excerpt(text, ["invented"]),
    "_http.status.retry_after_seconds": lambda text: status.retry_after_seconds(text, 0.0),
    "_http.urls.with_query": lambda text: urls.with_query("https://a.example/b", {"a": text}),
    "_json.loads": lambda text: _json.loads(text.encode()),
    "_json.number_problem": lambda text: _json.number_problem(text.encode()),
    "_memory.value_bytes": lambda text: _memory.value_bytes(text.encode()),
    "_records.json_array": _array,
    "_tokens.oauth2.is_token": oauth2.is_token,
    "_validation.decoded_text": lambda text: _validation.decoded_text(text.encode()),
    "_validation.plain_text": lambda text: _validation.plain_text("name", text),
    "_validation.relative_path": lambda text: _validation.relative_path("path", text),
    "_validation.web_url": lambda text: _validation.web_url("base_url", f"https://{text}"),
    "_stored.is_valid": lambda text: StoredToken(text, 60.0, 0.0).is_valid(),
    "stores._entry.parse": lambda text: _entry.parse(text.encode()),
}


Calls = Callable[[int], Iterator[Callable[[], object]]]


def cases() -> dict[str, Calls]:
    """Return what is counted: by name, a function that yields the calls for texts of a size, the hardest first."""
    found: dict[str, Calls] = {COMPARED: _quadratic}
    found |= {use.name: partial(_uses_on, use) for use in uses()}
    found |= {name: partial(_guard_on, guard) for name, guard in GUARDS.items()}
    return found


def _quadratic(size: int) -> Iterator[Callable[[], object]]:
    text = "\t" * (size // 16 if size in SIZES else 8 * KIB) + "x"
    yield lambda: QUADRATIC.search(text)


def _uses_on(use: Use, size: int) -> Iterator[Callable[[], object]]:
    method: Any = getattr(use.pattern, use.method)
    if use.method == "finditer":
        method = lambda text: sum(1 for _ in use.pattern.finditer(text))  # noqa: E731
    for text in islice(hard_texts(use.pattern, size), 1, 2 * TEXTS, 2):  # those with an end that fails
        given = (text,) if use.method not in {"sub", "subn"} else (b"", text) if isinstance(text, bytes) else ("", text)
        yield partial(method, *given)


def _guard_on(guard: Callable[[str], object], size: int) -> Iterator[Callable[[], object]]:
    for piece in PIECES:
        yield partial(guard, piece * (size // len(piece)))


def work(sizes: list[int]) -> None:
    """Run all cases with texts of each size, each between two marks; of the longest size one text for each case."""
    every = cases()
    for calls in every.values():
        _run(calls(KIB))  # what is done once, such as compiling a pattern, is done
    subprocess.run(["callgrind_control", "-i", "on", str(os.getpid())], check=True, capture_output=True)
    for size, first in [(each, first) for each in sizes for first in ([False, True] if each in SIZES else [True])]:
        for calls in every.values():
            made = list(islice(calls(size), 1 if first else None))
            os.getppid()
            _run(made)
            os.getppid()


def _run(calls: Iterable[Callable[[], object]]) -> None:
    for call in calls:
        with contextlib.suppress(ArzamedError, ValueError, RecursionError):
            call()


def count(sizes: list[int]) -> dict[str, dict[str, list[float]]]:
    """Return what each further byte costs from size to size, in instructions: of all texts of a case, and of one."""
    parts = callgrind([str(Path(__file__)), "--worker", *map(str, sizes)], None, "--instr-atstart=no")[1::2]
    every = list(cases())
    kinds = [(size, kind) for size in sizes for kind in (["all", "one"] if size in SIZES else ["one"])]
    assert len(parts) == len(kinds) * len(every), (len(parts), len(kinds), len(every))
    counted: dict[str, dict[str, list[tuple[int, int]]]] = {name: {"all": [], "one": []} for name in every}
    for (size, kind), start in zip(kinds, range(0, len(parts), len(every)), strict=True):
        for name, instructions in zip(every, parts[start : start + len(every)], strict=True):
            counted[name][kind].append((size, instructions))
    return {
        name: {
            kind: [(more - less) / (long - short) for (short, less), (long, more) in pairwise(row)]
            for kind, row in rows.items()
        }
        for name, rows in counted.items()
    }


def growth(row: dict[str, list[float]]) -> float:
    """Return by how much a byte costs more in a longer text than in a shorter one; what a call costs in any case is not in it."""
    least = {"all": LEAST * len(PIECES), "one": LEAST}
    return max(longer / max(shorter, least[kind]) for kind, costs in row.items() for shorter, longer in pairwise(costs))


def main() -> None:
    """Count, print, and check."""
    parser = new_parser(__doc__, quick="texts of 16 KiB at most")
    parser.add_argument("--check", action="store_true", help="fail where a byte costs more in a longer text")
    parser.add_argument("--worker", type=int, nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return
    sizes = [*SIZES, *([] if arguments.quick else [LONGEST // 8 if arguments.check else LONGEST])]
    rows = count(sizes)
    grown = {name: growth(row) for name, row in rows.items()}
    for name in sorted(grown, key=lambda name: -grown[name]):
        print(f"{name:56.56} {grown[name]:6.2f}   {'  '.join(f'{cost:10,.1f}' for cost in rows[name]['one'])}")
    worse = [name for name, times in grown.items() if times > MOST_GROWTH]
    print(f"{len(rows)} cases; worse than linear: {', '.join(worse)}")
    if arguments.check and worse != [COMPARED]:
        sys.exit(1)


if __name__ == "__main__":
    main()
