"""The theory's pictures, for the gallery and for the ledger's page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from figures import bounds, gamma_path, gap, simplex
from figures.style import STYLE
from rrm_theory.ledger.report import Picture


@dataclass(frozen=True, kw_only=True)
class TheoryFigure:
    """A picture, its file in the gallery, and what to see in it."""

    file: str
    title: str
    caption: str
    draw: Callable[[], Figure]


FIGURES = (
    TheoryFigure(
        file="simplex",
        title="The optimal face of three samples with losses 0, 0, 1",
        caption="Each point of the triangle is a choice of weights, a corner puts all on one "
        "sample; grey lines are levels of the objective. Above the tie nothing moves; at "
        "gamma = 1, the difference of the losses, any part of the third sample may go; "
        "below it all must go, and any split of it between the first two is as good.",
        draw=simplex.draw,
    ),
    TheoryFigure(
        file="gamma_path",
        title="R_gamma(c) over gamma",
        caption="Concave and piecewise linear, with a kink at every c_i - c_min; its slope is the"
        " fraction of samples that are pruned. From c_max - c_min on it is the empirical "
        "risk.",
        draw=gamma_path.draw,
    ),
    TheoryFigure(
        file="bounds",
        title="The bounds of Proposition 3.1 where weights are enough, and where they are not",
        caption="Left: moving labels costs too much, and weights alone (V_eps) reach the exact "
        "optimistic value v_N. Right: a right label is near, and v_N lies far below what "
        "weights reach; repeating the samples changes neither. In both, V(gamma_theta) as "
        "printed lacks the constant -gamma_theta eps, and R_gamma, said to exceed it, does so "
        "only where c_min + gamma ≥ gamma_theta.",
        draw=bounds.draw,
    ),
    TheoryFigure(
        file="gap",
        title="One move a sample: the gap v_MIX - v_N over N",
        caption="The bound max J / N holds for all instances, and is nearly attained where the "
        "budget ends just short of one more move. Random instances: 12 for each N, drawn "
        "where the gap exceeds 1e-5.",
        draw=gap.draw,
    ),
)


def pictures() -> tuple[Picture, ...]:
    """Return all of them as SVG, for a page that loads nothing."""
    return tuple(
        Picture(title=one.title, caption=one.caption, data_uri=_data_uri(one.draw()))
        for one in FIGURES
    )


def _data_uri(figure: Figure) -> str:
    """Return a figure as SVG in a data URI, the same bytes every time."""
    buffer = io.BytesIO()
    with plt.rc_context(STYLE | {"svg.hashsalt": "ledger"}), mpl.rc_context({"backend": "agg"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
