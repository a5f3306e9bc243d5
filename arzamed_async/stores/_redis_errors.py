"""What an error of Redis means for a RedisTokenStore. Classes are compared by name: clients for Valkey have the same."""

from __future__ import annotations

import asyncio
import re

__all__ = ["is_late", "is_refusal", "is_wrong_server", "remedy"]

_LOGIN = "Redis does not accept the login: check user and password"
_RIGHTS = "the user of the Redis lacks a permission: docs/how-to/redis.md has the ACL"
_CLUSTER = "the Redis is a Cluster: pass a client, RedisTokenStore(redis.asyncio.RedisCluster(...))"
#: What no rest helps against.
_REMEDIES = {
    "AuthenticationError": _LOGIN,
    "AuthenticationWrongNumberOfArgsError": _LOGIN,
    "AuthorizationError": _LOGIN,
    "NoPermissionError": _RIGHTS,
}
#: What a client that knows no Cluster gets from one.
_REDIRECTIONS = {"MovedError", "AskError", "ClusterCrossSlotError"}
#: The same in the text of an error: before version 6, redis-py has these classes for a client of a Cluster only.
_REDIRECTION_CODE = re.compile("(MOVED|ASK|CROSSSLOT) ")
#: The script has not run: this server is not the primary, not ready, or does not have the key's slot. Another one may be.
_WRONG_SERVER = {"ReadOnlyError", "BusyLoadingError", "MasterDownError", "ClusterDownError", "TryAgainError"}
#: The same in the text of an error: before version 7, Redis wraps what a command in a script has raised.
_WRONG_SERVER_CODE = re.compile("(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|UNBLOCKED|NOREPLICAS) ")


def _names(error: BaseException | None) -> set[str]:
    """Return the names of an error's classes, and of those of its causes: a client for a Cluster wraps what it got."""
    names: set[str] = set()
    for _ in range(4):
        if error is None:
            break
        names.update(each.__name__ for each in type(error).__mro__)
        error = error.__cause__
    return names


def remedy(error: BaseException, *, cluster: bool) -> str | None:
    """Return what to do about a mistake in the configuration; None if it is none."""
    names = _names(error)
    # Sentinel's client has the sentinels' errors in its text only.
    if "MasterNotFoundError" in names and "AuthenticationError" in str(error):
        return f"a sentinel: {_LOGIN} (sentinel_kwargs)"
    if not cluster and (names & _REDIRECTIONS or _REDIRECTION_CODE.match(str(error))):
        return _CLUSTER
    return next((text for name, text in _REMEDIES.items() if name in names), None)


def is_wrong_server(error: BaseException) -> bool:
    """Return whether a script has not run because another server may be the one to call by now."""
    return bool(_names(error) & _WRONG_SERVER) or _WRONG_SERVER_CODE.search(str(error)) is not None


def is_refusal(error: BaseException) -> bool:
    """Return whether the server has refused the script, so that nothing has changed."""
    return bool({"ResponseError", "BusyLoadingError"} & {each.__name__ for each in type(error).__mro__})


def is_late(error: BaseException) -> bool:
    """Return whether no response has arrived in time. A session cancels a call that takes too long."""
    return isinstance(error, asyncio.CancelledError) or "TimeoutError" in _names(error)
