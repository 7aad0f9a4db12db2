"""Which wrong labels the weights found: area under the ROC curve, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from experiments.report import MEASURES, Report, Section, mean_and_spread, noise, row_name

HEADER = ("loss", "noise", "AUC", "precision", "recall", "pruned", "seeds")


def detection_sections(reports: Sequence[Report]) -> list[Section]:
    """Return a table per preset, of the lines of RRM; none where nothing was measured."""
    tables = []
    for one in reports:
        body = [
            (
                row_name(line.cell),
                noise(line.cell),
                *(_percent(line.detection[name]) for name in MEASURES),
                str(len(line.detection["auc"])),
            )
            for line in one.lines
            if line.detection
        ]
        if body:
            title = f"Wrong labels found by the last weights (%), preset `{one.preset}`"
            tables.append(Section(title=title, header=HEADER, body=body))
    return tables


def _percent(values: Sequence[float | None]) -> str:
    """Return "mean", or "mean ± spread" of several, in percent; "-" where there is nothing."""
    present = [100 * value for value in values if value is not None]
    if not present:
        return "-"
    return mean_and_spread(fmean(present), stdev(present) if len(present) > 1 else None)
