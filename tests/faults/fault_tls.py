"""TLS as it should be, and as it should not. Made once: keys take their time."""

from __future__ import annotations

import datetime as dt
import functools
import ssl

import trustme

__all__ = ["expired", "good", "not_yet_valid", "other_host", "trusting", "untrusted"]

_DAY = dt.timedelta(days=1)


@functools.cache
def _authority(_name: str) -> trustme.CA:
    return trustme.CA()


def _context(authority: str, *hosts: str, **validity: dt.datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hosts = hosts or ("127.0.0.1", "*.invented.example")
    _authority(authority).issue_cert(*hosts, **validity).configure_cert(context)
    return context


@functools.cache
def trusting() -> ssl.SSLContext:
    """Return the context of a client that trusts our authority."""
    context = ssl.create_default_context()
    _authority("ours").configure_trust(context)
    return context


@functools.cache
def good() -> ssl.SSLContext:
    """Return a server's context that this client accepts."""
    return _context("ours")


@functools.cache
def untrusted() -> ssl.SSLContext:
    """Return one whose certificate is of an authority that nobody knows."""
    return _context("unknown")


@functools.cache
def other_host() -> ssl.SSLContext:
    """Return one whose certificate is for another host."""
    return _context("ours", "other.example")


@functools.cache
def expired() -> ssl.SSLContext:
    """Return one whose certificate has expired."""
    now = dt.datetime.now(dt.timezone.utc)
    return _context("ours", not_before=now - 2 * _DAY, not_after=now - _DAY)


@functools.cache
def not_yet_valid() -> ssl.SSLContext:
    """Return one whose certificate is for later."""
    now = dt.datetime.now(dt.timezone.utc)
    return _context("ours", not_before=now + _DAY, not_after=now + 2 * _DAY)
