"""Draw one fan-out: a bar for each clinic, from its start to its outcome. A picture of a real run, not a measurement.

Fourteen clinics of a FakeArzamed, six at a time, three seconds: some are slow, one responds with 503 at first, one with 429,
one refuses its key, one hangs.

    python benchmarks/timeline.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from pathlib import Path

from attrs import define, field

from arzamed_async import (
    ArzamedSession,
    Clinic,
    Event,
    Outcome,
    RequestFinished,
    RetryPolicy,
    RetryScheduled,
    TokenRequestFinished,
)
from arzamed_async.testing import FakeArzamed

CONCURRENCY = 6
DEADLINE_SECONDS = 3.0
# Clinic: seconds before each response of its API.
CLINICS = {
    "Milano": 0.35, "Roma": 0.9, "Napoli": 0.25, "Torino": 0.55, "Palermo": 0.4, "Genova": 30.0, "Bologna": 0.3,
    "Firenze": 0.5, "Bari": 0.2, "Catania": 0.7, "Venezia": 0.45, "Verona": 0.15, "Padova": 0.3, "Trieste": 0.5,
}  # fmt: skip
COLOURS = {"token": "#4c78a8", "request": "#2a9d8f", "failed": "#e76f51", "wait": "#d9d9d9"}


@define
class Watch:
    """What has happened, in seconds since the start: (clinic, from, to, what)."""

    started: float = field(factory=time.perf_counter)
    spans: list[tuple[str, float, float, str]] = field(factory=list)
    starts: dict[str, float] = field(factory=dict)
    outcomes: list[tuple[float, Outcome[int]]] = field(factory=list)

    def now(self) -> float:
        return time.perf_counter() - self.started

    def __call__(self, event: Event, /) -> None:
        now = self.now()
        if isinstance(event, TokenRequestFinished):
            self.spans.append((event.clinic, now - event.seconds, now, "failed" if event.status != 200 else "token"))
        elif isinstance(event, RequestFinished):
            self.spans.append((event.clinic, now - event.seconds, now, "failed" if event.status != 200 else "request"))
        elif isinstance(event, RetryScheduled):
            self.spans.append((event.clinic, now, now + event.delay_seconds, "wait"))


async def run() -> Watch:
    """Make the fan-out."""
    async with FakeArzamed() as fake:
        clinics = []
        for n, (name, seconds) in enumerate(CLINICS.items()):
            doctors = [f"Dr. Inventata {name} {i}" for i in range(3 + n * 5 % 17)]
            clinics.append(fake.add_clinic(name, doctors=doctors))
            fake.set_latency(seconds, name)
            fake.set_latency(0.12 + n * 7 % 5 * 0.03, name, on="token")
        fake.revoke_key("Bari")
        fake.fail(503, times=2, clinic="Bologna")
        fake.fail(429, retry_after=1, clinic="Verona")
        watch = Watch()

        async def fetch(clinic: Clinic) -> int:
            watch.starts[clinic.name] = watch.now()
            return len(await clinic.doctors.list())

        retry = RetryPolicy(initial_backoff_seconds=0.6)
        async with ArzamedSession(base_url=fake.base_url, retry=retry, observers=[watch]) as session:
            watch.started = time.perf_counter()
            async with session.fan_out(
                clinics, fetch, concurrency=CONCURRENCY, deadline_seconds=DEADLINE_SECONDS
            ) as outcomes:
                async for outcome in outcomes:
                    watch.outcomes.append((watch.now(), outcome))
    return watch


def draw(watch: Watch, out: Path) -> None:
    """Draw a row for each clinic, in the order of their starts."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "arzamed"
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch
    from tools.scheme import COLOURS as DRAWN_IN
    from tools.scheme import INK, follow_the_scheme

    mpl.rcParams.update(DRAWN_IN)
    _, axis = plt.subplots(figsize=(9, 5.2))
    rows = {name: row for row, name in enumerate(CLINICS)}
    for name, begin, end, what in watch.spans:
        axis.barh(rows[name], end - begin, left=begin, height=0.62, color=COLOURS[what], linewidth=0)
    for at, outcome in watch.outcomes:
        words = f"{outcome.value} doctors" if outcome.ok else type(outcome.error).__name__
        colour = INK[0] if outcome.ok else "#b23a1d"
        axis.text(at + 0.04, rows[outcome.clinic], words, va="center", fontsize=8.5, color=colour)
    axis.axvline(DEADLINE_SECONDS, color="#b23a1d", linewidth=1, linestyle=":")
    axis.set_yticks(range(len(rows)), list(rows), fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, DEADLINE_SECONDS * 1.28)
    axis.set_xticks([0, 0.5, 1, 1.5, 2, 2.5, 3])
    axis.set_xlabel("seconds since the start (dotted: deadline_seconds)")
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    names = {
        "token": "token request",
        "request": "response",
        "failed": "refused, failed or cut off",
        "wait": "wait before a retry",
    }
    axis.legend(
        handles=[Patch(color=COLOURS[what], label=label) for what, label in names.items()],
        loc="upper center", bbox_to_anchor=(0.45, 1.1), ncols=4, frameon=False, fontsize=9,
    )  # fmt: skip
    plt.tight_layout()
    plt.savefig(out, metadata={"Date": None})
    plt.close()
    follow_the_scheme(out)


def main() -> None:
    """Run it, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--quick", action="store_true", help="as the other scripts have it: this one is quick")
    arguments = parser.parse_args()
    random.seed(7)  # the waits before retries
    draw(asyncio.run(run()), arguments.out / "timeline.svg")


if __name__ == "__main__":
    main()
