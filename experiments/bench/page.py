"""One page of benchmarks: every target that a stored result speaks of, and what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import RenderableType
from rich.table import Table as Grid

from experiments.bench.protocol import COPIES, FASTER
from experiments.bench.resnet import LEAST_SHARE
from experiments.bench.reweight import (
    CONTAMINATION_LIMITS,
    GAMMA_LIMITS,
    GRAPH_MICROSECONDS,
    N_GPU,
    N_GRAPH,
    Limits,
)
from experiments.bench.training import TIMES_FASTER

# What ours is called among the timings.
OURS = ("Reweighter", "Reweighter, gamma", "ours", "step")


class Target(NamedTuple):
    """What was to be reached, and what was; ours and a peer's, where `found` compares the two."""

    what: str
    found: float
    relation: Literal["at least", "at most"]
    target: float
    ours: str = "-"
    peer: str = "-"

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        at_least = self.relation == "at least"
        return self.found >= self.target if at_least else self.found <= self.target


def page(folder: Path, suites: Sequence[str]) -> RenderableType:
    """Return every target of the suites' results in the folder, met or not, suite by suite."""
    grid = Grid("suite", "met", "found", "target")
    for column in ("of what", "ours", "peer"):
        grid.add_column(column, overflow="fold")
    for name in suites:
        path = folder / f"{name}.json"
        for one in TARGETS[name](json.loads(path.read_text())) if path.exists() else ():
            met, target = "yes" if one.met else "no", f"{one.relation} {one.target:g}"
            grid.add_row(name, met, f"{one.found:.3g}", target, one.what, one.ours, one.peer)
        absent = [] if path.exists() else on_a_gpu(name) or [("no result yet", "-")]
        for what, target in absent:
            grid.add_row(name, "-", "not measured", target, what, "-", "-")
        for what, target in OF_RUNS if name == "train_gpu" else ():
            grid.add_row("table5", "-", "not measured", target, what, "-", "-")
    return grid


def on_a_gpu(suite: str) -> list[tuple[str, str]]:
    """Return what a suite is to reach on a GPU: of what, and the target."""
    found = {
        "resnet_gpu": [
            ("ResNet-34 in bfloat16: share of the matrix rate", f"at least {LEAST_SHARE}")
        ],
        "reweight_gpu": [
            *_limits(f"Fixed gamma, N = {N_GPU:,}", GAMMA_LIMITS["cuda"]),
            *_limits(f"Contamination, N = {N_GPU:,}", CONTAMINATION_LIMITS["cuda"]),
            (
                f"In a CUDA graph, N = {N_GRAPH:,}: microseconds",
                f"at most {GRAPH_MICROSECONDS:g}",
            ),
        ],
        "train_gpu": [(f"An epoch: {FASTER}usual", f"at least {TIMES_FASTER['cuda']:g}")],
    }
    return found.get(suite, [])


def _limits(what: str, limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield the targets of an update."""
    copies, faster = limits
    yield f"{what}: {COPIES}", f"at most {copies:g}"
    for peer, least in faster.items():
        yield f"{what}: {FASTER}{peer}", f"at least {least:g}"


def _timed(outcomes: Sequence[dict[str, Any]]) -> Iterator[Target]:
    """Yield the targets that timings have beside them."""
    for outcome in outcomes:
        for one in outcome.get("targets", []):
            yield Target(
                f"{outcome['title']}: {one['what']}",
                one["found"],
                one["relation"],
                one["target"],
                *_compared(outcome["timings"], one["what"]),
            )


def _compared(timings: Sequence[dict[str, Any]], what: str) -> tuple[str, str]:
    """Return ours and the peer that a target names, with their times."""
    shown = {one["peer"]: _duration(one["seconds"]) for one in timings}
    ours = next(shown[name] for name in OURS if name in shown)
    peer = "copy" if what == COPIES else what.removeprefix(FASTER)
    return ours, f"{peer}, {shown[peer]}" if peer in shown else "-"


def _duration(seconds: float) -> str:
    """Return seconds with a unit that suits them."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _table8(outcome: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets of a run of Table 8."""
    for one in outcome["runs"]:
        name = "RRM" if one["rrm"] else "plain"
        yield Target(f"a run, {name}: seconds", one["seconds"], "at most", one["target_seconds"])
        if one["rrm"]:
            share = one["reweighting_share"]
            yield Target("share of re-weighting in it", share, "at most", one["target_share"])


def _theory(outcome: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets of the exact theory."""
    for one in outcome["operations"]:
        if one["target_seconds"] is not None:
            what = f"{one['operation']}, {one['losses']}, N = {one['n']:,}: seconds"
            yield Target(what, one["seconds"], "at most", one["target_seconds"])
    solver, moved = outcome["solver"], outcome["transport"]
    what = f"HiGHS, presolve off, N = {solver['n']:,}: seconds"
    yield Target(what, solver["seconds_presolve_off"], "at most", solver["target_seconds"])
    what = f"optimistic value, N = M = {moved['n']:,}: times faster than the transport program"
    yield Target(
        what,
        moved["times_faster"],
        "at least",
        moved["target_times_faster"],
        _duration(moved["seconds"]),
        f"transport program, {_duration(moved['seconds_program'])}",
    )


def _sklearn(outcome: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets of the estimator."""
    plain = {one["classifier"]: one for one in reversed(outcome["rows"])}
    for one in outcome["rows"]:
        if one["target"] is not None:
            what = f"{one['classifier']}, {one['way']}: points gained"
            peer = plain[one["classifier"]]
            yield Target(
                what,
                one["gain"],
                "at least",
                one["target"],
                f"{one['accuracy']:.1f} %",
                f"{peer['way']}, {peer['accuracy']:.1f} %",
            )
    ours, peer = (outcome["programs"].get(name) for name in ("RRM", "cleanlab"))
    if peer is not None:
        most = peer["statements"] - 1
        what = "labels that are names: statements"
        yield Target(
            what,
            ours["statements"],
            "at most",
            most,
            f"{ours['statements']}",
            f"cleanlab, {peer['statements']}",
        )


TARGETS: dict[str, Callable[[dict[str, Any]], Iterator[Target]]] = {
    "imdb": lambda _: iter(()),
    "resnet": lambda outcome: _timed([outcome]),
    "resnet_gpu": lambda outcome: _timed([outcome]),
    "reweight": lambda outcome: _timed([outcome["small"], *outcome["large"]]),
    "reweight_gpu": lambda outcome: _timed(outcome["large"]),
    "sklearn": _sklearn,
    "step": lambda _: iter(()),
    "table8": _table8,
    "theory": _theory,
    "train": lambda outcome: _timed([outcome]),
    "train_gpu": lambda outcome: _timed([outcome]),
}

# What whole runs at full scale are to take on a GPU, which no suite times.
OF_RUNS = (
    ("A run at full scale, H200: seconds", "at most 90"),
    ("All ten of a seed: minutes", "at most 10"),
    ("What RRM adds to plain training: share of its time", "at most 0.03"),
)
