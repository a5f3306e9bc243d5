"""The plan of a fan-out on Dask: options, checked at the call, and clinics drawn shard by shard."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any, Generic, TypedDict, TypeVar

from attrs import field, frozen

from arzamed_async import (
    ArzamedSession,
    BreakerPolicy,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    Endpoints,
    Limits,
    PoolLimits,
    RetryPolicy,
    Timeouts,
    TokenPolicy,
)

from ._store import Store

__all__ = ["Credentials", "Fetch", "Plan", "SessionOptions", "Shards", "check_arguments", "checked_options"]

T = TypeVar("T")

Credentials = Iterable[ClinicCredentials] | AsyncIterable[ClinicCredentials]
Fetch = Callable[[Clinic], Awaitable[T]]


class SessionOptions(TypedDict, total=False):
    """The arguments of ArzamedSession that can be pickled, and so sent to a Dask worker."""

    base_url: str
    retry: RetryPolicy
    timeouts: Timeouts
    limits: Limits
    pool: PoolLimits
    tokens: TokenPolicy
    breaker: BreakerPolicy | None
    coalesce: bool
    app_info: str | None
    endpoints: Endpoints


def checked_options(
    options: SessionOptions, store: Store | None, fetch: Fetch[Any], concurrency: int
) -> SessionOptions:
    """Return the options if a session and its fan-out accept them, store and fetch. Nothing has been sent to a worker yet."""
    unknown = sorted(set(options) - SessionOptions.__optional_keys__)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} cannot be sent to Dask workers, or is not a session option")
    given = None if callable(store) or isinstance(store, str) else store
    ArzamedSession(**options, token_store=given).fan_out((), fetch, concurrency=concurrency)
    return options


def check_arguments(credentials: object, allow_literal_secrets: object) -> None:
    """Check what no session checks."""
    if isinstance(credentials, (str, bytes)):
        raise ConfigurationError(
            f"credentials must be an iterable of ClinicCredentials, not {type(credentials).__name__}"
        )
    if not isinstance(allow_literal_secrets, bool):
        raise ConfigurationError(
            f"allow_literal_secrets must be True or False, not {type(allow_literal_secrets).__name__}"
        )


class Shards:
    """Draws credentials lazily, a shard at a time."""

    def __init__(self, credentials: Credentials, size: int, *, allow_literal_secrets: bool) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigurationError("shard_size must be a whole number of one or more")
        self._size = size
        self._allow_literal_secrets = allow_literal_secrets
        self._sync: Iterator[ClinicCredentials] = iter(())
        self._async: AsyncIterator[ClinicCredentials] | None = None
        if isinstance(credentials, AsyncIterable):
            self._async = aiter(credentials)
        elif isinstance(credentials, Iterable):
            if isinstance(credentials, Collection):
                for each in credentials:  # reported at the call, before any clinic has been read
                    self._checked(each)
            self._sync = iter(credentials)
        else:
            raise ConfigurationError(
                f"credentials must be an iterable or async iterable, not {type(credentials).__name__}"
            )

    async def draw(self) -> tuple[ClinicCredentials, ...]:
        """Return the next shard; an empty one at the end."""
        shard: list[ClinicCredentials] = []
        if self._async is not None:
            while len(shard) < self._size and not isinstance(each := await anext(self._async, _END), _End):
                shard.append(self._checked(each))
        else:
            while len(shard) < self._size and not isinstance(one := next(self._sync, _END), _End):
                shard.append(self._checked(one))
        return tuple(shard)

    async def aclose(self) -> None:
        """Close a generator of credentials."""
        source, self._async, self._sync = self._async or self._sync, None, iter(())
        if isinstance(source, AsyncGenerator):
            await source.aclose()
        elif isinstance(source, Generator):
            source.close()

    def _checked(self, credentials: ClinicCredentials) -> ClinicCredentials:
        if not isinstance(credentials, ClinicCredentials):
            raise ConfigurationError(f"credentials must be ClinicCredentials, not {type(credentials).__name__}")
        if isinstance(credentials.client_secret, str) and not self._allow_literal_secrets:
            raise ConfigurationError(
                "its secret is given as text, and would pass through the Dask scheduler in plain text: give a reference"
                " (SecretFromEnv, SecretFromFile) that the workers can resolve, or allow_literal_secrets=True",
                clinic=credentials.display_name,
            )
        return credentials


class _End:
    """Marks the end of the iterable. (None does not: a None in the iterable is a caller's mistake, to be reported.)"""


_END = _End()


@frozen
class Plan(Generic[T]):
    """The input of a run. `client` is a distributed.Client."""

    client: Any
    shards: Shards
    fetch: Fetch[T] = field(repr=False)
    concurrency: int
    store: Store | None = field(repr=False)
    options: SessionOptions
