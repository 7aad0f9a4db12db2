"""Data of one's own, and the main job."""

from __future__ import annotations

from dataclasses import replace

from experiments.catalogue.cell import Cell, Table
from experiments.spec import Run

# For data of one's own: settings that train most small networks.
OWN_BASE = Run(
    dataset="digits",
    model="mlp",
    loss="cce",
    noise_rate=0.0,
    seed=0,
    learning_rate=0.02,
    momentum=0.9,
    batch_size=64,
    iterations=10,
    epochs_per_iteration=3,
    reduction="batch_mean",
    initialisation="torch",
    validation=0.2,
)
OWN_CONTAMINATION = (0.1, 0.2, 0.4)


def _own(preset: str, scale: str, seed: int) -> tuple[Cell, ...]:
    """Return plain training and RRM with three estimates of how many labels are wrong."""
    del preset, scale
    base = replace(OWN_BASE, seed=seed)
    cells = [Cell(row="plain", noise_rate=0.0, rrm=False, published=(), run=base)]
    for estimate in OWN_CONTAMINATION:
        run = replace(base, contamination=estimate)
        row = f"C' = {estimate}"
        cells.append(Cell(row=row, noise_rate=0.0, rrm=True, published=(), run=run))
    return tuple(cells)


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


TABLES = (
    Table(
        name="own",
        title="Your data: plain training, and RRM with three estimates of the wrong labels",
        source="ours",
        scales=("cpu",),
        presets=("paper",),
        cells=_own,
        experiment="own",
        shows="accuracy",
        fixed=("seed",),
    ),
)
