"""The public side of a fan-out on Dask: an async iterator and an async context manager, to be used once."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from arzamed_async import ConfigurationError, Outcome
from arzamed_async._extras import hides_arguments, missing_package

from ._plan import Credentials, Fetch, Plan, SessionOptions, Shards, check_arguments, checked_options
from ._store import Store, check_store

if TYPE_CHECKING:
    from ._run import Run

__all__ = ["DaskFanOut", "SessionOptions", "fan_out_dask"]

T = TypeVar("T")


@hides_arguments
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
    """Run `fetch` for many clinics on a Dask cluster; yield one Success or Failure for each clinic as it finishes.

        async with Client(address, asynchronous=True) as client:
            async with fan_out_dask(client, load_clinics("clinics.toml"), read_doctors) as outcomes:
                async for outcome in outcomes: ...

    The clinics are divided into shards; each shard is one Dask task. At most two shards for each thread of the cluster are
    in progress. A worker opens one session, and runs `session.fan_out` over each shard on its own event loop: use workers
    with one thread each. Outcomes pass through the scheduler, so connections to it must be trusted (TLS).

    Each clinic has exactly one outcome. If a worker dies, its shard is read again; after more than
    `distributed.scheduler.allowed-failures` of these, its clinics fail with TransportError. If there is no worker, the
    fan-out waits for one, up to `distributed.scheduler.no-workers-timeout` (by default without limit). If the scheduler is
    lost, it ends with Dask's own error. Any exception of `fetch` that is not an ArzamedError is a bug: it cancels the rest
    and propagates unchanged. Raises ConfigurationError.

    Args:
        client: An asynchronous `distributed.Client` of this event loop.
        credentials: An iterable or async iterable of ClinicCredentials, read lazily. Workers resolve their secrets.
        fetch: A coroutine function that takes a Clinic. The function and its results must be picklable.
        shard_size: The number of clinics in a shard.
        token_store: A TokenStore without a password, a function that creates a store on the worker, or its name.
        allow_literal_secrets: True: secrets that are given as text may pass through the scheduler.
        concurrency: The maximum number of clinics that a worker reads at a time.
        **session_options: The arguments of each worker's ArzamedSession.
    """
    check_client(client)
    check_arguments(credentials, allow_literal_secrets)
    check_store(token_store, allow_literal_secrets)
    plan = Plan(
        client,
        Shards(credentials, shard_size, allow_literal_secrets=allow_literal_secrets),
        fetch,
        concurrency,
        token_store,
        checked_options(session_options, token_store, fetch, concurrency),
    )
    return DaskFanOut(plan)


def check_client(client: Any, *, connected: bool = False) -> None:
    """Raise ConfigurationError unless this is an asynchronous client of this event loop."""
    library: Any = None
    with contextlib.suppress(ImportError):
        library = importlib.import_module("distributed")
    if library is None:
        raise ConfigurationError(missing_package("fan_out_dask", "distributed", "dask"))
    if not isinstance(client, library.Client):
        raise ConfigurationError(f"client must be a distributed.Client, not {type(client).__name__}")
    if not client.asynchronous:
        raise ConfigurationError(
            "fan_out_dask needs an asynchronous Dask client of this event loop, which receives the outcomes:"
            " async with Client(address, asynchronous=True) as client"
        )
    if connected and client.status != "running":
        raise ConfigurationError(f"the Dask client is not connected ({client.status}): await it, or use `async with`")


class DaskFanOut(Generic[T]):
    """Outcomes as they finish: an async iterator and an async context manager, to be used once.

    Nothing starts before the first step. After the `async with`, nothing is left running on the cluster. With a plain
    `async for`, this holds only if it reaches the end, or after `aclose()`.
    """

    _run: Run[T] | None = None
    _closed = _complete = False

    def __init__(self, plan: Plan[T]) -> None:
        self._plan = plan

    def __aiter__(self) -> Self:
        if self._closed:
            raise ConfigurationError("the results of a fan-out can be read only once: start a new one")
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._complete:
            raise StopAsyncIteration
        outcome = None
        if not self._closed:
            if self._run is None:
                self._run = self._start()
            outcome = await self._run.get()
        if outcome is None:
            if self._closed and not self._complete:  # closed early, it must not look complete
                raise ConfigurationError("a fan-out was closed before its end")
            self._closed = self._complete = True
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
        """Cancel the run on the cluster and wait for its end. Calling it more than once is fine."""
        self._closed = True
        if self._run is not None:
            await self._run.stop()

    def __del__(self) -> None:
        if self._run is not None and not self._closed and self._run.running:
            self._run.cancel()
            warnings.warn(
                "a fan-out was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
