"""examples/clinic_directory as its server has it: the stream, who leaves it, the headers, the words, the command."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import random
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from support import settle
from web_support import Desk, HeldClinics, directory_of, serving, serving_fake, until, work_of_ours

from arzamed_async import errors
from arzamed_async.testing import FakeArzamed
from examples.clinic_directory.guards import QuietLeaving
from examples.clinic_directory.words import explain

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "examples" / "clinic_directory" / "static"
session_loop = pytest.mark.asyncio(loop_scope="session")


@session_loop
async def test_a_browser_that_leaves_ends_its_requests(desk: Desk):
    """When the page is left, the requests to clinics that have not answered end, and no task is left."""
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic(name) for name in ("Milano", "Roma", "Napoli")]
        for name in ("Roma", "Napoli"):
            fake.set_latency(3600, name)
        async with serving_fake(fake, clinics) as url:
            await desk.page.goto(url)
            await until(lambda: fake.open_requests == 2)
            assert work_of_ours()
            await desk.page.goto("about:blank")
            await until(lambda: fake.open_requests == 0)
            await until(lambda: not work_of_ours())


@session_loop
async def test_a_browser_that_reads_nothing_and_leaves_ends_its_requests():
    """Also where the server stands in the middle of an answer that nobody takes."""
    async with FakeArzamed() as fake:
        clinics = [
            fake.add_clinic("Milano", doctors=[f"Dr. Finto {n} {'x' * 1000}" for n in range(20_000)]),
            fake.add_clinic("Roma"),
        ]
        fake.set_latency(3600, "Roma")
        async with serving_fake(fake, clinics) as url:
            with socket.socket() as reader:
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader.setblocking(False)
                port = int(url.rpartition(":")[2])
                loop = asyncio.get_running_loop()
                await loop.sock_connect(reader, ("127.0.0.1", port))
                await loop.sock_sendall(reader, b"GET /doctors HTTP/1.1\r\nHost: localhost\r\n\r\n")
                # Milano's answer has been read, Roma's not: the server is at its sending.
                await until(lambda: fake.api_requests() == 2 and fake.open_requests == 1)
            await until(lambda: fake.open_requests == 0)
            await until(lambda: not work_of_ours())


@session_loop
async def test_browsers_that_come_together_share_each_clinics_request():
    """Twenty streams at once ask each clinic once for its token and once for its doctors."""
    async with HeldClinics("Milano", "Roma") as held:
        async with (
            serving(directory_of(held.clinics, held.base_url)) as url,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            streams = await asyncio.gather(*(http.get(f"{url}/doctors") for _ in range(20)))
            for stream in streams:
                assert await stream.content.readline() == b"event: start\n"
            await until(lambda: sum(file.endswith("workers.py") for file in work_of_ours()) >= 40)
            await settle()
            held.let("Milano")
            held.let("Roma")
            for stream in streams:
                body = await stream.text()
                assert body.count("event: clinic") == 2
                assert body.rstrip().endswith("event: done\ndata: {}")
            assert (held.token_requests, held.api_requests) == (2, 2)


@session_loop
async def test_an_event_holds_what_is_shown_and_no_more():
    """A failed clinic's event has the reason in words, and neither status, secret nor client id."""
    async with FakeArzamed() as fake:
        bari = fake.add_clinic("Bari", client_secret="invented-secret-canary")
        fake.revoke_key(bari)
        async with serving_fake(fake, [bari]) as url, aiohttp.ClientSession() as http:
            async with http.get(f"{url}/doctors") as response:
                assert response.content_type == "text/event-stream"
                assert response.headers["Cache-Control"] == "no-cache"
                body = await response.text()
    events = [block.split("\n") for block in body.strip().split("\n\n")]
    assert [lines[0] for lines in events] == ["event: start", "event: clinic", "event: done"]
    shown = json.loads(events[1][1].removeprefix("data: "))
    assert shown.keys() == {"clinic", "seconds", "problem"}
    assert not re.search(f"canary|401|invalid_client|{re.escape(bari.client_id)}", body)


@session_loop
async def test_every_answer_has_a_strict_policy():
    """Scripts and styles come from the server alone, none of them inline, and photos from the places named."""
    async with FakeArzamed() as fake:
        async with serving_fake(fake, [fake.add_clinic("Milano")]) as url, aiohttp.ClientSession() as http:
            for path in ("/", "/doctors", "/static/directory.js", "/nowhere"):
                async with http.get(url + path) as response:
                    rules = dict(
                        rule.strip().split(" ", 1) for rule in response.headers["Content-Security-Policy"].split(";")
                    )
                    assert rules["default-src"] == "'none'"
                    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
                    assert rules["img-src"] == f"'self' {fake.origin}"
                    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_holds_nothing_inline_and_makes_no_markup_of_data():
    """No script or style stands in the page, and the script never turns text into markup."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    script = (STATIC / "directory.js").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script)


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_has_words_for_a_reception_desk(name: str):
    """What is the matter and what to do: whole sentences without statuses, class names or terms of HTTP."""
    kind: type[errors.ArzamedError] = getattr(errors, name)
    what, remedy = explain(kind())
    for words in (what, remedy):
        assert re.fullmatch(r"[A-Z].*\.", words)
        assert not re.search(r"\d|Error|HTTP|token|JSON|TLS|client", words)


def test_each_kind_of_error_that_has_a_remedy_of_its_own_has_words_of_its_own():
    """No entry is hidden behind that of a class above it."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ArzamedError)]
    general = {errors.ArzamedError, errors.TokenError, errors.StatusError}
    alike = {errors.DecodeError, errors.LimitExceededError, errors.ResponseError}
    specific = [explain(kind())[0] for kind in kinds if kind not in general | alike]
    assert len(set(specific)) == len(specific)
    assert len({explain(kind())[0] for kind in general}) == 1


# The command


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.clinic_directory", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@session_loop
async def test_one_command_serves_the_page_until_it_is_interrupted():
    """`python -m examples.clinic_directory` serves the page, and ends soon after Ctrl-C though a browser is reading."""
    process = command("--port", "0")
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            pytest.fail("".join(said))
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{found[1]}/") as page:
                assert "<title>Doctors of all clinics</title>" in await page.text()
            async with http.get(f"{found[1]}/doctors") as stream:
                assert await stream.content.readline() == b"event: start\n"
                process.send_signal(signal.SIGINT)
                rest, _ = await asyncio.to_thread(process.communicate, timeout=60)
        assert "Traceback" not in rest
        assert process.returncode in (0, -signal.SIGINT)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_clinics_file_that_cannot_be_read_is_one_sentence():
    """A missing file is told by its name, without a traceback, and ends with 2."""
    process = command("--clinics", "nowhere.toml")
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "nowhere.toml: cannot be read (No such file or directory)\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "65536"), ("--photos", "https://a.example; script-src *"), ("--photos", "'unsafe-inline'")],
)
def test_an_option_that_makes_no_sense_is_one_sentence(option: str, value: str):
    """A port that is none, or a photo source that would loosen the policy, is refused before anything is served."""
    process = command("--clinics", "nowhere.toml", option, value)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert re.search(rf"error: {option} (must be|takes)", out)
    assert "Traceback" not in out


# Who may read, and who leaves


async def answer_to(url: str, head: str) -> str:
    """Return the status line and all else that the server answers to a request of these bytes."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


@session_loop
@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["evil.example"], 421),
        (["evil.example:8000"], 421),
        (["127.0.0.1.evil.example"], 421),
        (["localhost.evil.example"], 421),
        (["192.0.2.1"], 421),
        (["127.0.0.2"], 421),
        ([], 400),
        (["localhost", "evil.example"], 400),
        ([""], 400),
        (["localhost@evil.example"], 400),
        (["localhost/"], 400),
        (["[::1"], 400),
    ],
)
async def test_another_host_is_refused(hosts: list[str], status: int):
    """A request for a host that is not this server's gets 421, one without a valid host 400, and neither a byte of data."""
    async with FakeArzamed() as fake:
        async with serving_fake(fake, [fake.add_clinic("Milano")]) as url:
            lines = "".join(f"Host: {host}\r\n" for host in hosts)
            for path in ("/", "/doctors", "/static/directory.js", "/nowhere"):
                answer = await answer_to(url, f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")
                assert answer.startswith(f"HTTP/1.1 {status} ")
                assert "Milano" not in answer
            assert fake.api_requests() == 0


@session_loop
@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:1", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "directory.example"],
)
async def test_its_own_hosts_are_answered(host: str):
    """Names and addresses of loopback with any port, and a name that was given, get the page."""
    async with FakeArzamed() as fake:
        app = directory_of([fake.add_clinic("Milano")], fake.base_url, hosts=["Directory.example"])
        async with serving(app) as url:
            answer = await answer_to(url, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            assert answer.startswith("HTTP/1.1 200 ")


@session_loop
async def test_readers_who_leave_are_no_errors(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """Of 400 readers who leave at any moment none is an error in the server's log, and no task is left."""
    chance = random.Random(7)
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic(f"Clinic {n}", doctors=[f"Dr. Finto {i}" for i in range(300)]) for n in range(12)]
        for n, clinic in enumerate(clinics):
            fake.set_latency(0.004 * n, clinic)

        async def read_and_leave(url: str) -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"GET /doctors HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(
                chance.choice([0, 0.01, 0.1, 0.5]) * chance.random()
            )  # the moment, whatever happens in it
            if chance.random() < 0.5:
                option = struct.pack("ii", 1, 0)  # a reset instead of an orderly end
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            writer.close()

        async with serving_fake(fake, clinics) as url:
            monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
            for _ in range(10):
                await asyncio.gather(*(read_and_leave(url) for _ in range(40)))
            await until(lambda: not work_of_ours())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@session_loop
async def test_an_error_of_the_application_is_not_kept_quiet():
    """What the application raises while nobody has left, or for another reason, reaches the server's log."""

    async def failing(scope: object, receive: object, send: object) -> None:
        raise OSError("invented")

    async def nothing() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def failing_later(scope: object, receive: object, send: object) -> None:
        await receive()  # type: ignore[operator]
        raise LookupError("invented")

    for app, kind in ((failing, OSError), (failing_later, LookupError)):
        with pytest.raises(kind, match="invented"):
            await QuietLeaving(app)({"type": "http", "path": "/"}, nothing, None)  # type: ignore[arg-type]
