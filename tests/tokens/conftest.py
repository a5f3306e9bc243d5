"""A clock that a test moves, and a cache whose fetches it directs."""

from __future__ import annotations

import pytest
from support.tokens import CREDENTIALS, POLICY, Clock, Endpoint

from arzamed_async._tokens.cache import TokenCache, TokenSource


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(clock: Clock) -> Endpoint:
    return Endpoint(clock)


@pytest.fixture
def cache(clock: Clock, endpoint: Endpoint) -> TokenCache:
    return TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)
