"""Which wrong labels the weights found: area under the ROC curve, precision and recall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from experiments.catalogue import Cell, Table
from experiments.report import Section, gather, mean_and_spread, row_name
from experiments.spec import Run
from experiments.store import Store

MEASURES = ("auc", "precision", "recall", "pruned")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a cell's last weights found: a value of each of MEASURES for every seed.

    None where there is nothing to find.
    """

    cell: Cell
    values: dict[str, list[float | None]]

    def as_json(self) -> dict[str, Any]:
        """Return the measures as plain data."""
        return {"row": self.cell.row, "noise_rate": self.cell.noise_rate, **self.values}


def found_by_weights(
    table: Table,
    store: Store,
    *,
    preset: str,
    scale: str,
    keep: Callable[[Run], bool] = lambda _: True,
    change: Callable[[Run], Run] = lambda run: run,
) -> list[Found]:
    """Return what the weights found in every cell of RRM, whatever seeds are there.

    Only the cells whose run passes ``keep`` count; ``change`` is applied to a run before it is
    looked up, for settings other than the preset's.

    Raises
    ------
    ValueError
        If ``keep`` leaves no cell.

    """
    lines = []
    for cell, results in gather(table, store, preset=preset, scale=scale, keep=keep, change=change):
        measured = [one["detection"] for one in results if one.get("detection")]
        if measured:
            values = {name: [one[name] for one in measured] for name in MEASURES}
            lines.append(Found(cell=cell, values=values))
    return lines


def detection_sections(found: list[Found]) -> list[Section]:
    """Return the measures as a table, mean and spread over seeds; no table without a line."""
    if not found:
        return []
    return [
        Section(
            title="Wrong labels found by the last weights (%)",
            header=("loss", "noise", "AUC", "precision", "recall", "pruned", "seeds"),
            body=[
                (
                    row_name(one.cell),
                    f"{100 * one.cell.noise_rate:.0f} %" if one.cell.noise_rate else "-",
                    *(_percent(one.values[name]) for name in MEASURES),
                    str(len(one.values["auc"])),
                )
                for one in found
            ],
        )
    ]


def _percent(values: list[float | None]) -> str:
    """Return "mean", or "mean ± spread" of several, in percent; "-" where there is nothing."""
    present = [100 * value for value in values if value is not None]
    if not present:
        return "-"
    return mean_and_spread(fmean(present), stdev(present) if len(present) > 1 else None)
