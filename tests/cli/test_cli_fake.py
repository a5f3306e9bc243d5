"""`arzamed serve-fake` in this process: what it announces is there to be read, and is gone when it ends."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest
from support import until

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ConfigurationError,
    CredentialsRejectedError,
    RateLimitedError,
    RetryPolicy,
    Timeouts,
    load_clinics,
)
from arzamed_async.cli import fake
from arzamed_async.cli.fake import Serving
from arzamed_async.cli.fake_faults import Faults, faults_of
from arzamed_async.cli.messages import StderrReporter
from arzamed_async.testing import FakeArzamed
from arzamed_async.testing._clinics_file import MARK

pytestmark = pytest.mark.asyncio


async def read(base_url: str, file: Path) -> dict[str, int]:
    """Return how many doctors each clinic of the file has."""
    async with ArzamedSession(base_url=base_url) as session:
        outcomes = await session.gather(load_clinics(file), lambda clinic: clinic.doctors.list())
    return {outcome.clinic: len(outcome.unwrap()) for outcome in outcomes}


@pytest.mark.parametrize("to_file", [False, True])
async def test_what_is_announced_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str], to_file: bool) -> None:
    """The clinics of the file, or of standard output, are read at the URL announced; a file of its own is replaced."""
    file = tmp_path / "fake.toml"
    for _ in range(2):
        serving = Serving(count=2, write_clinics=file if to_file else None)
        task = asyncio.create_task(fake._serve(serving, StderrReporter()))
        written: list[str] = []

        def announced(written: list[str] = written) -> bool:
            out, errors = capsys.readouterr()
            written += out, errors
            return "serving invented clinics until Ctrl-C" in "".join(written)

        await until(announced)
        text = "".join(written)
        if not to_file:
            file.write_text(text[text.index(MARK) : text.rindex('"') + 1], encoding="utf-8")
            file.chmod(0o600)
        found = re.search(r"http://127\.0\.0\.1:\d+\S*", text)
        assert found
        assert await read(found[0].rstrip("\"'"), file) == {"fake-1": 3, "fake-2": 3}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        requests = "arzamed: fake-{}: 1 token request, 1 API request\n"
        total = "arzamed: received in total: 2 token requests, 2 API requests\n"
        assert capsys.readouterr().err == requests.format(1) + requests.format(2) + total


async def test_a_port_in_use_and_a_file_of_another_are_configuration_errors(tmp_path: Path) -> None:
    """Either ends the command before it serves, with what to change; the file is left as it is."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=f"cannot bind 127.0.0.1:{port}"):
            await fake._serve(Serving(port=port), StderrReporter())
    other = tmp_path / "clinics.toml"
    other.write_text("# somebody's\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="choose another name"):
        await fake._serve(Serving(write_clinics=other), StderrReporter())
    assert other.read_text(encoding="utf-8") == "# somebody's\n"


async def test_faults_are_served() -> None:
    """Each fault of the options is done by the fake; a clinic that is not there is a ConfigurationError."""
    faults = faults_of(fail=["503:3", "500"], slow=["fake-1:0.01"], revoke=["fake-2"])
    faults.check(["fake-1", "fake-2"])
    async with FakeArzamed() as server:
        first, second = server.add_clinic("fake-1"), server.add_clinic("fake-2")
        faults.apply(server)
        statuses: list[object] = []
        async with ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
            for _ in range(4):
                with pytest.raises(ArzamedError) as caught:
                    await session.clinic(first).doctors.list()
                statuses.append(getattr(caught.value, "status", None))
            with pytest.raises(CredentialsRejectedError):
                await session.clinic(second).doctors.list()
    assert statuses == [503, 503, 503, 500]
    for wrong in (faults_of(slow=["x:1"]), faults_of(cut=["x"]), Faults(revoke=["x"])):
        with pytest.raises(ConfigurationError, match="no clinic 'x'"):
            wrong.check(["fake-1"])


async def test_a_rate_limit_is_served() -> None:
    """Requests over --rate-limit are refused with 429."""
    async with FakeArzamed() as server:
        clinic = server.add_clinic("fake-1")
        faults_of(rate_limit="0.001").apply(server)
        async with ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
            await session.clinic(clinic).doctors.list()
            with pytest.raises(ArzamedError, match="limits the rate"):
                async with (
                    session.clinic(clinic)
                    .with_options(timeouts=Timeouts(total_seconds=0.5))
                    .doctors.stream() as doctors
                ):
                    [doctor async for doctor in doctors]


@pytest.mark.parametrize("fail", ["", "x", "200", "600", "503:", "503:0", "503:-1", "503:x", "\u0665\u0660\u0663"])
async def test_a_status_that_is_none(fail: str) -> None:
    """--fail is a status of a failure, and how often."""
    with pytest.raises(ConfigurationError, match="--fail must be a status from 400 to 599"):
        faults_of(fail=[fail])


@pytest.mark.parametrize("slow", ["", "x", ":1", "x:", "x:-1", "x:nan", "x:inf"])
async def test_a_delay_that_is_none(slow: str) -> None:
    """--slow is a clinic and seconds."""
    with pytest.raises(ConfigurationError, match="--slow must be a clinic and seconds"):
        faults_of(slow=[slow])


@pytest.mark.parametrize("rate", ["", "x", "0", "-1", "inf", "nan", "50:", "50:0", "50:-1", "50:1.5", ":2"])
async def test_a_rate_that_is_none(rate: str) -> None:
    """--rate-limit is greater than zero, and a burst is a number of requests."""
    with pytest.raises(ConfigurationError, match="--rate-limit must be greater than zero, and may have a burst"):
        faults_of(rate_limit=rate)


@pytest.mark.parametrize("cut", ["", ":1", "x:", "x:-1", "x:1.5", "x:y"])
async def test_a_cut_that_is_none(cut: str) -> None:
    """--cut is a clinic, and a number of bytes."""
    with pytest.raises(ConfigurationError, match="--cut must be a clinic, and after how many bytes"):
        faults_of(cut=[cut])


async def test_a_rate_limit_with_a_burst_is_served() -> None:
    """--rate-limit 0.001:3 lets three requests through at once, and refuses the fourth."""
    async with FakeArzamed() as server:
        clinic = server.add_clinic("fake-1")
        faults_of(rate_limit="0.001:3").apply(server)
        async with ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none(), pacing=None) as session:
            for _ in range(3):
                await session.clinic(clinic).doctors.list()
            with pytest.raises(RateLimitedError):
                await session.clinic(clinic).doctors.list()


@pytest.mark.parametrize(("cut", "records"), [("fake-1", 3), ("fake-1:20", 0)])
async def test_a_list_that_is_cut_is_served(cut: str, records: int) -> None:
    """Each list of the clinic ends before its end: when all records have been sent, or after so many bytes. Others are whole."""
    async with FakeArzamed() as server:
        first, second = server.add_clinic("fake-1"), server.add_clinic("fake-2")
        faults_of(cut=[cut]).apply(server)
        received = 0
        async with ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
            with pytest.raises(ArzamedError, match="cut"):
                async with session.clinic(first).doctors.stream() as doctors:
                    async for _ in doctors:
                        received += 1
            assert len(await session.clinic(second).doctors.list()) == 3
    assert received == records
