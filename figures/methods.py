"""Methods side by side: what each says of labels, by loss, by class, and over the epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.catalogue import TABLES
from experiments.catalogue.cell import Cell
from experiments.catalogue.methods import METHODS_NOISE, METHODS_ROWS
from experiments.problem import noise_matrix
from experiments.report import MOST_SEEDS
from experiments.report_methods import matrix_error
from experiments.spec import META_METHODS
from experiments.store import Store
from experiments.trajectory import weights_auc
from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH

SCALE = "reduced"
# Okabe and Ito's palette again; a line style of its own as well.
LOOKS = {
    "cross-entropy": ("black", ":"),
    "ELR": ("#E69F00", "-."),
    "MW-Net*": ("#009E73", "--"),
    "MNW-Net": ("#56B4E9", (0, (5, 1))),
    "RMNW-Net": (CLEAN, "-"),
    "LNL-flywheel": ("#CC79A7", (0, (3, 1, 1, 1, 1, 1))),
}
RRM_LOOK = (CONTAMINATED, "-")
TITLES = {"uniform_or_kept": "uniform noise", "flip": "flips to one other class"}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished run of the table of methods, and the name of its method."""

    name: str
    cell: Cell
    result: dict[str, Any]


def finished(store: Store, noise: str, *, rrm: bool = False) -> list[Finished]:
    """Return the finished runs on a kind of noise, method by method, seed by seed.

    Raises
    ------
    FileNotFoundError
        If there is none.

    """
    where = replace(store, experiment=TABLES["methods"].experiment)
    found = list(_finished(where, noise, rrm=rrm))
    if not found:
        msg = (
            f"no run of methods {'with' if rrm else 'without'} RRM on {noise} noise in "
            f"{where.results}: run python -m experiments run methods first."
        )
        raise FileNotFoundError(msg)
    return found


def _finished(store: Store, noise: str, *, rrm: bool) -> Iterator[Finished]:
    """Yield the finished runs, seed by seed."""
    table = TABLES["methods"]
    for seed in range(MOST_SEEDS):
        for cell in table.cells(table.presets[0], SCALE, seed):
            if cell.run.noise == noise and cell.rrm == rrm:
                result = store.load_result(cell.run)
                if result is not None:
                    name = next(name for name in METHODS_ROWS if cell.row.startswith(name))
                    yield Finished(name=name, cell=cell, result=result)


def draw_factors(store: Store) -> Figure:
    """Return the figure: what a weighting network has learnt of losses, beside RRM's step."""
    noise = next(iter(METHODS_NOISE))
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.9))
        labelled = set()
        for one in finished(store, noise):
            if one.cell.run.method in META_METHODS:
                colour, line = LOOKS[one.name]
                axis.plot(
                    one.result["method"]["losses"],
                    one.result["method"]["factors"],
                    linestyle=line,
                    color=colour,
                    label=None if one.name in labelled else one.name,
                )
                labelled.add(one.name)
        steps = [
            one.result["reweightings"][-1]["threshold"]
            for one in finished(store, noise, rrm=True)
            if one.name == "cross-entropy"
            and one.result["reweightings"][-1]["threshold"] is not None
        ]
        for place, step in enumerate(steps):
            axis.plot(
                [0, step, step, 10],
                [1, 1, 0, 0],
                color=RRM_LOOK[0],
                label=None if place else "RRM, cheapest sample aside",
            )
        axis.set_xlabel(f"loss in the end ({TITLES[noise]}; a line a seed)")
        axis.set_ylabel(r"factor $V$, or weight $N p_i$")
        axis.set_xlim(0, 10)
        axis.set_ylim(-0.03, 1.08)
        figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside right center")
    return figure


def draw_corruption(store: Store) -> Figure:
    """Return the figure: the noise's matrix, and what the flywheel makes of it, seed 0."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, sharey=True, figsize=(TEXT_WIDTH, 3.2))
        one = next(
            (one for one in finished(store, "flip") if one.cell.run.method == "flywheel"), None
        )
        if one is None:
            msg = "no run of the flywheel on flips: run python -m experiments run methods first."
            raise FileNotFoundError(msg)
        estimate = np.array(one.result["method"]["matrix"])
        truth = noise_matrix(one.cell.run, len(estimate))
        error = matrix_error(one.cell, one.result)
        for axis, matrix, title in (
            (axes[0], truth, "true"),
            (axes[1], estimate, f"estimated: off by at most {error:.2f}"),
        ):
            image = axis.imshow(matrix, vmin=0, vmax=1, cmap="cividis")
            axis.set_title(title)
            axis.set_xticks(range(len(matrix)))
            axis.set_yticks(range(len(matrix)))
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            axis.set_xlabel("label given")
        axes[0].set_ylabel("true class")
        figure.colorbar(image, ax=axes, shrink=0.8, label="probability")
    return figure


def draw_auc(store: Store) -> Figure:
    """Return the figure: how well each method tells wrong labels, epoch by epoch, mean of seeds.

    What a flywheel says at the end of an epoch it found at its beginning.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(METHODS_NOISE), sharex=True, sharey=True, figsize=(TEXT_WIDTH, 3.1)
        )
        for axis, noise in zip(axes, METHODS_NOISE, strict=True):
            runs = finished(store, noise)
            for name, (colour, line) in LOOKS.items():
                curves = [one.result["cleanness_auc"] for one in runs if one.name == name]
                _curve(axis, curves, 1, color=colour, linestyle=line, label=name)
            where = replace(store, experiment=TABLES["methods"].experiment)
            wrapped = [
                one for one in finished(store, noise, rrm=True) if one.name == "cross-entropy"
            ]
            paths = [where.load_trajectory(one.cell.run) for one in wrapped]
            curves = [weights_auc(path) for path in paths if path is not None]
            every = wrapped[0].cell.run.epochs_per_iteration if wrapped else 1
            _curve(axis, curves, every, color=RRM_LOOK[0], label="RRM's weights")
            axis.set_title(f"{100 * METHODS_NOISE[noise]:.0f} % wrong, {TITLES[noise]}")
            axis.axhline(0.5, color="0.8", linewidth=0.8, zorder=0)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("AUC of wrong labels")
        axes[0].set_ylim(-0.02, 1.02)
        figure.supxlabel("epoch", fontsize=9)
        figure.legend(
            *axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center"
        )
    return figure


def _curve(axis: Axes, curves: Sequence[Sequence[Any]], every: int, **look: Any) -> None:
    """Draw the mean of the seeds' curves, a value every so many epochs."""
    if curves:
        mean = [fmean(values) for values in zip(*curves, strict=True)]
        axis.plot(every * np.arange(1, len(mean) + 1), mean, **look)
