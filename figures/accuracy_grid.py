"""Table 5 as heat maps: accuracy over label noise and size of the attack, ours and published."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from experiments.catalogue import TABLES
from experiments.catalogue.adversarial import ADVERSARIAL_NOISE as NOISE
from experiments.catalogue.cell import PRESETS
from experiments.report_attacked import AttackedReport, attacked_report
from experiments.spec import TEST_EPS
from experiments.store import Store
from figures.adversarial import SCALES
from figures.style import STYLE, TEXT_WIDTH

TITLES = {
    "published": "published",
    "selected_attacked": "selected, attacked",
    "selected": "selected",
}
METHODS = ("AT", "A-RRM")
# Text is white where the map is darker than this.
DARK = 55.0


def grid_report(store: Store) -> AttackedReport:
    """Return the fullest report of Table 5: full scale first, then the preset with more cells.

    Raises
    ------
    FileNotFoundError
        If there is no result.

    """
    table = TABLES["table5"]
    where = replace(store, experiment=table.experiment)
    for scale in SCALES:
        reports = [attacked_report(table, where, preset=p, scale=scale) for p in PRESETS]
        best = min(reports, key=lambda one: one.missing)
        if best.lines:
            return best
    msg = f"no result of Table 5 in {where.results}: run python -m experiments run table5 first."
    raise FileNotFoundError(msg)


def draw(store: Store) -> Figure:
    """Return the figure: a row a method, a column a source of numbers."""
    report = grid_report(store)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            2, len(TITLES), sharex=True, sharey=True, figsize=(TEXT_WIDTH, 4.4)
        )
        for row, rrm in enumerate((False, True)):
            for column, (rule, title) in enumerate(TITLES.items()):
                image = _map(axes[row, column], _accuracies(report, rule, rrm=rrm))
                axes[row, column].set_title(f"{METHODS[rrm]}, {title}")
            axes[row, 0].set_yticks(range(len(NOISE)), [f"{100 * rate:.0f} %" for rate in NOISE])
            axes[row, 0].set_ylabel("wrong labels")
        figure.colorbar(image, ax=axes, shrink=0.6, label="test accuracy, %")
        figure.supxlabel(f"size of the attack on test images ({_label(report)})", fontsize=9)
    return figure


def _accuracies(report: AttackedReport, rule: str, *, rrm: bool) -> np.ndarray:
    """Return accuracies (noise, eps) of a method, nan where there is no run."""
    if rule == "published":
        cells = report.table.cells(report.preset, report.scale, 0)
        return np.array([cell.published for cell in cells if cell.rrm == rrm], dtype=float)
    grid = np.full((len(NOISE), len(TEST_EPS)), np.nan)
    for line in report.lines:
        if line.cell.rrm == rrm:
            grid[NOISE.index(line.cell.noise_rate)] = line.mean[rule]
    return grid


def _label(report: AttackedReport) -> str:
    """Return which runs are shown."""
    counts = [line.seeds for line in report.lines]
    seeds = sorted({min(counts), max(counts)})
    sizes = report.lines[0].cell.run.test_attack
    return f"{sizes}; {report.preset}, {report.scale}, {' to '.join(map(str, seeds))} seeds"


def _map(axis: Axes, accuracy: np.ndarray) -> AxesImage:
    """Draw accuracies (noise, eps) in percent, each with its number."""
    image = axis.imshow(accuracy, vmin=0, vmax=100, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(accuracy):
        if np.isnan(value):
            continue
        colour = "white" if value < DARK else "black"
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(len(TEST_EPS)), [f"{eps:g}" for eps in TEST_EPS])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image
