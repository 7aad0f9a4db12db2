"""The main job: wrong labels on digits, plain training beside RRM, a table and two pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from experiments.catalogue.own import DEMO_PLAIN, DEMO_RRM
from experiments.outcome import SELECTIONS
from experiments.report import markdown_table
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
    if not store.trajectory_path(DEMO_RRM).is_file():
        # The pictures need it, and a run is the same every time.
        store.result_path(DEMO_RRM).unlink(missing_ok=True)
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


HEADER = ("", *SELECTIONS, "pruned contaminated", "pruned clean")


def demo_rows(store: Store) -> list[tuple[str, ...]]:
    """Return accuracy under each selection rule, and what RRM pruned at its last re-weighting.

    Raises
    ------
    FileNotFoundError
        If a run has no result.

    """
    rows: list[tuple[str, ...]] = []
    for name, run in (("plain", DEMO_PLAIN), ("RRM, C' = 0.4", DEMO_RRM)):
        one = store.load_result(run)
        if one is None:
            msg = f"no {store.result_path(run)}: run python -m experiments demo first."
            raise FileNotFoundError(msg)
        n, wrong = one["samples"]["train"], one["samples"]["contaminated"]
        pruned = ("-", "-")
        if one["reweightings"]:
            last = one["reweightings"][-1]
            pruned = (
                f"{last['pruned_contaminated']} of {wrong}",
                f"{last['pruned_clean']} of {n - wrong}",
            )
        rows.append((name, *(f"{one['accuracy'][rule]:.1f}" for rule in SELECTIONS), *pruned))
    return rows


def demo_table(store: Store) -> Grid:
    """Return the rows as a table for the terminal."""
    grid = Grid(
        title="Digits, 40 % of the training labels wrong: test accuracy (%)",
        caption="last: final epoch. selected: best epoch on noisy validation labels. "
        "oracle: best epoch on the test labels. pruned: at the final re-weighting.",
    )
    for column in HEADER:
        grid.add_column(column, justify="right" if column else "left")
    for row in demo_rows(store):
        grid.add_row(*row)
    return grid


def demo_markdown(store: Store) -> str:
    """Return the rows as Markdown: for the README, which a test compares with this."""
    return markdown_table(HEADER, demo_rows(store))
