"""A hundred thousand generated answers, through the whole client over real sockets: library errors, or right results."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from support.fuzz_run import Fuzz, Verdict, seeded

import arzamed_async
from arzamed_async import ArzamedError

SEED = int(os.environ.get("ARZAMED_FUZZ_SEED", "20260611"))
#: So many answers of each kind: good HTTP first, then broken HTTP.
COUNTS = {"list": (14_000, 14_000), "stream": (14_000, 14_000), "get": (8_000, 12_000), "token": (10_000, 14_000)}
LIBRARY = {
    name for name, kind in vars(arzamed_async).items() if isinstance(kind, type) and issubclass(kind, ArzamedError)
}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def told(verdict: Verdict) -> str:
    return ", ".join(f"{end} {count:,}" for end, count in verdict.ends.most_common())


@pytest.mark.asyncio
@pytest.mark.parametrize("good_http", [True, False], ids=["good-http", "broken-http"])
@pytest.mark.parametrize("kind", sorted(COUNTS))
async def test_generated_answers(kind: str, good_http: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer ends in a library error or in just what it says, a short list never looks whole, nothing is left open."""
    count = COUNTS[kind][not good_http]
    files = open_files()
    verdict = await Fuzz(kind, good_http=good_http).run(seeded(kind, SEED, count, good_http=good_http))
    with capsys.disabled():
        print(f"\n{kind}, {'good' if good_http else 'broken'} HTTP, seed {SEED}: {told(verdict)}")  # noqa: T201
    assert verdict.wrong == []
    assert verdict.ends.total() == count
    assert set(verdict.ends) <= {*LIBRARY, "a result"}
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with asyncio.timeout(60):
        while open_files() > files:
            await asyncio.sleep(0.01)


def test_there_are_a_hundred_thousand() -> None:
    """What is promised is what is run."""
    assert sum(sum(counts) for counts in COUNTS.values()) == 100_000
