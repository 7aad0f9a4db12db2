"""The main job: wrong labels on digits, plain training beside RRM, a table and two pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from experiments.catalogue import DEMO_PLAIN, DEMO_RRM
from experiments.outcome import SELECTIONS
from experiments.store import WORK, Store
from experiments.sweep import Sweep, sweep

EXPERIMENT = "demo"
PICTURES = ("trajectories", "weights")


def demo_store(results: Path, work: Path) -> Store:
    """Return the store of the demo's files."""
    return Store(experiment=EXPERIMENT, results=results, work=work)


def run_demo(*, results: Path = WORK, work: Path = WORK, jobs: int, console: Console) -> Sweep:
    """Train both runs (or find them finished), print the table, and draw the pictures."""
    store = demo_store(results, work)
    outcome = sweep([DEMO_PLAIN, DEMO_RRM], store, jobs=jobs, console=console)
    if outcome.failed or outcome.unfinished:
        return outcome
    console.print(demo_table(store))
    pictures = work / EXPERIMENT
    for name in PICTURES:
        # A process of its own: figures reads what the harness wrote, never the other way round.
        command = [sys.executable, "-m", "figures", name]
        command += ["--results", str(results), "--work", str(work), "--output", str(pictures)]
        subprocess.run(command, check=True)
    return outcome


def demo_table(store: Store) -> Grid:
    """Return accuracy under each selection rule, and what RRM pruned, as a table."""
    plain, rrm = store.load_result(DEMO_PLAIN), store.load_result(DEMO_RRM)
    assert plain is not None
    assert rrm is not None
    samples = plain["samples"]
    n, wrong = samples["train"], samples["contaminated"]
    grid = Grid(
        title=f"Digits, {wrong} of {n} training labels wrong: test accuracy (%)",
        caption="last: final epoch. selected: best epoch on noisy validation labels. "
        "oracle: best epoch on the test labels. pruned: at the final re-weighting.",
    )
    for column in ("", *SELECTIONS, "pruned contaminated", "pruned clean"):
        grid.add_column(column, justify="right" if column else "left")
    for name, one in (("plain", plain), ("RRM, C' = 0.4", rrm)):
        last = one["reweightings"][-1] if one["reweightings"] else None
        grid.add_row(
            name,
            *(f"{one['accuracy'][rule]:.1f}" for rule in SELECTIONS),
            f"{last['pruned_contaminated']} of {wrong}" if last else "-",
            f"{last['pruned_clean']} of {n - wrong}" if last else "-",
        )
    return grid
