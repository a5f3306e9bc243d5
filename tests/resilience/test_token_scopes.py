"""What a session keeps of token endpoints: it is bounded, and a pace that was learned is not lost."""

from __future__ import annotations

import asyncio

import pytest

from arzamed_async import PacingPolicy
from arzamed_async._resilience.attribution import MOST_ENTERED, Rows
from arzamed_async._resilience.clinic_scope import ClinicScope
from arzamed_async._resilience.pacing import NoTurnError
from arzamed_async._resilience.session_pacing import MOST_ORIGINS, MOST_REFUSED, SessionPacing


def paces() -> SessionPacing:
    return SessionPacing(PacingPolicy(), "https://api.invented.example", 20.0, lambda *_: None)


@pytest.mark.asyncio
async def test_endpoints_that_were_used_once_are_dropped() -> None:
    """10,000 token endpoints, each used once, leave those of the limit; one that required a pause keeps it."""
    session = paces()
    for name in "abcdefgh":  # so many, one after the other: it is the endpoint's pause
        paused = session.token_passage(name, name, "https://paused.invented.example/token")
        paused.responded(await paused.start(), 429, 600.0)
    del paused
    for number in range(10_000):
        passage = session.token_passage(number, "one", f"https://n{number}.invented.example/token")
        passage.responded(await passage.start(), 200, None)
        del passage
    assert len(session._tokens.values()) <= MOST_ORIGINS + 2
    assert session._token_scopes.values() != []
    origin = session._tokens.get("https://paused.invented.example")
    assert origin is not None
    assert origin.origin.shut_until > asyncio.get_running_loop().time()


@pytest.mark.asyncio
async def test_clinics_refused_once_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 clinics that one token endpoint has refused once leave those of the limit, when that is long ago."""
    session, now = paces(), 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    for number in range(10_000):
        now += 40.0
        passage = session.token_passage(number, f"n{number}", "https://auth.invented.example/token")
        passage.responded(await passage.start(), 503, None)
    assert len(session._token_scopes.values()) <= MOST_REFUSED + MOST_ENTERED + 2


@pytest.mark.asyncio
async def test_an_endpoint_in_use_has_one_pace() -> None:
    """An endpoint whose request is on its way while many others come is paced together with its next request."""
    session, url = paces(), "https://mine.invented.example/token"
    first = session.token_passage("first", "first", url)
    for number in range(2 * MOST_ORIGINS):
        session.token_passage(number, "one", f"https://n{number}.invented.example/token")
    for name in "abcdefgh":
        other = session.token_passage(name, name, url)
        other.responded(await other.start(), 429, 600.0)
    with pytest.raises(NoTurnError, match="requires a pause"):
        await first.turn(None)


def test_rows_know_a_limited_number_of_clinics() -> None:
    """100,000 clinics that were refused once each leave 1,024 in the rows of refusals."""
    rows = Rows()
    for _ in range(100_000):
        assert not rows.enter(ClinicScope())
    assert len(rows._entered) == MOST_ENTERED
