"""httpx2, the maintained continuation of httpx."""

from __future__ import annotations

import functools

import httpx2

from rivals.clients.httpx_api import opened_with

__all__ = ["opened"]

opened = functools.partial(opened_with, httpx2.AsyncClient, httpx2.Limits)
