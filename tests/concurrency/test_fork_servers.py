"""Servers that fork after a session was used: those of multiprocessing, and one with workers of its own."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from support.fork_servers import check, report_of
from support.forks import RUNS, Named

from arzamed_async import ArzamedSession, ClinicCredentials

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["forkserver", "prefork", "fork"])
async def test_children_of_a_server_read_their_own_records_with_the_tokens_that_it_had(
    how: str, tmp_path: Path
) -> None:
    """Some children at once, and their parent, read the same clinics; a token that the parent has is not requested again."""
    async with Named(tmp_path) as server:
        reports = await report_of(server, how)
        loaded = 2 if how == "forkserver" else 1  # the server has loaded the module, and the program, too
        assert len(check(reports, server, kept=loaded)) >= RUNS


@pytest.mark.asyncio
async def test_a_spawned_process_has_a_session_of_its_own(tmp_path: Path) -> None:
    """It imports the module again, shares nothing, and requests its own tokens."""
    async with Named(tmp_path) as server:
        reports = await report_of(server, "spawn")
        assert check(reports, server, kept=1 + RUNS) == set()
        assert len({each["process"] for each in reports}) == 1 + RUNS


def test_a_session_and_what_it_hands_out_are_not_pickled() -> None:
    """Sent to another process, each is refused with the remedy and without its secrets; errors and values are pickled."""
    session = ArzamedSession()
    clinic = session.clinic(ClinicCredentials("a", "invented-secret", "https://login.example/token"))
    refused: list[Any] = [session, clinic, clinic.doctors, {"in": [session]}]
    for what in refused:
        with pytest.raises(TypeError, match="open a session in the other process") as caught:
            pickle.dumps(what)
        assert "invented" not in str(caught.value)
