"""What the commands have in common: what they were asked for, their session, their progress and their exit codes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

from attrs import frozen
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from arzamed_async import (
    PRODUCTION,
    SANDBOX,
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    Endpoints,
    Event,
    Limits,
    RetryScheduled,
    TokenRequestFinished,
    TokenStore,
    TokenStoreFailed,
)

from .ending import Code
from .interrupts import interrupts
from .voice import Voice, is_terminal

__all__ = ["Counter", "Request", "base_url_of", "code_of", "finish", "open_session", "run"]

T = TypeVar("T")


def code_of(worked: int, failed: int) -> int:
    """Return the exit code for so many clinics."""
    if not failed:
        return Code.ALL
    return Code.SOME_FAILED if worked else Code.NONE_WORKED


@frozen(kw_only=True)
class Request:
    """What a command was asked for."""

    clinics: Sequence[ClinicCredentials]
    base_url: str = PRODUCTION
    concurrency: int = 64
    deadline_seconds: float | None = None
    verbose: bool = False
    token_store: bool = True


def base_url_of(base_url: str | None, *, sandbox: bool) -> str:
    """Return the base URL that was asked for."""
    if base_url is not None and sandbox:
        raise ConfigurationError("--sandbox and --base-url exclude each other")
    url = base_url or (SANDBOX if sandbox else PRODUCTION)
    try:
        ArzamedSession(base_url=url)
    except ConfigurationError as error:
        problem = str(error).replace("base_url", "--base-url", 1)
    else:
        return url
    raise ConfigurationError(problem)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. After a KeyboardInterrupt (Ctrl-C or SIGTERM) all tasks have ended, but threads may still hang."""
    runner = asyncio.Runner()
    try:
        value = runner.run(_cancelled_by_signals(work))
    except KeyboardInterrupt:
        raise  # closing waits for the look-up of a name, however long that takes
    except asyncio.CancelledError:
        if interrupts.received is not None:
            raise KeyboardInterrupt from None
        raise
    except BaseException:
        runner.close()
        raise
    runner.close()
    return value


async def _cancelled_by_signals(work: Coroutine[Any, Any, T]) -> T:
    with interrupts.cancelling():
        return await work


def finish(command: Callable[[Voice], int]) -> int:
    """Run a command; return its exit code. What the user can mend is one line, and no traceback."""
    voice = Voice()
    try:
        return command(voice)
    except ConfigurationError as error:
        voice.say(str(error))
        return Code.USAGE
    except KeyboardInterrupt:
        return interrupts.code


@asynccontextmanager
async def open_session(
    request: Request, voice: Voice, *, endpoints: Endpoints = Endpoints(), limits: Limits = Limits()
) -> AsyncGenerator[ArzamedSession]:
    """Give a session as it was asked for."""
    store = _store(voice) if request.token_store else None
    try:
        async with ArzamedSession(
            base_url=request.base_url,
            endpoints=endpoints,
            limits=limits,
            token_store=store,
            observers=[_observer(request, voice)],
        ) as session:
            yield session
    finally:
        if store is not None:
            await store.aclose()


def _store(voice: Voice) -> TokenStore | None:
    from arzamed_async.stores import FileTokenStore

    try:
        return FileTokenStore()
    except ConfigurationError as error:
        voice.say(f"{error}. Tokens are not kept for the next command")
    return None


def _observer(request: Request, voice: Voice) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, TokenStoreFailed):
            voice.say(f"the token store cannot be used ({event.error}). Tokens are not kept for the next command")
        elif not request.verbose:
            return
        elif isinstance(event, RetryScheduled):
            call = f"{event.method} {event.path}"
            what = f"attempt {event.attempt} met {event.reason}, again in {event.delay_seconds:.1f} s"
            voice.say(f"{event.clinic}: {call}: {what}")
        elif isinstance(event, TokenRequestFinished):
            voice.say(f"{event.clinic}: token request: {event.status or event.error} in {event.seconds:.1f} s")

    return tell


class _Records(ProgressColumn):
    def __init__(self, count: Callable[[], int]) -> None:
        super().__init__()
        self._count = count

    def render(self, task: Task) -> Text:
        """Return how many records there are by now."""
        return Text(f"{self._count():,} records")


class Counter:
    """Counts what comes in, and shows it on a terminal where nothing else is written to it meanwhile."""

    def __init__(self, voice: Voice, total: int, *, quiet: bool) -> None:
        self.records: dict[str, int] = {}
        self._progress: Progress | None = None
        if is_terminal(sys.stderr) and not quiet:
            self._progress = Progress(
                TextColumn("Reading clinics"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                _Records(lambda: sum(self.records.copy().values())),
                TimeElapsedColumn(),
                console=voice.console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar = self._progress.add_task("", total=total)

    def shown(self) -> AbstractContextManager[object]:
        """Show it inside of this."""
        return self._progress or nullcontext()

    def step(self, done: int, failed: int, total: int | None) -> None:
        """Note that one more clinic is done."""
        if self._progress is not None:
            self._progress.update(self._bar, completed=done)
