"""Makes the transport of a session from the arguments that the session was given."""

from __future__ import annotations

import ssl

from .._arguments import kinds, tls_context
from .._validation import proxy_url
from .._version import __version__
from ..config import Limits, PoolLimits
from ..errors import ConfigurationError
from .transport import Http, Transport

__all__ = ["make_transport"]


def make_transport(
    pool: PoolLimits,
    limits: Limits,
    http: Http | None,
    ssl_context: ssl.SSLContext | None,
    proxy: str | None,
    app_info: str | None,
    *,
    trust_env: bool,
) -> Transport:
    """Return the transport of a session. Raises ConfigurationError for what does not go together."""
    kinds(pool=(pool, PoolLimits), trust_env=(trust_env, bool))
    tls_context(ssl_context)
    if http is not None and (pool != PoolLimits() or ssl_context is not None or proxy is not None or trust_env):
        raise ConfigurationError(
            "pool, ssl_context, proxy and trust_env cannot be combined with http=: configure that session instead"
        )
    proxy = None if proxy is None else proxy_url("proxy", proxy)
    size = limits.buffered_bytes
    user_agent = f"arzamed-async/{__version__}"
    if app_info is not None:
        from .user_agent import checked_app_info

        user_agent = f"{checked_app_info(app_info)} {user_agent}"
    return Transport(
        pool=pool,
        buffered_bytes=size,
        http=http,
        ssl_context=ssl_context,
        proxy=proxy,
        trust_env=trust_env,
        user_agent=user_agent,
    )
