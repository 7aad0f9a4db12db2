"""Command line: draw pictures from stored results, write the page to play with, or everything."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from experiments.demo import demo_store
from experiments.store import RESULTS, WORK, Store
from figures import explore, page
from figures.pictures import PICTURES
from figures.style import save

GALLERY = Path(__file__).parent / "gallery"
EXPLORER = "explore"
KNOWN = {one.name: one for one in PICTURES}


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
        help=f"{', '.join((*KNOWN, EXPLORER))}; all but the last, a page, if none is given",
    )
    parser.add_argument(
        "--gallery", action="store_true", help="everything, and a page of all with captions"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the trajectories")
    parser.add_argument("--output", type=Path, default=GALLERY, help="folder (the gallery)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.figure if name not in (*KNOWN, EXPLORER)]
    if unknown:
        parser.error(f"unknown figure {unknown[0]!r}; known: {', '.join(KNOWN)}, {EXPLORER}")
    if options.gallery and options.figure:
        parser.error(f"--gallery draws everything; {options.figure[0]!r} is part of it")
    names = [*KNOWN, EXPLORER] if options.gallery else options.figure or list(KNOWN)
    mpl.use("agg")
    store = demo_store(options.results, options.work)
    for name in names:
        try:
            paths = _make(name, store, options.output)
        except FileNotFoundError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        for path in paths:
            print(path)
    if options.gallery:
        print(page.write(options.output))
    return 0


def _make(name: str, store: Store, folder: Path) -> list[Path]:
    """Draw a figure, or write the page to play with, and return the paths."""
    if name == EXPLORER:
        return [explore.write(store, folder)]
    figure = KNOWN[name].draw(store)
    paths = save(figure, folder, KNOWN[name].file)
    plt.close(figure)
    return paths


if __name__ == "__main__":
    sys.exit(main())
