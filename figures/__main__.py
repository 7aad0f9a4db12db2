"""Command line: draw one figure, or all of them, from stored results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from experiments.demo import demo_store
from experiments.store import RESULTS, WORK, Store
from figures import (
    ablation,
    accuracy_grid,
    close_calls,
    explore,
    face,
    methods,
    separation,
    theory,
    trajectories,
    u_bins,
    weights,
)
from figures.style import save

GALLERY = Path(__file__).parent / "gallery"
# What each figure's file is called, and how it is drawn from a store, whose experiment is the demo.
FIGURES = {
    "trajectories": ("demo_trajectories", trajectories.draw),
    "weights": ("demo_weights", weights.draw),
    "face": ("optimal_face", lambda _: face.draw()),
    "grid": ("accuracy_grid", accuracy_grid.draw),
    "ablation": ("ablation5", ablation.draw),
    "separation": ("separation", separation.draw),
    "bins": ("u_bins", u_bins.draw),
    "close_calls": ("close_calls", close_calls.draw),
    "factors": ("learnt_factors", methods.draw_factors),
    "corruption": ("corruption_matrix", methods.draw_corruption),
    "auc": ("auc_over_epochs", methods.draw_auc),
    **{one.file: (one.file, lambda _, draw=one.draw: draw()) for one in theory.FIGURES},
}


EXPLORER = "explore"


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m figures",
        description="Draw figures from stored results, or from the theory alone.",
        epilog="example: python -m figures trajectories --results runs --output pictures",
    )
    parser.add_argument(
        "figure",
        nargs="*",
        metavar="FIGURE",
        help=f"{', '.join((*FIGURES, EXPLORER))}; all but the last, a page, if none is given",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the trajectories")
    parser.add_argument("--output", type=Path, default=GALLERY, help="folder (the gallery)")
    options = parser.parse_args(arguments)
    known = (*FIGURES, EXPLORER)
    unknown = [name for name in options.figure if name not in known]
    if unknown:
        parser.error(f"unknown figure {unknown[0]!r}; known: {', '.join(known)}")
    mpl.use("agg")
    store = demo_store(options.results, options.work)
    for name in options.figure or FIGURES:
        try:
            paths = _make(name, store, options.output)
        except FileNotFoundError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        for path in paths:
            print(path)
    return 0


def _make(name: str, store: Store, folder: Path) -> list[Path]:
    """Draw a figure, or write the page, and return the paths."""
    if name == EXPLORER:
        return [explore.write(store, folder)]
    file, draw = FIGURES[name]
    figure = draw(store)
    paths = save(figure, folder, file)
    plt.close(figure)
    return paths


if __name__ == "__main__":
    sys.exit(main())
