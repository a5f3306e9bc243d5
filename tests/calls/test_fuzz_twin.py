"""The small twin of tests/faults/test_fuzz.py: the same responses, chosen by Hypothesis, which finds the shortest that fails."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.fuzz_answers import case_of
from support.fuzz_run import Fuzz

EACH = 4


@settings(max_examples=max(50, settings().max_examples // 2))
@given(st.sampled_from(["list", "stream", "get", "token"]), st.booleans(), st.randoms(use_true_random=False))
def test_any_response(kind: str, good_http: bool, rng: random.Random) -> None:
    """Whatever a server sends, a call ends in an error of the library or in the content of the response."""
    cases = [case_of(kind, rng, good_http=good_http) for _ in range(EACH)]
    verdict = asyncio.run(Fuzz(kind, good_http=good_http).run(iter(enumerate(cases))))
    assert verdict.wrong == []
    assert verdict.ends.total() == EACH
