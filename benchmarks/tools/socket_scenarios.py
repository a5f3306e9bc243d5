"""The scenarios in which pacing is measured over sockets: those of the simulation, short enough to be waited for."""

from __future__ import annotations

from attrs import define
from servers.simulated import Concurrency, Outage, Server

from tools.pacing_scenarios import Limited, Make, Scenario, bucket, innocent, tenth

__all__ = ["SOCKET_SCENARIOS", "SocketScenario"]

#: What nginx is configured with: `limit_req rate=50r/s burst=20 nodelay` lets 21 requests through at once.
NGINX_RATE, NGINX_BURST = 50, 20


@define(kw_only=True)
class SocketScenario(Scenario):
    """A scenario, and what is particular over sockets.

    `tokens` limits the token endpoint, where otherwise tokens are fetched before the run; `known_rate` is told to the client;
    with `nginx_status` the API is behind an nginx that refuses with this status. The calls of a clinic are made in `chains`.
    `ideal_connections` are those with which a client runs into no limit of concurrency; its time is the ideal then.
    """

    tokens: Make | None = None
    known_rate: float | None = None
    nginx_status: int = 0
    chains: int = 1
    concurrency: int = 64
    ideal_connections: int = 0


def limited(name: str, rate: float, burst: float, clinics: int, asked: tuple[float, float], **more: object) -> Scenario:
    ideal = (clinics - burst) / rate
    return SocketScenario(name, bucket(rate, burst, **more), ideal, clinics=clinics, asked=asked)


def nginx(status: int) -> Scenario:
    ideal = (400 - NGINX_BURST - 1) / NGINX_RATE
    return SocketScenario(
        f"nginx, 50/s, burst 20, {status}", Server, ideal, clinics=400, asked=(1.1, 0.07), nginx_status=status
    )


SOCKET_SCENARIOS = {
    scenario.name: scenario
    for scenario in [
        limited("50/s, burst 50", 50, 50, 600, (1.1, 0.07)),
        limited("50/s, burst 50, 503", 50, 50, 600, (1.1, 0.07), status=503),
        limited("50/s, burst 50, Retry-After 1", 50, 50, 600, (1.1, 0.05), retry_after=1.0),
        limited("500/s, burst 50", 500, 50, 5000, (1.1, 0.07)),
        limited("500/s, burst 50, 503", 500, 50, 5000, (1.1, 0.07), status=503),
        limited("500/s, burst 50, Retry-After 1", 500, 50, 5000, (1.8, 0.01), retry_after=1.0),
        SocketScenario(
            "8 in flight",
            lambda lots: Server(lots, status=503, limits=(Concurrency(8),)),
            clinics=2400, ideal_connections=8, asked=(1.2, 0.03),
        ),
        SocketScenario(
            "tokens at 50/s, burst 50", Server, 550 / 50, clinics=600, asked=(1.05, 0.05), tokens=bucket(50, 50)
        ),
        SocketScenario(
            "20 of 220 clinics at 5/s",
            lambda lots: Server(lots, of_clinics=Limited(), spread=(0.05, 0.1)),
            clinics=220, calls=20, chains=4, concurrency=20,
        ),
        SocketScenario(
            "220 clinics, none limited",
            lambda lots: Server(lots, spread=(0.05, 0.1)),
            clinics=220, calls=20, chains=4, concurrency=20,
        ),
        SocketScenario("4 processes, 50/s", bucket(50, 50), 3950 / 50, clinics=1000, processes=4, asked=(1.1, 0.08)),
        SocketScenario(
            "outage of 5 s, 50/s", bucket(50, 50, outages=(Outage(8, 13),)), 950 / 50 + 4,
            clinics=1000, asked=(1.15, None),
        ),
        SocketScenario("10 % exhausted", lambda lots: Server(lots, exhausted=tenth), clinics=600, counts=innocent),
        SocketScenario(
            "10 % exhausted, 50/s", bucket(50, 50, exhausted=tenth), 490 / 50,
            clinics=600, counts=innocent, asked=(2.0, None),
        ),
        SocketScenario(
            "a known limit of 50/s", bucket(50, 50), 200 / 50, clinics=200, asked=(1.1, 0.0), known_rate=50
        ),
        nginx(503),
        nginx(429),
    ]
}  # fmt: skip
