"""The pause that a refusal requires, by its headers."""

from __future__ import annotations

import pytest

from arzamed_async._http.rate_limit import pause_seconds

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "7", "ratelimit": '"default";r=0;t=3'}, 7),
        ({"retry-after": "3600"}, 3600),
        ({"ratelimit": '"default";r=0;t=3'}, 3),
        ({"ratelimit": '"a";r=0;t=3, "b";r=0;t=9, "c";r=5;t=15'}, 9),
        ({"ratelimit": '"default";r=4;t=3'}, None),
        ({"ratelimit": '"default";r=0'}, None),
        ({"ratelimit": "limit=100, remaining=0, reset=5"}, 5),
        ({"ratelimit": "limit=100, remaining=3, reset=5"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "4"}, 4),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4.5"}, 4.5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 6)}, 6),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((int(NOW) + 6) * 1000)}, 6),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) - 6)}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3600"}, None),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "4"}, None),
        ({"x-ratelimit-reset": "4"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"ratelimit": '"' * 100_000 + ";r=0;t=3"}, None),
        ({"ratelimit": '"d";r=0;t=' + "9" * 400}, None),
        ({"ratelimit": '"d";r=-0;t=-3'}, None),
    ],
)
def test_what_a_refusal_requires(headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After first; then the reset of a limit that is used up, unless it is over 20 s away, or cannot be read."""
    assert pause_seconds(headers.get, NOW, 20.0) == seconds
