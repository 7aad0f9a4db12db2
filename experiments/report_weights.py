"""Table 6 and Appendix F from trajectories: where the weights are, and what the close calls are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from experiments.catalogue.adversarial import APPENDIX_F, TABLE_6
from experiments.catalogue.cell import Table
from experiments.report import EVERYTHING, MOST_SEEDS, Section, Selection
from experiments.store import Store
from experiments.trajectory import (
    BINS,
    Trajectory,
    close_calls,
    count_bins,
    distance_to_ideal,
    pruning_quality,
)

# Table 6's re-weightings, counted from 1.
ITERATIONS = tuple(TABLE_6)
KINDS = ("contaminated", "clean")
HEADER = ("iteration", "labels", "", *BINS, "all")


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightsReport:
    """One run's trajectory, counted as Table 6 and Appendix F count."""

    preset: str
    scale: str
    seed: int
    trajectory: Trajectory

    @cached_property
    def counts(self) -> dict[int, dict[str, list[int]]]:
        """Return the samples in each of BINS after Table 6's iterations, by kind of label."""
        table = count_bins(self.trajectory)
        there = [i for i in ITERATIONS if i <= len(self.trajectory.parts)]
        return {i: {kind: table[kind][i - 1].tolist() for kind in KINDS} for i in there}

    @property
    def label(self) -> str:
        """Return which run it is."""
        return f"Preset `{self.preset}`, scale `{self.scale}`, seed {self.seed}"

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        quality = pruning_quality(self.trajectory)
        return {
            "preset": self.preset,
            "scale": self.scale,
            "seed": self.seed,
            "bins": list(BINS),
            "counts": self.counts,
            "close_calls": close_calls(self.trajectory).counts(),
            "precision": [_number(share) for share in quality["precision"].tolist()],
            "recall": [_number(share) for share in quality["recall"].tolist()],
            "distance_to_ideal": distance_to_ideal(self.trajectory).tolist(),
        }


def weights_reports(
    table: Table,
    store: Store,
    *,
    preset: str,
    scale: str,
    selection: Selection = EVERYTHING,
) -> list[WeightsReport]:
    """Return a report for every seed that has a trajectory; see `report.report`."""
    reports = []
    for seed in range(MOST_SEEDS):
        for cell in table.cells(preset, scale, seed):
            if not selection.keep(cell.run):
                continue
            trajectory = store.load_trajectory(selection.change(cell.run))
            if trajectory is not None:
                reports.append(
                    WeightsReport(preset=preset, scale=scale, seed=seed, trajectory=trajectory)
                )
    return reports


def weights_sections(reports: Sequence[WeightsReport]) -> list[Section]:
    """Return Table 6 for every run."""
    return [Section(title=one.label, header=HEADER, body=weights_rows(one)) for one in reports]


def weights_rows(report: WeightsReport) -> list[tuple[str, ...]]:
    """Return Table 6 as text: shares of a kind in percent, ours above the published ones."""
    rows: list[tuple[str, ...]] = []
    for iteration, counts in report.counts.items():
        for kind in KINDS:
            for name, numbers in (
                ("ours", counts[kind]),
                ("published", TABLE_6[iteration][kind]),
            ):
                total = sum(numbers)
                shares = [f"{100 * x / total:.1f} %" if total else "-" for x in numbers]
                rows.append((str(iteration), kind, name, *shares, str(total)))
    return rows


def _number(share: float) -> float | None:
    """Return a share, or None if it is of nothing."""
    return None if math.isnan(share) else share


def _percent(share: float) -> str:
    """Return a share in percent, or that there is nothing it could be of."""
    return "(none there)" if math.isnan(share) else f"{100 * share:.0f} %"


def weights_verdict(report: WeightsReport) -> list[str]:
    """Return, in words, how well the weights separate, and Appendix F's counts."""
    quality = pruning_quality(report.trajectory)
    distance = distance_to_ideal(report.trajectory)
    ours, total = close_calls(report.trajectory).counts(), (~report.trajectory.contaminated).sum()
    published_total = sum(APPENDIX_F.values())
    parts = [
        f"{name.replace('_', ' ')} {count} ({100 * count / total:.1f} %; published "
        f"{100 * APPENDIX_F[name] / published_total:.1f} %)"
        for name, count in ours.items()
    ]
    best, uniform = distance.min(), report.trajectory.contaminated.mean()
    return [
        f"{report.label}: of the pruned samples {_percent(quality['precision'][-1])} are wrong, "
        f"of the wrong ones {_percent(quality['recall'][-1])} are pruned at the end; the weights "
        f"are {distance[-1]:.2f} in total variation from the ideal ones (best {best:.2f}, uniform "
        f"{uniform:.2f}).",
        f"Clean samples: {', '.join(parts)}.",
    ]
