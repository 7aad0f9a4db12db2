"""Figures 1 and 2 of the ICLR paper: clean samples that lost their weight and got it back."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.store import Store
from experiments.trajectory import ABOUT_ZERO, BACK, Weights, close_calls
from figures.adversarial import WeightsRun, weights_run
from figures.style import CLEAN, STYLE, TEXT_WIDTH


def clearest(weights: Weights, among: np.ndarray) -> int:
    """Return which of the samples was long without weight, and then long back.

    The shorter of the two counts, in re-weightings; ties go to the lowest index.
    """
    absent, back = weights < ABOUT_ZERO, weights >= BACK
    # Back since the last re-weighting at which it was not.
    since = np.where(back.all(axis=0), len(back), np.argmin(back[::-1], axis=0))
    return int(np.where(among, np.minimum(absent.sum(axis=0), since), -1).argmax())


def draw(store: Store) -> Figure:
    """Return the figure: one close call on the left, all of them on the right."""
    run = weights_run(store)
    weights = run.trajectory.scaled_weights()
    called = close_calls(run.trajectory).close_calls
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, sharex=True, sharey=True, figsize=(TEXT_WIDTH, 2.6))
        if called.any():
            sample = clearest(weights, called)
            _draw(axes[0], run, weights[:, sample], np.zeros(len(weights)))
            axes[0].set_title(f"Sample {sample}: gone, and back")
            back = weights[:, called].astype(np.float64)
            _draw(axes[1], run, back.mean(axis=1), back.std(axis=1))
            axes[1].set_title(f"All {called.sum()} close calls: mean ± sd")
        else:
            axes[0].set_title("No sample came back")
        axes[0].set_ylabel(r"weight $N p_i = 1 + N u_i$")
        figure.supxlabel(f"epoch ({run.label})", fontsize=9)
    return figure


def _draw(axis: Axes, run: WeightsRun, mean: np.ndarray, spread: np.ndarray) -> None:
    """Draw a curve from weight 1 before the first re-weighting, with a band."""
    epochs = np.concatenate([[0], run.trajectory.epochs])
    mean, spread = np.concatenate([[1.0], mean]), np.concatenate([[0.0], spread])
    axis.plot(epochs, mean, color=CLEAN)
    axis.fill_between(epochs, np.maximum(mean - spread, 0), mean + spread, color=CLEAN, alpha=0.25)
    axis.axhline(BACK, color="0.6", linewidth=0.8, linestyle=":")
    axis.set_ylim(-0.03, 1.23)
