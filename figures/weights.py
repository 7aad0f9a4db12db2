"""How many samples are removed, damped, untouched or heavier at the end, wrong and right."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from experiments.store import Store
from figures.demo import demo_run
from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH

BINS = ("0\nremoved", "between\n0 and 1", "1\nuntouched", "above 1\ngained")


def counts(scaled_weights: np.ndarray, tolerance: float = 1e-6) -> list[int]:
    """Return how many weights are 0, between 0 and 1, 1, and above 1, up to ``tolerance``."""
    w = scaled_weights
    return [
        int((w <= tolerance).sum()),
        int(((w > tolerance) & (w < 1 - tolerance)).sum()),
        int((np.abs(w - 1) <= tolerance).sum()),
        int((w > 1 + tolerance).sum()),
    ]


def draw(store: Store) -> Figure:
    """Return the figure."""
    run = demo_run(store)
    final = run.scaled_weights[-1]
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.8))
        places = np.arange(len(BINS))
        for shift, mask, colour, label, hatch in (
            (-0.2, run.contaminated, CONTAMINATED, "wrong label", ""),
            (0.2, ~run.contaminated, CLEAN, "right label", "//"),
        ):
            heights = counts(final[mask])
            bars = axis.bar(
                places + shift,
                heights,
                width=0.38,
                color=colour,
                label=label,
                hatch=hatch,
                edgecolor="white",
            )
            axis.bar_label(bars, labels=[str(height) for height in heights], fontsize=8)
        axis.set_xticks(places, BINS)
        axis.set_xlabel(r"final weight $N p_i$")
        axis.set_ylabel("samples")
        axis.margins(y=0.12)
        axis.legend(frameon=False)
    return figure
