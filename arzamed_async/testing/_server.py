"""The requests of a fake Arzamed: each is counted, delayed, failed or served."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from attrs import field

from arzamed_async._extras import frozen

from ._answer import Answer
from ._breaks import BREAKS
from ._clinics import Clinics, Counts, FakeClinic
from ._faults import Fault
from ._limits import Limits
from ._photos import PHOTOS_PATH, photo_response
from ._records import Body
from ._script import On, Refusal, Script, SlowBody
from ._tokens import Tokens, key_or_refusal

__all__ = ["BASE_PATH", "Handler", "RecordedRequest", "Settings"]

BASE_PATH = "/api/v1/"
_KEPT_REQUESTS = 10_000
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LARGE_BYTES = 65_536
_CUT = web.RequestKey("cut", bool)
_JSON = {"Content-Type": "application/json; charset=utf-8"}


class Settings(Protocol):
    """The settings that may be changed while the server runs."""

    latency_seconds: float
    token_latency_seconds: float
    token_lifetime_seconds: float
    compress: bool


@frozen
class RecordedRequest:
    """A request as received."""

    kind: On
    """"api" or "token"."""
    method: str
    """The HTTP method."""
    path: str
    """The path, from the root of the server."""
    query: str
    """The query, as it was sent."""
    clinic: str
    """The clinic's name, or empty if the request identified none."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers, with names in lower case; of Authorization only the scheme is kept."""


class _Cut(Exception):  # noqa: N818 - not an error: the body was sent up to its cut
    """Raised once the body has been sent up to its cut: the connection is closed then."""


class Handler:
    """Handles every request of the server."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.clinics = Clinics()
        self.tokens = Tokens(clock)
        self.counts = Counts()
        self.limits = Limits(clock)
        self.faults = Script[Fault]()
        self.cuts = Script[int]()
        self.slow_bodies = Script[SlowBody]()
        self._requests = deque[RecordedRequest](maxlen=_KEPT_REQUESTS)
        self._recording = threading.Lock()
        self.tasks = set[asyncio.Task[object]]()
        self.origin = ""
        self._settings = settings

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(PHOTOS_PATH):
            return photo_response(request)
        authorization = request.headers.get("Authorization", "")
        clinic = self.clinics.at(request.path)
        refusal: Refusal | None = None
        kind: On = "token" if clinic else "api"
        if clinic is None:
            clinic, refusal = self.tokens.owner(authorization)
        self._record(kind, clinic, request)
        counted = (self.counts, clinic.counts) if clinic else (self.counts,)
        for counts in counted:
            counts.begin(kind)
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        entered = self.limits.enter(kind, clinic)
        try:
            if isinstance(entered, Refusal):
                return _refuse(entered)
            return await self._respond(request, kind, clinic, refusal)
        finally:
            # Before the last bytes are sent: a client that has its response is never counted as open.
            self.tasks.discard(task)
            if not isinstance(entered, Refusal):
                self.limits.leave(entered)
            for counts in counted:
                counts.end()

    async def _respond(
        self, request: web.BaseRequest, kind: On, clinic: FakeClinic | None, refusal: Refusal | None
    ) -> web.StreamResponse:
        await self._delay(kind, clinic)
        path = request.path.removeprefix(BASE_PATH).strip("/")
        fault = self.faults.take(kind, clinic, path)
        if isinstance(fault, Refusal):
            return _refuse(fault)
        if isinstance(fault, Answer):
            return _answer(fault)
        if fault in BREAKS:
            await BREAKS[fault](request)
        request[_CUT] = fault == "cut"
        if kind == "token":
            assert clinic is not None
            return await self._token(request, clinic, request.headers.get("Authorization", ""))
        return await self._list(request, clinic, refusal, path)

    def _record(self, kind: On, clinic: FakeClinic | None, request: web.BaseRequest) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " ***"
        name = clinic.name if clinic else ""
        record = RecordedRequest(kind, request.method, request.path, request.query_string, name, headers)
        with self._recording:
            self._requests.append(record)

    def recorded(self) -> list[RecordedRequest]:
        """Return the last requests, oldest first."""
        with self._recording:
            return list(self._requests)

    async def _delay(self, kind: On, clinic: FakeClinic | None) -> None:
        settings = self._settings
        seconds = settings.token_latency_seconds if kind == "token" else settings.latency_seconds
        if clinic is not None:
            seconds = clinic.latency_seconds.get(kind, seconds)
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _token(self, request: web.BaseRequest, clinic: FakeClinic, authorization: str) -> web.StreamResponse:
        if request.method != "POST":
            return _refuse(Refusal(405, "invalid_request", "POST is the only method", (("Allow", "POST"),)))
        key = key_or_refusal(clinic, authorization, request.content_type, await request.read())
        if isinstance(key, Refusal):
            return _refuse(key)
        lifetime = self._settings.token_lifetime_seconds
        token = self.tokens.issue(clinic, key, self.origin, lifetime)
        grant = {"access_token": token, "token_type": "Bearer", "expires_in": lifetime}
        body = json.dumps(grant).encode()
        headers = {**_JSON, "Cache-Control": "no-store"}
        return await self._send(request, "token", clinic, "", headers, [body], len(body))

    async def _list(
        self, request: web.BaseRequest, clinic: FakeClinic | None, refusal: Refusal | None, path: str
    ) -> web.StreamResponse:
        if refusal is not None:
            return _refuse(refusal)
        assert clinic is not None
        raw_path = request.rel_url.raw_path
        found = clinic.endpoints.find(raw_path.removeprefix(BASE_PATH)) if raw_path.startswith(BASE_PATH) else None
        if found is None:
            return _refuse(Refusal(404, "Not found"))
        if request.method != "GET":
            return _refuse(Refusal(405, "Method not allowed", headers=(("Allow", "GET"),)))
        endpoint, values = found
        body = endpoint.respond(values, request.query)
        if body is None:
            return _refuse(Refusal(404, "Not found"))
        if isinstance(body, Answer):
            return _answer(body)
        headers = dict(_JSON)
        pieces, length = self._encoded(request, body, headers)
        return await self._send(request, "api", clinic, path, headers, pieces, length)

    def _encoded(
        self, request: web.BaseRequest, body: Body, headers: dict[str, str]
    ) -> tuple[Iterable[bytes], int | None]:
        """Return the body in pieces, and its length where it is known before it is sent."""
        pieces: Iterable[bytes] = body.pieces()
        length = None if body.data is None else len(body.data)
        if self._settings.compress and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            pieces = _gzip(pieces)
            if length is not None:
                pieces = [b"".join(pieces)]
                length = len(pieces[0])
        return pieces, length

    async def _send(
        self,
        request: web.BaseRequest,
        kind: On,
        clinic: FakeClinic,
        path: str,
        headers: dict[str, str],
        pieces: Iterable[bytes],
        length: int | None,
    ) -> web.StreamResponse:
        cut = self.cuts.take(kind, clinic, path)
        if request[_CUT]:
            cut = (length or 2) // 2
        slow = self.slow_bodies.take(kind, clinic, path)
        if cut is None and slow is None and length is not None and length < _LARGE_BYTES:
            return web.Response(body=b"".join(pieces), headers=headers)
        response = web.StreamResponse(headers=headers)
        if cut is not None and length is not None:
            # Without a length, the missing last chunk shows the cut.
            response.content_length = length
            cut = min(cut, length - 1)
        await response.prepare(request)
        try:
            for piece in _portions(pieces, cut, slow):
                await response.write(piece)
                if slow is not None:
                    await asyncio.sleep(slow.pause_seconds)
        except _Cut:
            # The bytes written are still sent; then the connection ends in the middle of the body.
            if request.transport is not None:
                request.transport.close()
        return response


def _portions(pieces: Iterable[bytes], cut: int | None, slow: SlowBody | None) -> Iterator[bytes]:
    """Yield the pieces in the sizes in which they are written. Raises _Cut where the body is cut."""
    left = cut
    for piece in pieces:
        whole = piece if left is None else piece[:left]
        size = slow.chunk_bytes if slow else len(whole) or 1
        for at in range(0, len(whole), size):
            yield whole[at : at + size]
        if left is not None:
            left -= len(whole)
            if left <= 0:
                raise _Cut
    if cut is not None:
        raise _Cut


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=31)
    for piece in pieces:
        if packed := compressor.compress(piece):
            yield packed
    yield compressor.flush()


def _answer(answer: Answer) -> web.Response:
    body, headers = answer.encoded()
    return web.Response(status=answer.status, body=body, headers=headers)


def _refuse(refusal: Refusal) -> web.Response:
    words = {"error": refusal.error or _PHRASES.get(refusal.status, "Error")}
    if refusal.description:
        words["error_description"] = refusal.description
    return web.Response(
        status=refusal.status, body=json.dumps(words).encode(), headers={**_JSON, **dict(refusal.headers)}
    )
