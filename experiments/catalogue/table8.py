"""ICLR paper, Table 8: MNIST's digits 0, 1, 2, most labels wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.catalogue.cell import PRESETS, SMOKE, Cell, Table
from experiments.spec import LossName, Run

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
            published=(published[rrm],),
            run=run(loss, rate, rrm=rrm),
        )
        for loss, row in TABLE_8.items()
        for rate, published in zip(TABLE_8_NOISE, row, strict=True)
        for rrm in (False, True)
    )


TABLES = (
    Table(
        name="table8",
        title="Table 8: MNIST-3 test accuracy (%), without and with RRM",
        source="ICLR paper, Appendix C",
        scales=("paper", "smoke"),
        presets=tuple(PRESETS),
        cells=_table8,
        experiment="table8",
        shows="accuracy",
    ),
)
