"""Benchmarks as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table as Grid


def print_benchmark(name: str, outcome: dict[str, Any], console: Console) -> None:
    """Print one suite's outcome."""
    console.print(_SHOW[name](outcome))


def _peers(outcome: dict[str, Any]) -> Grid:
    """Return seconds and ratios of the peers."""
    caption = []
    if "paper_seconds" in outcome:
        caption.append(
            f"The paper reports {outcome['paper_seconds']} s a call: "
            f"{outcome['times_faster_than_the_paper']:,.0f} times ours."
        )
    if not outcome["control_contains_1"]:
        caption.append("A/A misses 1: the machine was not quiet.")
    grid = Grid(
        "peer",
        "milliseconds",
        f"times {outcome['reference']} (95 %)",
        title=outcome["title"],
        caption=" ".join(caption),
    )
    for one in outcome["timings"]:
        interval = f"{one['ratio_low']:.3g} to {one['ratio_high']:.3g}"
        grid.add_row(one["peer"], f"{1e3 * one['seconds']:.4g}", f"{one['ratio']:.3g} ({interval})")
    return grid


def _table8(outcome: dict[str, Any]) -> Grid:
    """Return the cost of a run against its target."""
    grid = Grid(
        "run",
        "seconds",
        "target",
        "re-weighting",
        "target",
        "met",
        title="One run of Table 8 (cross-entropy, 60 %), one thread",
    )
    for one in outcome["runs"]:
        grid.add_row(
            "RRM" if one["rrm"] else "plain",
            f"{one['seconds']:.1f}",
            f"{one['target_seconds']:.0f}",
            f"{100 * one['reweighting_share']:.3f} %",
            f"{100 * one['target_share']:.0f} %",
            "yes" if one["met"] else "no",
        )
    return grid


_SHOW = {"reweight": _peers, "step": _peers, "table8": _table8}
