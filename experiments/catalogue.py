"""The papers' tables as data: which runs they are made of, and what was published.

A preset is a reading of the settings. `paper` takes the text literally; `authors_program` takes
the gamma convention and the clipped cross-entropy of the authors' published program. What the text
leaves unsaid is the same in both. One thing of the program is in neither: it takes whatever vertex
its solver returns, so freed mass goes to one sample where ours is spread over all cheapest ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from experiments.spec import LossName, Run

# "authors_program": ||u||_1 without the half, softmax clipped as Keras does.
PRESETS: dict[str, dict[str, Any]] = {
    "authors_program": {"gamma_convention": "l1", "probability_clip": 1e-7},
    "paper": {"gamma_convention": "eq2", "probability_clip": 0.0},
}

SCALES = ("paper", "smoke")
# A smoke run takes seconds and shows only that everything is connected.
SMOKE: dict[str, Any] = {"iterations": 2, "epochs_per_iteration": 1, "train_samples": 600}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry of a table: how to run it, and the published accuracy in percent."""

    row: str
    noise_rate: float
    rrm: bool
    published: float
    run: Run


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the papers: its cells for a preset, a scale and a seed."""

    name: str
    title: str
    source: str
    cells: Callable[[str, str, int], tuple[Cell, ...]]

    def runs(self, *, preset: str, scale: str, seeds: int) -> tuple[Run, ...]:
        """Return the runs of all seeds, seed by seed, so that an early stop leaves whole tables."""
        return tuple(cell.run for seed in range(seeds) for cell in self.cells(preset, scale, seed))


TABLE_8_NOISE = (0.55, 0.60, 0.65)
# ICLR paper, Table 8: (plain, + RRM) by loss and noise rate, test accuracy in percent.
TABLE_8: dict[LossName, tuple[tuple[float, float], ...]] = {
    "elr": ((98, 99), (97, 98), (82, 87)),
    "cce": ((90, 98), (77, 96), (46, 67)),
    "mae": ((98, 98), (96, 98), (62, 68)),
    "mse": ((90, 98), (74, 97), (45, 87)),
}


def _table8(preset: str, scale: str, seed: int) -> tuple[Cell, ...]:
    """Return the 24 cells of Table 8: Appendix C's settings."""
    base = Run(
        dataset="mnist3",
        model="mlp",
        loss="cce",
        noise_rate=0.0,
        seed=seed,
        learning_rate=0.1,
        batch_size=100,
        iterations=10,
        epochs_per_iteration=10,
    )
    if scale == "smoke":
        base = replace(base, **SMOKE)
    reading = PRESETS[preset]

    def run(loss: LossName, rate: float, *, rrm: bool) -> Run:
        # A choice without effect stays at its default, so the presets share those runs.
        choices: dict[str, Any] = {"loss": loss, "noise_rate": rate}
        if loss in ("cce", "elr"):
            choices["probability_clip"] = reading["probability_clip"]
        if rrm:
            choices |= {"penalty": 0.4, "gamma_convention": reading["gamma_convention"]}
            choices["step"] = 0.5
        return replace(base, **choices)

    return tuple(
        Cell(
            row=loss,
            noise_rate=rate,
            rrm=rrm,
            published=published[rrm],
            run=run(loss, rate, rrm=rrm),
        )
        for loss, row in TABLE_8.items()
        for rate, published in zip(TABLE_8_NOISE, row, strict=True)
        for rrm in (False, True)
    )


TABLES: dict[str, Table] = {
    "table8": Table(
        name="table8",
        title="Table 8: MNIST-3 test accuracy (%), without and with RRM",
        source="ICLR paper, Appendix C",
        cells=_table8,
    )
}

# Digits, 40 % of the labels wrong: plain training against RRM that is told the rate.
DEMO_PLAIN = Run(
    dataset="digits",
    model="mlp",
    loss="cce",
    noise_rate=0.4,
    seed=0,
    learning_rate=0.05,
    batch_size=50,
    iterations=30,
    epochs_per_iteration=5,
    reduction="batch_mean",
    validation=0.2,
)
DEMO_RRM = replace(DEMO_PLAIN, contamination=0.4)


def table(name: str) -> Table:
    """Return the table of that name; a ValueError lists the known ones."""
    if name not in TABLES:
        msg = f"unknown table {name!r}; known: {', '.join(TABLES)}."
        raise ValueError(msg)
    return TABLES[name]
