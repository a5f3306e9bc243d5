"""What the tests in a browser share: servers on free ports, clinics that answer when told to, and a watched page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from playwright.async_api import ConsoleMessage, Locator, Page
from support import RawServer, Request, json_answer, token_answer

from arzamed_async import ClinicCredentials
from arzamed_async.testing import FakeArzamed
from examples.clinic_directory.app import Place, create_app

BOUND_SECONDS = 60.0


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(app: object) -> AsyncIterator[str]:
    """Serve an ASGI application on a free port of loopback; give its URL, without a slash at the end."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        port=0,
        ws="none",
        lifespan="on",
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done())
        if task.done():
            await task
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def directory_of(
    clinics: Sequence[ClinicCredentials], base_url: str, photos: Sequence[str] = (), hosts: Sequence[str] = ()
) -> object:
    """Return the application over these clinics."""

    @asynccontextmanager
    async def source() -> AsyncIterator[Place]:
        yield Place(clinics, base_url, photos)

    return create_app(source, hosts)


def serving_fake(
    fake: FakeArzamed, clinics: Sequence[ClinicCredentials], *photos: str
) -> AbstractAsyncContextManager[str]:
    """Serve the application over clinics of a FakeArzamed."""
    return serving(directory_of(clinics, fake.base_url, [fake.origin, *photos]))


class HeldClinics(RawServer):
    """Clinics that answer only when told to."""

    def __init__(self, *names: str) -> None:
        super().__init__(self._answer)
        self.names = names
        self._open = {name: asyncio.Event() for name in names}

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(f"invented-{request.target.rpartition('/')[2]}"))
            return
        name = request.headers["authorization"].rpartition("-")[2]
        await self._open[name].wait()
        writer.write(json_answer(200, [{"name": f"Dr. Finto {name}", "profileImage": None}]))

    def let(self, name: str) -> None:
        """Let this clinic answer."""
        self._open[name].set()

    @property
    def clinics(self) -> list[ClinicCredentials]:
        """The credentials of all."""
        return [self.credentials(name) for name in self.names]


def work_of_ours() -> list[str]:
    """Return what the library runs in this event loop now: the files of its tasks' coroutines."""
    files = [getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()]
    return [code.co_filename for code in files if code is not None and "/arzamed_async/" in code.co_filename]


class Desk:
    """The page, and what its console said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def read(self, url: str) -> None:
        """Open the page and wait until all clinics have answered."""
        await self.page.goto(url)
        await self.done()

    async def done(self) -> None:
        """Wait until all clinics have answered."""
        await self.page.locator("body:not(.reading)").wait_for()

    @property
    def cards(self) -> Locator:
        """The cards that can be seen."""
        return self.page.locator("#cards > li:visible")

    @property
    def doctors(self) -> Locator:
        """The doctors' names that can be seen."""
        return self.page.locator(".doctor:visible .name")

    @property
    def headings(self) -> Locator:
        """The clinics' names that can be seen."""
        return self.page.locator("#cards h2:visible")

    async def focused(self) -> str:
        """Return the id of what has the focus."""
        return str(await self.page.locator(":focus").evaluate("element => element.id || element.className"))
