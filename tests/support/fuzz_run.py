"""Generated answers through the whole client, over loopback sockets, each judged: a library error, or what it says."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, cast

import aiohttp.helpers
from attrs import define, field

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    DeadlineExceededError,
    DecodeError,
    Doctor,
    Endpoint,
    PoolLimits,
    ResponseError,
    RetryPolicy,
    StatusError,
    StreamInterruptedError,
    Timeouts,
    TokenError,
    TransportError,
)
from support import SECRET, TOKEN, token_answer
from support.fuzz_answers import Case, case_of, first_in, list_in, may_be, strict, token_in

WALL = 1_700_000_000.0
CROWD = 32


class Wire(asyncio.Protocol):
    """One connection of a server that answers request n with case n, byte for byte."""

    def __init__(self, cases: dict[int, Case]) -> None:
        self._cases = cases
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of no class of asyncio

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end or (head.startswith(b"POST") and not rest.endswith(b"read")):  # the token request ends in its scope
            return
        self._buffer = b""
        name = head.split(b" ", 2)[1].rsplit(b"/", 1)[1]
        if name.isdigit():
            case = self._cases[int(name)]
            self._send(list(case.pieces), case.closes)
        else:
            self._transport.write(token_answer())

    def _send(self, pieces: list[bytes], closes: bool) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(pieces.pop(0))
        if pieces:
            asyncio.get_running_loop().call_soon(self._send, pieces, closes)
        elif closes:
            self._transport.close()


@define
class Verdict:
    """How many answers ended in which class, and those that ended wrong."""

    ends: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)


class Fuzz:
    """Calls of one kind, answered by the cases of one family."""

    def __init__(self, kind: str, *, good_http: bool) -> None:
        self.kind = kind
        self.good_http = good_http
        self.cases: dict[int, Case] = {}
        self.verdict = Verdict()

    async def run(self, cases: Iterator[tuple[int, Case]]) -> Verdict:
        """Take each case through the client, `CROWD` at once over several clinics."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Wire(self.cases), "127.0.0.1", 0)
        self.host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with (
            server,
            ArzamedSession(
                base_url=f"{self.host}/api/v1",
                pacing=None,  # a Retry-After of the fuzzer would shut a clinic for the rest of the run
                retry=RetryPolicy.none()
                if self.good_http
                else RetryPolicy(max_attempts=2, initial_backoff_seconds=1e-9, budget=math.inf),
                timeouts=Timeouts(total_seconds=60, read_seconds=60, record_seconds=60),
                pool=PoolLimits(connections=CROWD, connections_per_clinic=CROWD),
                wall_clock=lambda: WALL,
                clock=lambda: 1000.0,
            ) as session,
        ):
            self.session = session
            clinics = [session.clinic(self._credentials(f"clinic-{number}", "good")) for number in range(4)]
            await asyncio.gather(*(self._work(clinics[number % 4], cases) for number in range(CROWD)))
        return self.verdict

    def _credentials(self, name: str, path: str) -> ClinicCredentials:
        return ClinicCredentials(name, SECRET, f"{self.host}/token/{path}")

    async def _work(self, clinic: Clinic, cases: Iterator[tuple[int, Case]]) -> None:
        for number, case in cases:
            self.cases[number] = case
            try:
                end, complaint = await self._judged(clinic, number, case)
            except Exception as error:  # noqa: BLE001 - just what must not happen
                end, complaint = f"foreign {type(error).__name__}", repr(error)
            self.verdict.ends[end] += 1
            if complaint:
                self.verdict.wrong.append(f"{self.kind} {number}: {complaint}: {case.pieces!r}"[:3000])
            del self.cases[number]

    async def _judged(self, clinic: Clinic, number: int, case: Case) -> tuple[str, str]:
        """Return how it ended, and what is wrong with that."""
        result: Any = None
        got: list[Doctor] = []
        try:
            match self.kind:
                case "list":
                    result = await self._resource(clinic, number).list()
                case "stream":
                    async with self._resource(clinic, number).stream() as doctors:
                        async for each in doctors:
                            got.append(each)
                    result = got
                case "get":
                    result = await clinic.get(f"fuzz/{number}")
                case _:
                    result = await self._token(number)
        except ArzamedError as error:
            return type(error).__name__, self._complaint(case, error, got)
        if self.kind in ("list", "stream"):
            result = [(each.name, each.profile_image) for each in result]
        return "a result", self._wrong_result(case, result)

    def _resource(self, clinic: Clinic, number: int) -> Any:
        return clinic.resource(Endpoint(f"fuzz/{number}", Doctor))

    async def _token(self, number: int) -> tuple[str, float]:
        credentials = self._credentials(str(number), str(number))
        try:
            token = await self.session.clinic(credentials).token()
        finally:
            self.session.forget(credentials)
        return token.access_token, token.expires_at.timestamp() - WALL

    # What may be.

    def _reading(self) -> Callable[[bytes], Any]:
        return token_in if self.kind == "token" else list_in

    def _wrong_result(self, case: Case, result: Any) -> str:
        if self.kind == "get":
            return self._wrong_answer(case, result)
        read = self._reading()
        if case.body is None:
            right = may_be(case.raw, result, read)
        else:
            right = 200 <= case.status <= 299 and read(case.body) == result
        return "" if right else f"no such result: {result!r}"

    def _wrong_answer(self, case: Case, answer: Any) -> str:
        if case.body is None:
            right = may_be(case.raw, answer.body, bytes)
        else:
            right = answer.body == case.body and answer.status == case.status and 200 <= case.status <= 299
        try:
            right = right and answer.json() == strict(answer.body)
        except DecodeError:
            right = right and strict(answer.body) is ...
        except RecursionError:  # two values deeper than Python can compare
            pass
        return "" if right else f"no such answer: {answer.body!r}"

    def _complaint(self, case: Case, error: ArzamedError, got: list[Doctor]) -> str:
        """Return what is wrong with this error."""
        text = f"{error!r} {error}"
        if SECRET in text or TOKEN in text:
            return "a secret in the open"
        if error.__cause__ is not None or error.__context__ is not None:
            return f"something chained to {error!r}"
        if isinstance(error, DeadlineExceededError):
            return "it hung"
        if got:
            records = [(each.name, each.profile_image) for each in got]
            if isinstance(error, StreamInterruptedError) and error.delivered != len(got):
                return f"{error.delivered} records told, {len(got)} delivered"
            raw = case.raw if case.body is None else b"\n\n" + case.body
            if not may_be(raw, records, lambda body: first_in(body)[: len(got)], whole=False):
                return "records that are not the list's first"
        return "" if case.body is None else self._refused(case, case.body, error)

    def _refused(self, case: Case, body: bytes, error: ArzamedError) -> str:
        """Return what is wrong with refusing an answer that is good HTTP."""
        if self.kind == "token":
            good, kinds = token_in(body) is not None, (TokenError,)
        else:
            good, kinds = self.kind == "get" or list_in(body) is not None, (ResponseError, TransportError)
            if case.status > 299:
                kinds = (StatusError,)
        if aiohttp.helpers.DEBUG and isinstance(error, TransportError | TokenError) and "is not HTTP" in str(error):
            return ""  # under `python -X dev` aiohttp refuses what it lets pass otherwise, such as two Content-Types
        if good and case.status <= 299:
            return f"a good answer refused: {error}"
        if not isinstance(error, kinds) or getattr(error, "status", case.status) not in (case.status, None):
            return f"not the error for it: {error!r}"
        return ""


def seeded(kind: str, seed: int, count: int, *, good_http: bool) -> Iterator[tuple[int, Case]]:
    """Yield numbered cases: any of them can be made again from seed and number."""
    for number in range(count):
        yield number, case_of(kind, random.Random(f"{seed} {kind} {number}"), good_http=good_http)
