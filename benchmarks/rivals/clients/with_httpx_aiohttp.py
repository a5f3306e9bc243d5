"""httpx over aiohttp: httpx-aiohttp's client, whose transport is an aiohttp session."""

from __future__ import annotations

import functools

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from rivals.clients.httpx_api import opened_with

__all__ = ["opened"]

opened = functools.partial(opened_with, HttpxAiohttpClient, httpx.Limits)
