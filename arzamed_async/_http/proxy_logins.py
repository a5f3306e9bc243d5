"""Which proxy a request takes, and which proxies have refused their login: with a wrong one, each request may lock the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import TransportError

if TYPE_CHECKING:
    from .proxies import EnvironmentProxies

__all__ = ["ProxyChoice"]

#: Proxy Authentication Required.
LOGIN_REFUSED = 407
#: No request goes through such a proxy for this long.
REFUSED_SECONDS = 60.0


class ProxyChoice:
    """The proxies of one session: the given one, or with `trust_env` those of the environment; else none."""

    def __init__(self, given: str | None, *, trust_env: bool) -> None:
        self.given = given
        self.environment: EnvironmentProxies | None = None
        if trust_env and given is None:
            from .proxies import EnvironmentProxies

            self.environment = EnvironmentProxies()
        self._refused: dict[str, tuple[float, TransportError]] = {}

    def proxy_for(self, url: str, now: float) -> str | None:
        """Return the environment's proxy for a URL. Raises TransportError if the proxy has refused its login lately."""
        proxy = None if self.environment is None else self.environment.proxy_for(url)
        until, error = self._refused.get(proxy or self.given or "", (0.0, None))
        if error is not None and now < until:
            what = f"request not sent: {error.reason}, {REFUSED_SECONDS - (until - now):.0f} s ago"
            raise TransportError(what, transient=False, remedy=error.remedy)
        return proxy

    def failed(self, proxy: str | None, error: TransportError, status: object, now: float) -> TransportError:
        """Return the error of a request through a proxy, of which a refusal of the login is remembered."""
        if status == LOGIN_REFUSED and (through := proxy or self.given):
            self._refused[through] = now + REFUSED_SECONDS, error
        return error
