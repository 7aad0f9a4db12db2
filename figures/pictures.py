"""Every picture of the gallery: what it is called, how it is drawn, and what to see in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from experiments.store import Store
from figures import (
    ablation,
    accuracy_grid,
    close_calls,
    face,
    methods,
    separation,
    theory,
    trajectories,
    u_bins,
    weights,
)

DEMO = "python -m experiments demo"
TABLE_5 = "python -m experiments run table5 --scale reduced --preset authors_program --seeds 3"
ABLATION = "python -m experiments run ablation5 --seeds 3"
METHODS = "python -m experiments run methods --scale reduced --seeds 3"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture, drawn from a store whose experiment is the main job's.

    Attributes
    ----------
    name
        What ``python -m figures`` calls it.
    file
        Its file in the gallery, without the suffix.
    caption
        What to see in it.
    results
        The command whose results it shows; none for the theory alone.

    """

    name: str
    file: str
    title: str
    caption: str
    draw: Callable[[Store], Figure]
    results: str | None = None

    @property
    def command(self) -> str:
        """What draws it from committed results."""
        return f"python -m figures {self.name}"


def _theory(one: theory.TheoryFigure) -> Picture:
    """Return a picture of the ledger's page, which needs no results."""
    return Picture(
        name=one.file,
        file=one.file,
        title=one.title,
        caption=one.caption,
        draw=lambda _: one.draw(),
    )


PICTURES = (
    Picture(
        name="trajectories",
        file="demo_trajectories",
        title="Weights of single samples over training",
        caption="Weight N p of single samples of the main job: 1 is untouched, 0 removed. Wrong "
        "labels are found early and stay out, but for a few; some right ones leave and come back; "
        "one or two samples collect the freed mass.",
        draw=trajectories.draw,
        results=DEMO,
    ),
    Picture(
        name="weights",
        file="demo_weights",
        title="Final weights by wrong and right labels",
        caption="Where the main job's training samples end: nearly all wrong labels without weight,"
        " nearly all right ones untouched.",
        draw=weights.draw,
        results=DEMO,
    ),
    Picture(
        name="face",
        file="optimal_face",
        title="The polygon of all optimal weights",
        caption="Losses 0, 0, 1, 3 and gamma = 1: the optimal weights are not one vector but a"
        " polygon with four corners, of which a solver returns one point. The star is the one that"
        " treats equal losses alike and moves no more than it must.",
        draw=lambda _: face.draw(),
    ),
    *map(_theory, theory.FIGURES),
    Picture(
        name="grid",
        file="accuracy_grid",
        title="Table 5 and ours as heat maps",
        caption="Test accuracy by share of wrong labels and size of the attack on test images,"
        " adversarial training (AT) above A-RRM. Left, as published: AT collapses on unattacked"
        " images, A-RRM does not. Middle, ours with the epoch chosen on attacked validation images:"
        " there both collapse. Right, chosen on images as they are: there neither does. Under large"
        " attacks both of ours do, unlike published.",
        draw=accuracy_grid.draw,
        results=TABLE_5,
    ),
    Picture(
        name="ablation",
        file="ablation5",
        title="What decides Table 5",
        caption="One setting changed at a time, 20 % of the labels wrong. In the base A-RRM stays"
        " where AT falls. With torch's initialisation AT falls less; with gamma 4, or losses on"
        " clean images, A-RRM is no longer dependable; a clipped softmax turns the comparison"
        " round, and eps in pixels brings both down.",
        draw=ablation.draw,
        results=ABLATION,
    ),
    Picture(
        name="separation",
        file="separation",
        title="How the weights part wrong labels from right ones",
        caption="Left: share of samples that have lost half of their weight. In this seed "
        "wrong labels go from epoch 25 on, right ones stay; two other seeds prune 37 "
        "and 15 % of the wrong ones. Right: precision and recall of the pruned set. "
        "The weights stay as far as ever from the ideal ones (no weight on wrong "
        "labels, the same on all others), since a few samples collect what is freed. "
        "20 % of the labels are wrong.",
        draw=separation.draw,
        results=TABLE_5,
    ),
    Picture(
        name="bins",
        file="u_bins",
        title="Where u is after 1, 10 and 49 re-weightings, ours and published (Table 6)",
        caption="20 % of the labels are wrong. Ours, of the one seed of three in which RRM "
        "finds them, prunes later than the paper's run and ends as it does: wrong "
        "labels in the last bin, without weight, right ones where they were.",
        draw=u_bins.draw,
        results=TABLE_5,
    ),
    Picture(
        name="close_calls",
        file="close_calls",
        title="Clean samples that left and came back (Figures 1 and 2)",
        caption="Left: one clean sample's weight, nearly gone for tens of epochs, then restored."
        " Right: all such samples, mean and one standard deviation.",
        draw=close_calls.draw,
        results=TABLE_5,
    ),
    Picture(
        name="factors",
        file="learnt_factors",
        title="What weighting networks learn of losses",
        caption="Factor by loss, a line a seed, beside RRM's step. With the robust loss (RMNW-Net)"
        " large losses lose their factor in every seed; with cross-entropy and wrong labels"
        " (MNW-Net) it learns the opposite, and with true ones (MW-Net*) the one or the other.",
        draw=methods.draw_factors,
        results=METHODS,
    ),
    Picture(
        name="auc",
        file="auc_over_epochs",
        title="How well each method tells wrong labels, over the epochs",
        caption="AUC, mean over seeds. A weighting network starts with whatever its random"
        " initialisation says, and may turn round: MW-Net*'s 0.67 is two seeds that tell and one"
        " that tells the opposite. On flips losses alone (cross-entropy) say most in the middle,"
        " before wrong labels are learnt.",
        draw=methods.draw_auc,
        results=METHODS,
    ),
    Picture(
        name="corruption",
        file="corruption_matrix",
        title="The noise's matrix and its estimate",
        caption="What flips of 40 % do to labels, and what the flywheel makes of it, seed 0.",
        draw=methods.draw_corruption,
        results=METHODS,
    ),
)
