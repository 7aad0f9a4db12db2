"""A table of the papers as data, and how its settings are read.

A preset is a reading of the settings. `paper` takes the text literally, but for the sign of
Section 4.2.2's test attack, which is missing there; `authors_program` takes the gamma convention,
the clipped cross-entropy and, of attacks, the units and the order of the authors' published
program. Initialisation and batch sums, which the text leaves unsaid, are the program's in both. One
thing of the program is in neither: it takes whatever vertex its solver returns, so freed mass goes
to one sample where ours is spread over all cheapest ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from experiments.spec import Run

# What a reading says of all tables. "authors_program": ||u||_1 without the half, softmax clipped
# as Keras does.
PRESETS: dict[str, dict[str, Any]] = {
    "authors_program": {"gamma_convention": "l1", "probability_clip": 1e-7},
    "paper": {"gamma_convention": "eq2", "probability_clip": 0.0},
}

SCALES = ("paper", "reduced", "cpu", "smoke")
# A smoke run takes seconds and shows only that everything is connected.
SMOKE: dict[str, Any] = {"iterations": 2, "epochs_per_iteration": 1, "train_samples": 600}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry of a table: how to run it, and the published accuracy in percent.

    Under attack a number is published for each of TEST_EPS, the first of which is no attack; of an
    experiment of ours there is none.
    """

    row: str
    noise_rate: float
    rrm: bool
    published: tuple[float, ...]
    run: Run
    # Which of our selections the published accuracy is.
    rule: Literal["last", "selected"] = "last"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the papers: its cells for a preset, a scale and a seed.

    `experiment` is the folder of its results, which tables that show the same runs share.
    """

    name: str
    title: str
    source: str
    scales: tuple[str, ...]
    presets: tuple[str, ...]
    cells: Callable[[str, str, int], tuple[Cell, ...]]
    experiment: str
    shows: Literal["accuracy", "attacked", "weights", "methods"]
    # What --set cannot change, since it says which cell a run belongs to.
    fixed: tuple[str, ...] = ("seed", "noise_rate", "loss")
    # How the published runs differ from ours, beyond what a scale says.
    differences: tuple[str, ...] = ()

    def runs(self, *, preset: str, scale: str, seeds: int) -> tuple[Run, ...]:
        """Return the runs of all seeds, seed by seed, so that an early stop leaves whole tables."""
        return tuple(cell.run for seed in range(seeds) for cell in self.cells(preset, scale, seed))
