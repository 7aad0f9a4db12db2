"""The relaxed risk over the price gamma: concave, with a kink at every c_i - c_min."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH
from rrm_theory import gamma_path

LOSSES = (0.5, 0.5, 1.5, 3.5, 3.5, 6.5)
LARGEST = 7.0


def draw() -> Figure:
    """Return the figure: the value, and below it the pruned fraction, its derivative."""
    path = gamma_path(LOSSES)
    breaks = np.array(path.breaks)
    ends = [0.0, *breaks[breaks > 0], LARGEST]
    values = [min(LOSSES), *(path(gamma) for gamma in ends[1:])]
    pruned = [float(path.derivatives((a + b) / 2)[1]) for a, b in pairwise(ends)]
    with plt.rc_context(STYLE):
        figure, (top, bottom) = plt.subplots(
            2, 1, sharex=True, figsize=(TEXT_WIDTH, 3.6), height_ratios=(3, 2)
        )
        top.axhline(np.mean(LOSSES), color="0.6", linestyle="--", linewidth=0.8)
        top.annotate("empirical risk", (0, np.mean(LOSSES)), va="bottom")
        top.plot(ends, values, color=CLEAN)
        top.plot(ends[1:-1], values[1:-1], "o", color=CONTAMINATED, label="breaks $c_i - c_{min}$")
        top.set_ylim(top=3)
        top.set_ylabel(r"$R_\gamma(c)$")
        top.legend(frameon=False, loc="lower right")
        bottom.stairs(pruned, ends, color=CLEAN, baseline=None)
        for gamma in ends[1:-1]:
            right, left = map(float, path.derivatives(gamma))
            bottom.plot([gamma, gamma], [right, left], color=CONTAMINATED, linewidth=2)
        bottom.set_ylim(-0.05, 0.75)
        bottom.set_ylabel("pruned fraction")
        bottom.set_xlabel(r"price $\gamma$ per unit of total variation")
    return figure
