"""httpx, with its own transport (httpcore and h11)."""

from __future__ import annotations

import functools

import httpx

from rivals.clients.httpx_api import opened_with

__all__ = ["opened"]

opened = functools.partial(opened_with, httpx.AsyncClient, httpx.Limits)
