"""Benchmarks as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
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


def _reweight(outcome: dict[str, Any]) -> RenderableType:
    """Return re-weighting at all sizes, and what was to be reached."""
    awkward = outcome["awkward"]
    return Group(
        _against_targets([outcome["table8"], outcome["small"], *outcome["large"]]),
        _families(outcome["families"]),
        f"Selection at N = {awkward['n']:,}: exact: {_yes(awkward['met'])}",
    )


def _against_targets(outcomes: list[dict[str, Any]]) -> RenderableType:
    """Return timings, and what was to be reached."""
    lines = [
        f"{one['title']}: {target['found']:.2f} {target['what']}, target {target['relation']} "
        f"{target['target']:g}, met: {_yes(target['met'])}"
        for one in outcomes
        for target in one.get("targets", [])
    ]
    return Group(*map(_peers, outcomes), *lines)


def _families(outcomes: list[dict[str, Any]]) -> Grid:
    """Return how many copies an update takes, for losses of all kinds."""
    grid = Grid("losses", "gamma", "contamination", title="Copies, by kind of losses")
    for one in outcomes:
        ratios = {timing["peer"]: timing["ratio"] for timing in one["timings"]}
        grid.add_row(one["title"], *(f"{ratios[name]:.2f}" for name in ("gamma", "contamination")))
    return grid


def _train(outcome: dict[str, Any]) -> RenderableType:
    """Return the cost of a training step against the usual loop's."""
    rates = outcome["samples_per_second"]
    return Group(
        _against_targets([outcome]),
        "Samples per second: " + ", ".join(f"{peer} {rate:,.0f}" for peer, rate in rates.items()),
        f"Largest difference of a weight in float64: {outcome['difference_in_float64']:.1e}",
    )


def _resnet(outcome: dict[str, Any]) -> RenderableType:
    """Return the rate of a training step beside the machine's."""
    rates = outcome["operations_per_second"]
    step, product = rates["step"], rates["matrix product"]
    return Group(
        _against_targets([outcome]),
        f"{outcome['operations_of_a_step'] / 1e9:.1f} billion operations a step: "
        f"{step / 1e9:,.0f} billion a second, {100 * step / product:.0f} % of a matrix product's "
        f"{product / 1e9:,.0f}; {outcome['samples_per_second']['step']:,.0f} samples a second",
    )


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
            _yes(one["met"]),
        )
    return grid


def _theory(outcome: dict[str, Any]) -> RenderableType:
    """Return the cost of the exact theory, and of the solver."""
    grid = Grid(
        "operation",
        "losses",
        "N",
        "seconds",
        "target",
        "met",
        title="The exact theory, one thread (median of five)",
    )
    for one in outcome["operations"]:
        target = one["target_seconds"]
        grid.add_row(
            one["operation"],
            one["losses"],
            f"{one['n']:,}",
            f"{one['seconds']:.2g}",
            "-" if target is None else f"{target:.0f}",
            "-" if target is None else _yes(one["met"]),
        )
    solver, path, moved = outcome["solver"], outcome["path"], outcome["transport"]
    return Group(
        grid,
        f"HiGHS at N = {solver['n']:,}: {solver['seconds_presolve_off']:.2f} s with presolve off "
        f"(target {solver['target_seconds']:.0f} s), {solver['seconds_presolve_on']:.1f} s with "
        f"presolve on, its default. The value is off by {solver['value_error']:.1e} relative to "
        f"the closed form, the multiplier by {solver['multiplier_error']:.1e} (target "
        f"{solver['agreement']:.0e}); gap of its u by certificate: {solver['certified_gap']}. "
        f"Met: {_yes(solver['met'])}.",
        f"R_gamma at {path['prices']} prices, N = {path['n']:,}: HiGHS "
        f"{path['seconds_cold']:.1f} s cold, {path['seconds_hot']:.1f} s hot; gamma_path "
        f"{path['seconds_ours']:.3f} s; largest relative difference "
        f"{path['largest_difference']:.1e}.",
        f"Optimistic Wasserstein value, N = M = {moved['n']:,}: {moved['seconds']:.3f} s, the "
        f"transport program {moved['seconds_program']:.1f} s, {moved['times_faster']:.0f} times as "
        f"long (target {moved['target_times_faster']}); value off by {moved['value_error']:.1e}. "
        f"Met: {_yes(moved['met'])}.",
    )


def _sklearn(outcome: dict[str, Any]) -> RenderableType:
    """Return what wrapping a classifier adds to it."""
    grid = Grid(
        "classifier",
        "",
        "accuracy, %",
        "gain",
        "target",
        "met",
        "C' taken",
        "seconds",
        title=f"Digits, {100 * outcome['noise_rate']:.0f} % wrong labels, {outcome['seeds']} seeds",
    )
    for one in outcome["rows"]:
        taken = one["contamination"]
        grid.add_row(
            one["classifier"],
            one["way"],
            f"{one['accuracy']:.1f} ± {one['spread']:.1f}",
            f"{one['gain']:+.1f}",
            "-" if one["target"] is None else f"{one['target']:.0f}",
            "-" if one["met"] is None else _yes(one["met"]),
            "-" if taken is None else f"{min(taken):.2f} to {max(taken):.2f}",
            f"{one['seconds']:.1f}",
        )
    if outcome["cleanlab"] is None:
        return Group(grid, "cleanlab is not installed here, so it is not compared with.")
    lines = [
        f"{name}, digits by name: {one['statements']} statements, accuracy {one['accuracy']:.1f}, "
        f"{one['suspects']} labels suspected"
        for name, one in outcome["programs"].items()
    ]
    return Group(grid, f"cleanlab {outcome['cleanlab']}", *lines)


def _imdb(outcome: dict[str, Any]) -> RenderableType:
    """Return what wrapping logistic regression adds on reviews."""
    grid = Grid(
        "wrong labels",
        "C",
        "",
        "published",
        "accuracy, %",
        "pruned wrong, right, %",
        "seconds",
        title=f"IMDb, logistic regression on words, {outcome['seeds']} seeds",
        caption="published: a fine-tuned language model",
    )
    for one in outcome["rows"]:
        pruned = [one["pruned_contaminated"], one["pruned_clean"]]
        grid.add_row(
            f"{100 * one['noise_rate']:.0f} %",
            f"{one['C']:g}",
            one["way"],
            "-" if one["published"] is None else f"{one['published']:g}",
            f"{one['accuracy']:.1f} ± {one['spread']:.1f}",
            "-" if pruned[0] is None else ", ".join(f"{100 * share:.0f}" for share in pruned),
            f"{one['seconds']:.1f}",
        )
    return grid


def _yes(met: bool) -> str:
    """Return yes or no."""
    return "yes" if met else "no"


_SHOW = {
    "imdb": _imdb,
    "resnet": _resnet,
    "resnet_gpu": _resnet,
    "reweight": _reweight,
    "reweight_gpu": lambda outcome: _against_targets(outcome["large"]),
    "sklearn": _sklearn,
    "step": _peers,
    "table8": _table8,
    "train": _train,
    "train_gpu": _train,
    "theory": _theory,
}
