"""The bounds of Section 3.4 over the radius: where weights are enough, and where they are not."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH
from rrm_theory import relaxed_risk
from rrm_theory.wasserstein import (
    one_move_value,
    optimistic_value,
    weight_budget_value,
    weight_penalty_value,
)

LOSSES = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0])
RADII = np.linspace(0.005, 0.9, 180)
# A correct label costs nothing in loss; how far it is decides which panel.
NEAR, FAR = 0.15, 4.0
GAMMA = 2.0


def support(distance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return J and d: every sample may stay, or move its label to one with loss 0."""
    n = len(LOSSES)
    cost = np.full((n, 2 * n), np.inf)
    cost[np.arange(n), np.arange(n)] = 0.0
    cost[np.arange(n), n + np.arange(n)] = distance
    return np.concatenate([LOSSES, np.zeros(n)]), cost


def draw() -> Figure:
    """Return the figure: two panels with the same losses."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, sharey=True, figsize=(TEXT_WIDTH, 3.4))
        _panel(axes[0], FAR)
        axes[0].set_title(f"Weights are enough: labels {FAR:g} apart")
        _panel(axes[1], NEAR)
        axes[1].set_title(f"They are not: labels {NEAR:g} apart")
        axes[0].set_ylabel("mean loss")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=3)
    return figure


def _panel(axis: Axes, distance: float) -> None:
    """Draw five values over the radius; where lines coincide, dashes show both."""
    j, cost = support(distance)
    budgets = [weight_budget_value(LOSSES, radius=eps) for eps in RADII]
    priced = [
        weight_penalty_value(LOSSES, multiplier=budget.multiplier_interval[0]) for budget in budgets
    ]
    label = rf"$R_\gamma$, $\gamma$ = {GAMMA:g}"
    axis.axhline(relaxed_risk(LOSSES, gamma=GAMMA), color="black", linewidth=1, label=label)
    axis.plot(RADII, priced, color=CONTAMINATED, label=r"$V(\gamma_\theta)$, as printed")
    values = [budget.value for budget in budgets]
    axis.plot(RADII, values, color="#E69F00", linewidth=3, label=r"$V_\epsilon$")
    moved = [one_move_value(j, cost, radius=eps).value for eps in RADII]
    axis.plot(RADII, moved, color="#009E73", label="one move a sample")
    exact = [optimistic_value(j, cost, radius=eps).value for eps in RADII]
    axis.plot(RADII, exact, color=CLEAN, linestyle=(0, (4, 3)), label="$v_N$, exact")
    axis.set_xlabel(r"radius $\epsilon$")
    axis.set_xlim(0, RADII[-1])
    axis.set_ylim(bottom=0)
