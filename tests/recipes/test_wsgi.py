"""Applications with threads: flask.md and django.md, the latter under ASGI too."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from recipe_pages import NAMES, import_page

from arzamed_async.testing import FakeArzamed


def requested(fake: FakeArzamed, count: int = 1) -> None:
    """Return once the fake has this number of requests to the API."""
    end = time.monotonic() + 60
    while len(fake.requests) - fake.token_requests() < count:
        assert time.monotonic() < end, "no such request has arrived within a minute: the application has failed before"
        time.sleep(0.005)


@pytest.fixture
def interrupt() -> Iterator[Any]:
    """A function that interrupts the main thread as a server does that stops its worker; and what is raised there."""

    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    yield Stopped
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def project(page: Any) -> Iterator[Any]:
    """Django, set up once in this process, with the page's URLs."""
    import django
    from asgiref.sync import SyncToAsync
    from django.conf import settings
    from django.test import override_settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["testserver"], SECRET_KEY="invented", DATABASES={})
        django.setup()
    with override_settings(ROOT_URLCONF=page.__name__):
        yield page
    SyncToAsync.single_thread_executor.shutdown()  # the thread that ASGI requests have had
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)


def client_of(page: Any) -> Any:
    """Return a function that gets a path of the page's application: the status and the JSON."""
    if hasattr(page, "app"):

        def get(path: str) -> Any:
            response = page.app.test_client().get(path)
            return response.status_code, response.json

    else:
        from django.test import Client

        def get(path: str) -> Any:
            response = Client().get(path)
            return response.status_code, response.json()

    return get


@pytest.fixture
def get(request: pytest.FixtureRequest, page: Any) -> Any:
    """What gets a path of the application."""
    if not hasattr(page, "app"):
        request.getfixturevalue("project")
    return client_of(page)


BOTH = pytest.mark.parametrize("page", ["flask", "django"], indirect=True)


@BOTH
def test_400_of_400_concurrent_requests_are_served_with_one_token(
    page: Any, get: Any, fake_arzamed: FakeArzamed
) -> None:
    """400 requests of 8 threads succeed with one token; a revoked clinic is 502 with the remedy; no such clinic is 404."""
    with ThreadPoolExecutor(8) as executor:
        responses = list(executor.map(lambda _: get("/clinics/Milano/doctors"), range(400)))
    body = NAMES if hasattr(page, "app") else {"doctors": NAMES}
    assert responses == [(200, body)] * 400
    fake_arzamed.assert_token_requests("Milano", 1)
    status, body = get("/clinics/Bari/doctors")
    assert (status, "Bari" in body["error"]) == (502, True)
    assert get("/clinics/nowhere/doctors")[0] == 404


@BOTH
def test_a_deadline_is_504_and_leaves_no_request_running(
    page: Any, get: Any, fake_arzamed: FakeArzamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 requests to a clinic that hangs end at their deadline, without a request left; the next one is served."""
    assert get("/clinics/Milano/doctors")[0] == 200  # the token
    monkeypatch.setattr(page, "DEADLINE_SECONDS", 0.2)
    fake_arzamed.script(*["hang"] * 16)
    with ThreadPoolExecutor(16) as executor:
        responses = list(executor.map(lambda _: get("/clinics/Milano/doctors")[0], range(16)))
    assert responses == [504] * 16
    asyncio.run(fake_arzamed.wait_until_idle())
    fake_arzamed.clear_faults()
    monkeypatch.setattr(page, "DEADLINE_SECONDS", 30)
    assert get("/clinics/Milano/doctors")[0] == 200


@BOTH
def test_a_worker_that_is_stopped_cancels_its_call(
    page: Any, get: Any, fake_arzamed: FakeArzamed, interrupt: Any
) -> None:
    """An exception of a signal's handler ends the request in progress, and its request to the clinic with it."""
    fake_arzamed.script("hang")

    def stop() -> None:
        with contextlib.suppress(AssertionError):  # the call is interrupted all the same, and does not hang
            requested(fake_arzamed)
        if waits.is_set():  # else the signal would meet whatever runs after the call
            signal.pthread_kill(main, signal.SIGUSR1)

    main, waits = threading.get_ident(), threading.Event()
    waits.set()
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        with pytest.raises(interrupt):
            get("/clinics/Milano/doctors")
    finally:
        waits.clear()
        thread.join()
    asyncio.run(fake_arzamed.wait_until_idle())
    assert get("/clinics/Milano/doctors")[0] == 200


@BOTH
def test_closing_ends_requests_in_progress(page: Any, get: Any, fake_arzamed: FakeArzamed) -> None:
    """A request that waits when the session is closed is 502, and so are later ones."""
    fake_arzamed.script("hang")
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(get, "/clinics/Milano/doctors")
        requested(fake_arzamed)
        page.arzamed.close()
        assert waiting.result()[0] == 502
    assert get("/clinics/Milano/doctors")[0] == 502


@pytest.mark.parametrize("page", ["django"], indirect=True)
def test_django_serves_the_same_plain_view_under_asgi(project: Any, fake_arzamed: FakeArzamed) -> None:
    """Plain views share the one session under ASGI too."""
    from django.test import AsyncClient

    async def main() -> None:
        responses: Any = await asyncio.gather(*(AsyncClient().get("/clinics/Milano/doctors") for _ in range(20)))
        assert [each.json() for each in responses] == [{"doctors": NAMES}] * 20

    asyncio.run(main())
    fake_arzamed.assert_token_requests("Milano", 1)


class Server:
    """An ASGI server in a few lines: the lifespan, and requests whose client may leave."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: asyncio.Queue[Any] = asyncio.Queue()

    async def __aenter__(self) -> Server:
        self.task = asyncio.create_task(self.application({"type": "lifespan"}, self.incoming.get, self.sent.put))
        self.incoming.put_nowait({"type": "lifespan.startup"})
        assert await self.reply() == {"type": "lifespan.startup.complete"}
        return self

    async def reply(self) -> Any:
        """Return what the application sends next; fail if it has ended instead."""
        getting = asyncio.ensure_future(self.sent.get())
        await asyncio.wait((getting, self.task), return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            await self.task  # which raises the application's error
            raise AssertionError("the application has ended without a message")
        return await getting

    async def __aexit__(self, *_: object) -> None:
        self.incoming.put_nowait({"type": "lifespan.shutdown"})
        assert await self.reply() == {"type": "lifespan.shutdown.complete"}
        await self.task

    async def get(self, path: str, left: asyncio.Event | None = None) -> tuple[int, bytes] | None:
        """Get a path; `left` is set when the client leaves."""
        first, parts = [{"type": "http.request", "body": b""}], []

        async def receive() -> Any:
            if first:
                return first.pop()
            await (left or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(part: Any) -> None:
            parts.append(part)

        scope = {
            "type": "http", "method": "GET", "path": path, "headers": [(b"host", b"testserver")], "query_string": b"",
        }  # fmt: skip
        await self.application(scope, receive, send)
        return (parts[0]["status"], b"".join(each.get("body", b"") for each in parts[1:])) if parts else None


@pytest.mark.parametrize("page", ["django"], indirect=True)
def test_an_async_view_of_django_shares_the_servers_session(
    project: Any, fake_arzamed: FakeArzamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under ASGI 50 requests at once have one token; a client that leaves cancels its call; the server's end closes all."""
    from django.test import override_settings

    asgi = import_page("django", monkeypatch, 1)

    async def main() -> None:
        async with Server(asgi.application) as server:
            responses = await asyncio.gather(*(server.get("/clinics/Milano/doctors") for _ in range(50)))
            assert {each[0] for each in responses if each} == {200}
            assert (await server.get("/clinics/Bari/doctors") or (0,))[0] == 502
            assert (await server.get("/clinics/nowhere/doctors") or (0,))[0] == 404
            fake_arzamed.assert_token_requests("Milano", 1)
            fake_arzamed.script("hang")
            before, left = len(fake_arzamed.requests), asyncio.Event()
            call = asyncio.create_task(server.get("/clinics/Milano/doctors", left))
            while len(fake_arzamed.requests) == before:
                await asyncio.sleep(0.005)
            left.set()
            await call
            await fake_arzamed.wait_until_idle()
        assert "closed" in repr(asgi.session)

    with override_settings(ROOT_URLCONF=asgi.__name__):
        asyncio.run(main())
