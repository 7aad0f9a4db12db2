"""The optimal face of three samples on the simplex of weights, as gamma falls past a tie."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH
from rrm_theory import optimal_face, relax

LOSSES = (0.0, 0.0, 1.0)
GAMMAS = (1.5, 1.0, 0.5)
# Corners of the simplex: all probability on samples 1, 2, 3.
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
GRID = 200


def draw() -> Figure:
    """Return the figure: one panel a price."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(GAMMAS), figsize=(TEXT_WIDTH, 2.5))
        for axis, gamma in zip(axes, GAMMAS, strict=True):
            _panel(axis, gamma)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=3)
    return figure


def _panel(axis: Axes, gamma: float) -> None:
    """Draw the simplex, the objective's level lines, the face and two of its points."""
    axis.fill(*CORNERS.T, facecolor="none", edgecolor="0.6", linewidth=0.8)
    points, cost = _objective(gamma)
    axis.tricontour(*points.T, cost, levels=8, colors="0.8", linewidths=0.6)
    face = optimal_face(LOSSES, gamma=gamma)
    weights = np.array([[float(x) + 1 / 3 for x in u] for u in face.vertices()])
    corners = weights @ CORNERS
    if len(corners) > 2:
        axis.fill(*corners.T, color=CLEAN, alpha=0.25, linewidth=0)
    closed = np.vstack([corners, corners[:1]])
    axis.plot(
        *closed.T, "o-", color=CLEAN, markersize=4, clip_on=False, label="optimal face, vertices"
    )
    even = relax(LOSSES, gamma=gamma).weights @ CORNERS
    axis.plot(*even, "*", color=CONTAMINATED, markersize=11, clip_on=False, label="Corollary 3.1.1")
    axis.plot(*CORNERS.mean(axis=0), "+", color="black", markersize=8, label="1/N each")
    for corner, loss, (right, up) in zip(CORNERS, LOSSES, ((0, -9), (0, -9), (8, -2)), strict=True):
        axis.annotate(
            f"loss {loss:g}",
            corner,
            xytext=(right, up),
            textcoords="offset points",
            ha="left" if right else "center",
            fontsize=8,
        )
    n = face.n_vertices
    shape = {0: "one point", 1: "a segment", 2: "a triangle"}[face.dimension]
    axis.set_title(f"$\\gamma$ = {gamma:g}: {shape}" + (f", {n} vertices" if n > 1 else ""))
    axis.set_aspect("equal")
    axis.set_axis_off()


def _objective(gamma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of the simplex in the plane, and the objective of Eq. (2) there."""
    steps = np.arange(GRID + 1) / GRID
    first, second = np.meshgrid(steps, steps)
    inside = first + second <= 1 + 1e-12
    p = np.stack([first[inside], second[inside], 1 - first[inside] - second[inside]], axis=1)
    cost = p @ np.array(LOSSES) + gamma / 2 * np.abs(p - 1 / 3).sum(axis=1)
    return p @ CORNERS, cost
