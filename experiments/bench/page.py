"""One page of benchmarks: every target that a stored result speaks of, and what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import RenderableType
from rich.table import Table as Grid


class Target(NamedTuple):
    """What was to be reached, and what was."""

    what: str
    found: float
    relation: Literal["at least", "at most"]
    target: float

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        at_least = self.relation == "at least"
        return self.found >= self.target if at_least else self.found <= self.target


def page(folder: Path, suites: Sequence[str]) -> RenderableType:
    """Return every target of the suites' results in the folder, met or not, suite by suite."""
    grid = Grid("suite", "met", "found", "target", "of what")
    for name in suites:
        path = folder / f"{name}.json"
        if not path.exists():
            grid.add_row(name, "-", "-", "-", "no result yet")
            continue
        for one in TARGETS[name](json.loads(path.read_text())):
            met, target = "yes" if one.met else "no", f"{one.relation} {one.target:g}"
            grid.add_row(name, met, f"{one.found:.3g}", target, one.what)
    return grid


def _timed(outcomes: Sequence[dict[str, Any]]) -> Iterator[Target]:
    """Yield the targets that timings have beside them."""
    for outcome in outcomes:
        for one in outcome.get("targets", []):
            what = f"{outcome['title']}: {one['what']}"
            yield Target(what, one["found"], one["relation"], one["target"])


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
    yield Target(what, moved["times_faster"], "at least", moved["target_times_faster"])


def _sklearn(outcome: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets of the estimator."""
    for one in outcome["rows"]:
        if one["target"] is not None:
            what = f"{one['classifier']}, {one['way']}: points gained"
            yield Target(what, one["gain"], "at least", one["target"])


TARGETS: dict[str, Callable[[dict[str, Any]], Iterator[Target]]] = {
    "imdb": lambda _: iter(()),
    "resnet": lambda outcome: _timed([outcome]),
    "reweight": lambda outcome: _timed([outcome["small"], *outcome["large"]]),
    "reweight_gpu": lambda outcome: _timed(outcome["large"]),
    "sklearn": _sklearn,
    "step": lambda _: iter(()),
    "table8": _table8,
    "theory": _theory,
    "train": lambda outcome: _timed([outcome]),
}
