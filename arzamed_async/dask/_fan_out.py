"""The face of a fan-out on Dask: an async iterator and an async context manager, to be used once."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from arzamed_async import ConfigurationError, Outcome
from arzamed_async._extras import missing_package

from ._plan import Credentials, Fetch, Plan, SessionOptions, Shards, Store, checked_options

if TYPE_CHECKING:
    from ._run import Run

__all__ = ["DaskFanOut", "SessionOptions", "fan_out_dask"]

T = TypeVar("T")


def fan_out_dask(
    client: Any,
    credentials: Credentials,
    fetch: Fetch[T],
    *,
    shard_size: int = 256,
    token_store: Store | None = None,
    allow_literal_secrets: bool = False,
    concurrency: int = 64,
    **session_options: Unpack[SessionOptions],
) -> DaskFanOut[T]:
    """Run `fetch` over many clinics on a Dask cluster; hand back a Success or a Failure for each as it finishes.

        async with Client(address, asynchronous=True) as client:
            async with fan_out_dask(client, load_clinics("clinics.toml"), read_doctors) as outcomes:
                async for outcome in outcomes: ...

    `client` is an asynchronous distributed.Client of this event loop. `credentials` (an iterable or async iterable)
    are drawn lazily, in shards of `shard_size`; a shard is one Dask task. At most two shards for each thread of the
    cluster are under way. A worker has one session for the fan-out, made with `session_options`, and runs
    `session.fan_out` with `concurrency` over each shard in its own event loop: workers with one thread each do best.

    `fetch`, what it returns, and `token_store` (a TokenStore, or a callable that makes one on the worker) are
    pickled. Outcomes pass through the scheduler, so that it and the ways to it should be trusted with them (TLS).
    Secrets are sent as references, which are resolved on the workers: one given as text is refused, unless
    `allow_literal_secrets` lets it pass through the scheduler as well.

    Each clinic has exactly one outcome, also where a worker dies: then its shard is read again. Where a shard has
    cost more workers than Dask allows (`distributed.scheduler.allowed-failures`), its clinics without an outcome
    fail with TransportError. Where no worker is left it waits for one, as Dask does, as long as
    `distributed.scheduler.no-workers-timeout` says (by default for ever); a scheduler that is gone ends it within Dask's
    connect timeout. Both are Dask's errors, raised as they are. An exception that is no ArzamedError is a bug: it cancels the rest and is raised as it
    is. Raises ConfigurationError.
    """
    check_client(client)
    plan = Plan(
        client,
        Shards(credentials, shard_size, allow_literal_secrets=allow_literal_secrets),
        fetch,
        concurrency,
        token_store,
        checked_options(session_options, concurrency),
    )
    return DaskFanOut(plan)


def check_client(client: Any, *, connected: bool = False) -> None:
    """Raise ConfigurationError if this is no client that can be awaited here."""
    library: Any = None
    with contextlib.suppress(ImportError):
        library = importlib.import_module("distributed")
    if library is None:
        raise ConfigurationError(missing_package("fan_out_dask", "distributed", "dask"))
    if not isinstance(client, library.Client):
        raise ConfigurationError(f"client must be a distributed.Client, not {type(client).__name__}")
    if not client.asynchronous:
        raise ConfigurationError(
            "fan_out_dask needs an asynchronous Dask client of this event loop, where the outcomes are handed out:"
            " async with Client(address, asynchronous=True) as client"
        )
    if connected and client.status != "running":
        raise ConfigurationError(f"the Dask client is not connected ({client.status}): await it, or use `async with`")


class DaskFanOut(Generic[T]):
    """Outcomes as they finish: an async iterator and an async context manager, to be used once.

    Nothing is drawn or sent before the first step. Behind the `async with` nothing is left running on the cluster; a
    plain `async for` promises that when it comes to the end, or at `aclose()`.
    """

    _run: Run[T] | None = None

    def __init__(self, plan: Plan[T]) -> None:
        self._plan = plan
        self._left = self._whole = False

    def __aiter__(self) -> Self:
        if self._left:
            raise ConfigurationError("what comes of a fan-out can be read only once: start a new one")
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._whole:
            raise StopAsyncIteration
        outcome = None
        if not self._left:
            if self._run is None:
                self._run = self._start()
            outcome = await self._run.next()
        if outcome is None:
            if self._left and not self._whole:  # what was left never looks as if it were whole
                raise ConfigurationError("a fan-out was closed before its end")
            self._left = self._whole = True
            raise StopAsyncIteration
        return outcome

    def _start(self) -> Run[T]:
        check_client(self._plan.client, connected=True)
        from ._run import Run

        return Run(self._plan)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what runs on the cluster and wait until it has ended. More than once is fine."""
        self._left = True
        if self._run is not None:
            await self._run.stop()

    def __del__(self) -> None:
        if self._run is not None and not self._left and self._run.running:
            self._run.cancel()
            warnings.warn(
                "a fan-out was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
