"""The options that the commands share: which clinics, where, how many at a time."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from arzamed_async import PRODUCTION, SANDBOX, ArzamedSession, ClinicCredentials, ConfigurationError

__all__ = ["Request", "base_url_of"]


@frozen(kw_only=True)
class Request:
    """The options of one run of a command."""

    clinics: Sequence[ClinicCredentials]
    base_url: str = PRODUCTION
    concurrency: int = 64
    deadline_seconds: float | None = None
    verbose: bool = False
    token_store: bool = True
    requests_per_second: float | None = None


def base_url_of(base_url: str | None, *, sandbox: bool) -> str:
    """Return the base URL that `--base-url` and `--sandbox` choose. Raises ConfigurationError."""
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
