"""Table 6 of the ICLR paper as a picture: where u is after 1, 10 and 49 re-weightings."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.catalogue.adversarial import TABLE_6
from experiments.store import Store
from experiments.trajectory import BINS, count_bins
from figures.adversarial import weights_run
from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH

KINDS = (("contaminated", "wrong label", CONTAMINATED), ("clean", "right label", CLEAN))


def draw(store: Store) -> Figure:
    """Return the figure: a column an iteration, a row a kind of label, ours beside published."""
    run = weights_run(store)
    counts = count_bins(run.trajectory)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            2, len(TABLE_6), sharex=True, sharey=True, figsize=(TEXT_WIDTH, 4.2)
        )
        for column, (iteration, published) in enumerate(TABLE_6.items()):
            axes[0, column].set_title(f"re-weighting {iteration}")
            for row, (kind, label, colour) in enumerate(KINDS):
                here = counts[kind][iteration - 1]
                _bars(axes[row, column], here, np.array(published[kind]), colour)
                axes[row, 0].set_ylabel(f"{label}, %")
        axes[0, 0].legend(frameon=False, loc="upper right")
        for axis in axes[-1]:
            axis.set_xticks(np.arange(len(BINS)), BINS, rotation=60, ha="right")
        figure.supxlabel(f"$N u_i$ ({run.label})", fontsize=9)
    return figure


def _bars(axis: Axes, ours: np.ndarray, published: np.ndarray, colour: str) -> None:
    """Draw the shares of one kind of label in percent."""
    places = np.arange(len(BINS))
    axis.bar(places - 0.2, 100 * ours / ours.sum(), width=0.4, color=colour, label="ours")
    axis.bar(
        places + 0.2,
        100 * published / published.sum(),
        width=0.4,
        color="white",
        edgecolor=colour,
        hatch="////",
        label="published",
    )
    axis.set_ylim(0, 105)
