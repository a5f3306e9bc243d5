"""The report's pictures, drawn from what the benchmarks have written down: the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "arzamed"
from matplotlib import pyplot as plt  # noqa: E402 - the backend is set first

from tools.scheme import ACCEPTED, COLOURS, GRID, LIMIT, RATE, REFUSED, follow_the_scheme  # noqa: E402 - the same

__all__ = ["PLOTS"]

OURS = ("arzamed_async", "batches", "stream", "list")


def _width(way: str) -> float:
    return 2.5 if way in OURS else 1


def request_path(report: dict[str, Any]) -> None:
    """Draw calls for each second of the processor as a multiple of the expert's, over the callers, for each event loop."""
    of_plain = f"{report['doctors']} records"
    rows = [row for row in report["rows"] if row["what"] == of_plain and row["way"] != "httpx and Authlib"]
    loops = list(dict.fromkeys(row["loop"] for row in rows))
    _, axes = plt.subplots(1, len(loops), figsize=(5 * len(loops), 4), squeeze=False, sharey=True)
    for axis, loop in zip(axes[0], loops, strict=True):
        for way in dict.fromkeys(row["way"] for row in rows):
            of_way = [row for row in rows if row["loop"] == loop and row["way"] == way]
            ratios = [row["cpu_ratio"]["median"] for row in of_way]
            axis.plot([row["callers"] for row in of_way], ratios, marker="o", label=way, linewidth=_width(way))
        axis.set(title=loop, xlabel="concurrent callers")
        axis.set_xscale("log", base=2)
        axis.set_xticks([row["callers"] for row in of_way], [str(row["callers"]) for row in of_way])
        axis.grid(visible=True, alpha=0.3)
    axes[0][0].set_ylim(bottom=0)
    axes[0][0].set_ylabel("calls for each CPU second,\nas a multiple of the expert's")
    axes[0][-1].legend(fontsize=8, loc="lower right")


def http_clients(report: dict[str, Any]) -> None:
    """Draw a bar for each client and number of callers: calls for each second of the processor, against the expert's."""
    rows = report["rows"]
    callers = list(dict.fromkeys(row["callers"] for row in rows))
    by = {(row["client"], row["callers"]): row["cpu_ratio"]["median"] for row in rows}
    clients = sorted(dict.fromkeys(row["client"] for row in rows), key=lambda client: by[client, callers[1]])
    _, axis = plt.subplots(figsize=(8, 0.5 * len(clients) + 1.2))
    height = 0.8 / len(callers)
    for index, number in enumerate(callers):
        places = [place + (len(callers) / 2 - index - 0.5) * height for place in range(len(clients))]
        label = f"{number} caller{'s' * (number > 1)}"
        bars = axis.barh(places, [by[client, number] for client in clients], height, label=label, color=f"C{index}")
        axis.bar_label(bars, fmt="%.2f", fontsize=6, padding=2)
    axis.axvline(1, color=LIMIT[0], linewidth=0.8, linestyle="--")
    axis.set_yticks(range(len(clients)), clients)
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in OURS else "normal")
    axis.set_xlabel("calls for each CPU second of the client, as a multiple of the expert's aiohttp")
    axis.margins(x=0.08)
    axis.grid(visible=True, axis="x", alpha=0.3)
    axis.legend(fontsize=8, loc="lower right")


def streaming(report: dict[str, Any]) -> None:
    """Draw time per record over the length of the list."""
    rows = report["times"]
    kinds = sorted({row["kind"] for row in rows})
    _, axes = plt.subplots(1, len(kinds), figsize=(5 * len(kinds), 4), squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        for way in dict.fromkeys(row["way"] for row in rows):
            points = sorted(
                (row["records"], row["ns_per_record"]["median"])
                for row in rows
                if row["kind"] == kind and row["way"] == way
            )
            axis.loglog(*zip(*points, strict=True), marker="o", label=way, linewidth=_width(way))
        axis.set(title=kind, xlabel="records in the list", ylabel="ns of CPU time per record")
        axis.grid(visible=True, alpha=0.3)
    axes[0][-1].legend(fontsize=8)


def fan_out(report: dict[str, Any]) -> None:
    """Draw the cost of a clinic over their number."""
    rows = report["times"]
    _, axis = plt.subplots(figsize=(6, 4))
    for way in dict.fromkeys(row["way"] for row in rows):
        points = [(row["clinics"], row["cpu_us"]["median"] / 1e3) for row in rows if row["way"] == way]
        axis.loglog(*zip(*points, strict=True), marker="o", label=way, linewidth=_width(way))
    axis.set(
        title="token and doctors of cold clinics, 64 callers", xlabel="clinics", ylabel="ms of CPU time per clinic"
    )
    axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize=8)


def pacing(report: dict[str, Any]) -> None:
    """Draw rate, limit and refusals over time, where the limit changes twice."""
    steps = report["steps"]
    at, limit, rate = zip(*steps["samples"], strict=True)
    seconds = range(len(steps["accepted"]))
    _, (above, below) = plt.subplots(2, 1, figsize=(9, 4.8), sharex=True, height_ratios=[3, 1])
    above.bar(seconds, steps["accepted"], align="edge", width=1.0, color=ACCEPTED[0], label="accepted, each second")
    above.step(at, limit, where="post", color=LIMIT[0], linewidth=1.4, linestyle="--", label="the API's limit")
    above.plot(at, [each or float("nan") for each in rate], color=RATE[0], linewidth=2, label="the session's rate")
    above.set(ylabel="requests a second", ylim=(0, 260))
    above.legend(loc="upper left", frameon=False, fontsize=9)
    below.bar(seconds, steps["refused"], align="edge", width=1.0, color=REFUSED[0], label="refused, each second")
    below.set(xlabel="seconds", ylabel="refused", xlim=(0, len(steps["accepted"])), ylim=(0, 20))
    for axis in (above, below):
        axis.grid(visible=True, axis="y", color=GRID[0], linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)


def _saved(draw: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any], Path], None]:
    def save(report: dict[str, Any], out: Path) -> None:
        with mpl.rc_context(COLOURS):
            draw(report)
            plt.tight_layout()
            plt.savefig(out, metadata={"Date": None})
            plt.close("all")
        follow_the_scheme(out)

    return save


#: How a benchmark's picture is drawn: from its report, into a file.
PLOTS = {draw.__name__: _saved(draw) for draw in (request_path, http_clients, streaming, fan_out, pacing)}
