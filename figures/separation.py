"""How the weights part wrong labels from right ones, re-weighting by re-weighting."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from experiments.store import Store
from experiments.trajectory import BACK, distance_to_ideal, pruning_quality
from figures.adversarial import weights_run
from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH


def draw(store: Store) -> Figure:
    """Return the figure: who lost half of its weight on the left, what was pruned on the right."""
    run = weights_run(store)
    trajectory, wrong = run.trajectory, run.trajectory.contaminated
    weights, epochs = trajectory.scaled_weights(), trajectory.epochs
    quality, distance = pruning_quality(trajectory), distance_to_ideal(trajectory)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, sharex=True, figsize=(TEXT_WIDTH, 2.9))
        for mask, colour, label, line in (
            (wrong, CONTAMINATED, "wrong label", "-"),
            (~wrong, CLEAN, "right label", "--"),
        ):
            light = (weights[:, mask] < BACK).mean(axis=1)
            axes[0].plot(epochs, 100 * light, line, color=colour, label=label)
        axes[0].set_ylabel(r"samples with weight $N p_i < 1/2$, %")
        axes[0].set_ylim(-3, 103)
        axes[0].legend(frameon=False, loc="center right")
        axes[1].plot(epochs, quality["precision"], "-", color=CONTAMINATED, label="precision")
        axes[1].plot(epochs, quality["recall"], "--", color=CONTAMINATED, label="recall")
        axes[1].plot(epochs, distance, ":", color="black", label="distance to ideal")
        axes[1].set_ylabel("share; distance (total variation)")
        axes[1].set_ylim(-0.03, 1.03)
        axes[1].legend(frameon=False, loc=(0.52, 0.27))
        figure.supxlabel(f"epoch ({run.label})", fontsize=9)
    return figure
