"""One call through its layers.

From the outside in: is the session open? -> the deadline starts -> the retry loop -> [ token -> one attempt
with its body ]. The one repeat after a 401 happens inside the brackets.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import frozen

from ._attempts import read_some, too_long
from ._engine import ClinicState, Engine, Options
from ._protocol import status_error
from ._scope import Scope
from ._tokens import HeldToken
from ._answers import Answer
from .errors import (
    ArzamedError,
    DeadlineExceededError,
    SessionClosedError,
    StatusError,
    TokenError,
    TransportError,
)
from .events import RequestFinished, RetryScheduled

__all__ = ["Call", "Target"]

R = TypeVar("R")


@frozen
class Target:
    """Where a call goes, and how it is spoken of: `path` is what errors and events show, `url` the whole of it."""

    clinic: ClinicState
    name: str
    path: str
    url: str
    hint: str = ""


class Call(Generic[R]):
    """One GET, with all its attempts. `use` makes an answer (a 2xx) into the result; it is `use` that reads the body.

    With `keep` a good answer is not closed behind `use`: who reads on has to.
    """

    def __init__(
        self,
        engine: Engine,
        target: Target,
        options: Options,
        use: Callable[[Answer], Awaitable[R]],
        *,
        keep: bool = False,
    ) -> None:
        self.keep = keep
        self.engine = engine
        self.target = target
        self.options = options
        self.use = use
        self.scope: Scope
        self.attempts = 0
        self.last = ""

    async def run(self) -> R:
        """Return what the answer is made into. Raises what the contract's tree says, and nothing else."""
        timeouts = self.options.timeouts
        scope = self.scope = self.engine.scope(timeouts.total_seconds, self.target.name, timeouts.read_seconds)
        with scope:
            return await self.options.retrier.run(self)
        raise self.cut_short(timeouts.total_seconds)

    async def attempt(self) -> R:
        """Open one answer and use it. Raises an ArzamedError that tells the clinic, the call and the attempts."""
        try:
            answer = await self._open()
            try:
                result = await self.use(answer)
            except BaseException:
                answer.close()
                raise
        except ArzamedError as error:
            self.describe(error)
            raise
        if not self.keep:
            answer.close()
        return result

    async def _open(self) -> Answer:
        tokens = self.target.clinic.tokens
        held = tokens.current() or await tokens.get()
        answer = await self._send(held)
        if answer.status == 401 and tokens.reject(held):
            answer.close()
            held = await tokens.get()
            answer = await self._send(held)
            if answer.status == 401:
                tokens.reject(held)
        if 200 <= answer.status <= 299:
            return answer
        raise await self._refusal(answer, held)

    async def _send(self, held: HeldToken) -> Answer:
        self.attempts += 1
        engine = self.engine
        headers = {"Authorization": held.authorization}
        if not engine.observers:
            return await engine.transport.open("GET", self.target.url, headers, self.options.timeouts, self.scope)
        started = time.perf_counter()
        status, error = None, "CancelledError"
        try:
            answer = await engine.transport.open("GET", self.target.url, headers, self.options.timeouts, self.scope)
            status, error = answer.status, ""
        except ArzamedError as fault:
            error = type(fault).__name__
            raise
        else:
            return answer
        finally:
            seconds = time.perf_counter() - started
            engine.emit(
                RequestFinished(
                    clinic=self.target.name,
                    method="GET",
                    path=self.target.path,
                    attempt=self.attempts,
                    status=status,
                    seconds=seconds,
                    error=error,
                )
            )

    async def _refusal(self, answer: Answer, held: HeldToken) -> StatusError:
        headers = answer.headers
        body = await read_some(answer)
        sent = self.target.clinic.sent
        secrets = (held.token.access_token, *(sent.forms() if sent else ()))
        error = status_error(answer.status, headers, body, secrets, self.engine.wall_clock())
        if 400 <= answer.status <= 499:
            error.hint = self.target.hint
        return error

    def describe(self, error: ArzamedError) -> None:
        """Complete the error's facts with those of this call."""
        error.clinic = self.target.name
        if not isinstance(error, TokenError):
            error.method, error.path, error.attempts = "GET", self.target.path, self.attempts

    def wait_for(self, error: ArzamedError) -> float | None:
        """See Attempts."""
        policy = self.options.retry
        asked: float | None = None
        if isinstance(error, StatusError):
            asked = error.retry_after_seconds
            repeatable = error.status in policy.statuses
        else:
            repeatable = isinstance(error, TransportError) and error.transient
        if not repeatable or too_long(asked, policy, self.scope.deadline):
            raise error
        self.last = str(error.args[0])
        return asked

    def waiting(self, error: ArzamedError, seconds: float) -> None:
        """See Attempts."""
        if self.engine.observers:
            self.engine.emit(
                RetryScheduled(
                    clinic=self.target.name,
                    method="GET",
                    path=self.target.path,
                    attempt=self.attempts,
                    delay_seconds=seconds,
                    reason=self.last,
                )
            )

    def cut_short(self, seconds: float) -> ArzamedError:
        """Return the error for work that its scope has ended; `seconds` is the deadline that was set."""
        error: ArzamedError
        if self.scope.ended == "closed":
            error = SessionClosedError("the session was closed during this call")
        else:
            error = DeadlineExceededError(seconds=seconds, last=self.last)
        self.describe(error)
        return error
