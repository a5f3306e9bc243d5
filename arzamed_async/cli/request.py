"""What the commands share: which clinics, where, how many at a time, and within what time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from arzamed_async import PRODUCTION, SANDBOX, ArzamedSession, ClinicCredentials, ConfigurationError

__all__ = ["Request", "request_of"]


@frozen(kw_only=True)
class Request:
    """The options of one run of a command."""

    clinics: Sequence[ClinicCredentials]
    base_url: str = PRODUCTION
    concurrency: int = 64
    deadline_seconds: float | None = None
    timeout_seconds: float | None = None
    verbose: bool = False
    token_store: bool = True
    requests_per_second: float | None = None
    proxy: str | None = None


def request_of(
    clinics: Callable[[], Sequence[ClinicCredentials]],
    *,
    concurrency: int,
    deadline: float | None,
    timeout: float | None,
    verbose: bool,
    token_store: bool,
    rate: float | None = None,
    proxy: str | None = None,
    base_url: str | None = None,
    sandbox: bool = False,
) -> Request:
    """Return the options after a check. Raises ConfigurationError with the name of the option."""
    for option, value in {"--deadline": deadline, "--timeout": timeout, "--rate": rate}.items():
        if value is not None and not 0 < value < float("inf"):
            raise ConfigurationError(f"{option} must be greater than zero")
    return Request(
        base_url=_base_url(base_url, sandbox=sandbox),
        proxy=_proxy(proxy),
        clinics=clinics(),
        concurrency=concurrency,
        deadline_seconds=deadline,
        timeout_seconds=timeout,
        verbose=verbose,
        token_store=token_store,
        requests_per_second=rate,
    )


def _base_url(base_url: str | None, *, sandbox: bool) -> str:
    """Return the base URL that `--base-url` and `--sandbox` choose."""
    if base_url is not None and sandbox:
        raise ConfigurationError("--sandbox and --base-url cannot be combined")
    url = base_url or (SANDBOX if sandbox else PRODUCTION)
    try:
        ArzamedSession(base_url=url)
    except ConfigurationError as error:
        problem = str(error).replace("base_url", "--base-url", 1)
    else:
        return url
    raise ConfigurationError(problem)


def _proxy(proxy: str | None) -> str | None:
    """Return the proxy's URL; curl's form without a scheme is taken as well."""
    if proxy is None:
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        ArzamedSession(proxy=url)
    except ConfigurationError as error:
        problem = str(error).replace("proxy", "--proxy", 1)
    else:
        return url
    raise ConfigurationError(problem)
