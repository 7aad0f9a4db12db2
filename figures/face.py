"""All optimal weights of four samples, a polygon: its corners, samples of it, the even split."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH
from rrm_theory import optimal_face, relax

LOSSES = (0.0, 0.0, 1.0, 3.0)
GAMMA = 1.0
SAMPLES = 400


def corners() -> np.ndarray:
    """Return the vertices, shape (4, 4), in the order in which a polygon visits them."""
    vertices = np.array(
        [[float(x) for x in u] for u in optimal_face(LOSSES, gamma=GAMMA).vertices()]
    )
    centre = vertices.mean(axis=0)
    around = np.arctan2(vertices[:, 2] - centre[2], vertices[:, 0] - centre[0])
    return vertices[np.argsort(around)]


def draw() -> Figure:
    """Return the figure: u of the first sample against u of the third, which fix the other two."""
    face, canonical = optimal_face(LOSSES, gamma=GAMMA), relax(LOSSES, gamma=GAMMA)
    rng = np.random.default_rng(0)
    inside = np.array([face.sample(rng) for _ in range(SAMPLES)])
    vertices = corners()
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 3.0))
        axis.add_patch(Polygon(vertices[:, [0, 2]], facecolor=CLEAN, alpha=0.15, edgecolor="none"))
        axis.plot(
            inside[:, 0], inside[:, 2], ".", color=CLEAN, markersize=2, label="random elements"
        )
        axis.plot(vertices[:, 0], vertices[:, 2], "o", color=CLEAN, label="vertices")
        axis.plot(
            canonical.u[0],
            canonical.u[2],
            "*",
            color=CONTAMINATED,
            markersize=12,
            label="the minimiser of Corollary 3.1.1",
        )
        for u in vertices:
            weights = ", ".join(f"{x + 0.25:g}" for x in u)
            below = u[2] < -0.1
            axis.annotate(
                f"p = ({weights})",
                (u[0], u[2]),
                xytext=(0, -12 if below else 8),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axis.set_xlim(-0.09, 0.59)
        axis.set_ylim(-0.30, 0.04)
        axis.set_xlabel("$u_1$: gained by the first of the two samples with loss 0")
        axis.set_ylabel("$u_3$: lost by loss 1")
        axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure
