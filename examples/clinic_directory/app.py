"""The web application: one session for the process, one page, one stream of events for each browser."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles

from arzamed_async import (
    ArzamedSession,
    BreakerPolicy,
    ClinicCredentials,
    Doctor,
    FanOut,
    Outcome,
    SessionClosedError,
    Success,
    Timeouts,
)

from .guards import KnownHosts, QuietLeaving, SafeHeaders
from .words import explain

__all__ = ["Place", "create_app"]

STATIC = Path(__file__).with_name("static")
#: For one clinic, and for all of them. Shorter than what proxies and web servers allow a request.
CLINIC_SECONDS = 10.0
PAGE_SECONDS = 20.0

log = logging.getLogger("clinic_directory")


@dataclass(frozen=True)
class Place:
    """Where the clinics are, and where their photos may come from (sources of a Content-Security-Policy)."""

    clinics: Sequence[ClinicCredentials]
    base_url: str
    photos: Sequence[str]


#: Opens what the application reads from, and closes it at the end.
Source = Callable[[], AbstractAsyncContextManager[Place]]


def create_app(source: Source, hosts: Sequence[str] = ()) -> FastAPI:
    """Return the application; `source` is opened when it starts. `hosts`: what it is called, beside localhost."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        """Hold the one session of this process. `coalesce`: browsers that come together share each clinic's request."""
        async with (
            source() as place,
            ArzamedSession(
                base_url=place.base_url,
                timeouts=Timeouts(total_seconds=CLINIC_SECONDS),
                breaker=BreakerPolicy(),
                coalesce=True,
            ) as session,
        ):
            app.state.session = session  # for whoever stops the server: closing it ends every stream
            yield {"session": session, "place": place}

    # Its own pages of documentation need inline scripts, which the policy below forbids.
    app = FastAPI(title="Clinic directory", lifespan=lifespan, openapi_url=None)
    app.add_middleware(SafeHeaders)
    app.add_middleware(QuietLeaving)
    app.add_middleware(KnownHosts, hosts=hosts)  # the last one is the first that a request meets
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.get("/", include_in_schema=False)(page)
    app.get("/doctors", response_class=EventSourceResponse)(doctors)
    return app


async def page() -> FileResponse:
    """Answer with the page."""
    return FileResponse(STATIC / "index.html")


def clinics(request: Request) -> Sequence[ClinicCredentials]:
    """Return the clinics of the directory."""
    return cast("Place", request.state.place).clinics


Clinics = Annotated[Sequence[ClinicCredentials], Depends(clinics)]


async def all_doctors(request: Request, clinics: Clinics) -> AsyncIterator[FanOut[list[Doctor]]]:
    """Own the fan-out of one browser.

    A dependency, so that the request ends it whichever way it ends. A generator of events that is left at a `yield`
    would end it only when it is collected.
    """
    session = cast("ArzamedSession", request.state.session)
    async with session.fan_out(
        clinics, lambda clinic: clinic.doctors.list(), deadline_seconds=PAGE_SECONDS
    ) as outcomes:
        yield outcomes


async def doctors(
    clinics: Clinics, outcomes: Annotated[FanOut[list[Doctor]], Depends(all_doctors)]
) -> AsyncIterable[ServerSentEvent]:
    """Send `start` with the clinics' names, `clinic` for each as it answers, and `done`."""
    yield ServerSentEvent(event="start", data={"clinics": [each.display_name for each in clinics]})
    async for outcome in outcomes:
        yield ServerSentEvent(event="clinic", data=card(outcome))
    # Without it the browser would take the end for a broken connection, and ask again.
    yield ServerSentEvent(event="done", data={})


def card(outcome: Outcome[list[Doctor]]) -> dict[str, object]:
    """Return what the page shows of a clinic."""
    shown: dict[str, object] = {"clinic": outcome.clinic, "seconds": round(outcome.seconds, 2)}
    if isinstance(outcome, Success):
        return shown | {"doctors": [{"name": each.name, "photo": each.profile_image} for each in outcome.value]}
    if not isinstance(outcome.error, SessionClosedError):  # that is the server's own end
        log.warning("%s", outcome.error)  # it holds no secret, and no one's data
    what, remedy = explain(outcome.error)
    return shown | {"problem": {"what": what, "remedy": remedy}}
