"""What `--verbose` reports: where a command reads, through which proxy, and the package's log, line by line."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from arzamed_async import PRODUCTION, SANDBOX
from arzamed_async._logs.setup import StderrHandler, logger

from .messages import StderrReporter
from .request import Request

__all__ = ["environment_proxies", "place_of", "proxy_of", "verbose_log"]

_PLACES = {PRODUCTION: "production", SANDBOX: "the sandbox"}
_VARIABLES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
#: A command reports these itself, with a remedy.
_REPORTED = {"CallFailed", "CallsFailed", "TokenStoreFailed"}


def place_of(base_url: str) -> str:
    """Return whether a base URL is production or the sandbox, and the URL."""
    return f"{_PLACES.get(base_url, 'neither production nor the sandbox')}, {base_url}"


def environment_proxies(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the variables of proxies that are set, with hosts and without passwords; none where no proxy is named."""
    found: list[str] = []
    for name in _VARIABLES:
        for variable in (name, name.upper()):
            value = environment.get(variable, "").strip()
            if value:
                found.append(f"{variable}={value if name == 'no_proxy' else _without_password(value)}")
    return found if any("no_proxy=" not in each.lower() for each in found) else []


def _without_password(url: str) -> str:
    """Return scheme, host and port; of what may be a password in the wrong place, nothing."""
    scheme, _, rest = url.partition("://") if "://" in url else ("", "", url)
    try:
        parts = urlsplit(f"//{rest}")
        sure = parts.port is not None or bool(scheme)  # a port that is no number raises; a host alone could be anything
    except ValueError:  # half an IPv6 address, too: each request reports it
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    if not (sure and host) or "@" in rest.removeprefix(parts.netloc) or not (scheme or "x").isalnum():
        return "(not a URL)"
    return f"{scheme}://{host}" if scheme else host


def proxy_of(request: Request) -> str:
    """Return which proxy a command uses, and why."""
    if request.proxy is not None:
        return f"{_without_password(request.proxy)} (--proxy)"
    found = environment_proxies()
    return f"from the environment ({', '.join(found)})" if found else "none"


class _ReporterHandler(logging.Handler):
    def __init__(self, reporter: StderrReporter) -> None:
        super().__init__(logging.DEBUG)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line above the progress bar, unless ARZAMED_LOG has the same one written."""
        event = getattr(record, "arzamed_event", "")
        if event in _REPORTED or (not event and record.levelno < logging.INFO):
            return
        others = [each for each in logger.handlers if isinstance(each, StderrHandler)]
        if not any(record.levelno >= each.level for each in others):
            self._reporter.message(record.getMessage())


@contextmanager
def verbose_log(reporter: StderrReporter) -> Generator[None]:
    """Return a context in which the package's log lines are messages of the command."""
    handler, level = _ReporterHandler(reporter), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
