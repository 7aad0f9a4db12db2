"""N p_i of a few samples after every re-weighting: wrong labels on the left, right ones beside.

The samples are chosen by rule, not by eye: see :func:`chosen`.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from experiments.store import Store
from figures.demo import DemoRun, demo_run
from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH

ROWS = 4
# N p below this is removed, whatever rounding left of it.
REMOVED = 0.5


def chosen(run: DemoRun) -> tuple[list[int], list[int]]:
    """Return four contaminated and four clean samples.

    Contaminated: the two lowest indices removed at the end from the first re-weighting on, the one
    that changed most often among those removed at the end, and the lowest index kept at the end.
    Clean: the lowest index never touched, the two that left and came back most often, and the one
    with the largest weight ever. Ties go to the lowest index.
    """
    w, wrong = run.scaled_weights, run.contaminated
    removed = w < REMOVED
    changes = (removed[1:] != removed[:-1]).sum(axis=0)
    gone = removed[-1]

    def first(mask: np.ndarray, count: int = 1) -> list[int]:
        return [int(i) for i in np.flatnonzero(mask)[:count]]

    def most(score: np.ndarray, mask: np.ndarray, count: int = 1) -> list[int]:
        order = np.argsort(-np.where(mask, score, -1.0), kind="stable")
        return [int(i) for i in order[: min(count, int(mask.sum()))]]

    left = first(wrong & removed.all(axis=0), 2)
    left += most(changes, wrong & gone) + first(wrong & ~gone)
    right = first(~wrong & (w == 1).all(axis=0))
    right += most(changes, ~wrong & ~gone, 2) + most(w.max(axis=0), ~wrong)
    return list(dict.fromkeys(left)), list(dict.fromkeys(right))


def draw(store: Store) -> Figure:
    """Return the figure."""
    run = demo_run(store)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            ROWS, 2, figsize=(TEXT_WIDTH, 4.6), sharex=True, sharey=True, squeeze=False
        )
        for column, (samples, colour, title) in enumerate(
            zip(
                chosen(run),
                (CONTAMINATED, CLEAN),
                ("wrong label", "right label"),
                strict=True,
            )
        ):
            axes[0, column].set_title(title, loc="left", color=colour, fontweight="bold")
            for row, axis in enumerate(axes[:, column]):
                if row >= len(samples):
                    axis.set_axis_off()
                    continue
                weight = run.scaled_weights[:, samples[row]]
                x = [0, *run.epochs]
                y = [1.0, *weight]
                axis.step(x, y, where="post", color=colour)
                axis.fill_between(x, 0, y, step="post", color=colour, alpha=0.2)
                axis.set_yscale("symlog", linthresh=1)
                axis.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
                axis.minorticks_off()
                axis.set_title(f"sample {samples[row]}", loc="right", fontsize=8)
        figure.supxlabel("epoch", fontsize=9)
        figure.supylabel(r"$N p_i$", fontsize=9)
    return figure
