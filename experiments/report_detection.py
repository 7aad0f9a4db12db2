"""Which wrong labels were found: by RRM's weights, and by what a method itself says of them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from experiments.report import MEASURES, Line, Report, Section, mean_and_spread, noise, row_name

HEADER = ("loss", "noise", "", "AUC", "precision", "recall", "pruned", "AUC of the method", "seeds")


def detection_sections(reports: Sequence[Report]) -> list[Section]:
    """Return a table per preset, of RRM and of methods; none where nothing was measured."""
    tables = []
    for one in reports:
        lines = [line for line in one.lines if line.detection or line.method_auc]
        # What the table's methods do not say needs no column.
        absent = () if any(line.method_auc for line in lines) else ("", "AUC of the method")
        shown = [place for place, name in enumerate(HEADER) if name not in absent]
        body = [[row[place] for place in shown] for row in map(_row, lines)]
        if body:
            title = f"Wrong labels found in the end (%), preset `{one.preset}`"
            header = [HEADER[place] for place in shown]
            tables.append(Section(title=title, header=header, body=body))
    return tables


def _row(line: Line) -> tuple[str, ...]:
    """Return a line as text, in the order of HEADER."""
    return (
        row_name(line.cell),
        noise(line.cell),
        "+ RRM" if line.cell.rrm else "plain",
        *(_percent(line.detection.get(name, [])) for name in MEASURES),
        _percent(line.method_auc),
        str(line.seeds),
    )


def _percent(values: Sequence[float | None]) -> str:
    """Return "mean", or "mean ± spread" of several, in percent; "-" where there is nothing."""
    present = [100 * value for value in values if value is not None]
    if not present:
        return "-"
    return mean_and_spread(fmean(present), stdev(present) if len(present) > 1 else None)
