"""One page to play with: move the price, the estimate or the cap over a real run's losses."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.catalogue.own import DEMO_RRM
from experiments.store import Store
from rrm_theory._files import write_atomically

TEMPLATE = Path(__file__).with_name("explore.html")
PLACE = "/* RUN */ null"


def page(store: Store) -> str:
    """Return the page, which needs nothing but itself, with the losses of the demo's RRM run.

    Raises
    ------
    FileNotFoundError
        If the run's trajectory is not there, or is from before losses were kept.

    """
    trajectory = store.load_trajectory(DEMO_RRM)
    if trajectory is None or trajectory.losses is None:
        msg = (
            f"no losses in {store.trajectory_path(DEMO_RRM)}: remove it if it is there, and run "
            "python -m experiments demo."
        )
        raise FileNotFoundError(msg)
    wrong = trajectory.contaminated
    about = (
        f"These are the {len(wrong)} losses that the last re-weighting of README's main job saw: "
        f"handwritten digits, {int(wrong.sum())} of them with a wrong label."
    )
    run = {
        "about": about,
        # A float32 is written as the float64 that it is, to the bit.
        "losses": trajectory.losses.astype(float).tolist(),
        "wrong": wrong.astype(int).tolist(),
    }
    return TEMPLATE.read_text().replace(PLACE, json.dumps(run, allow_nan=False))


def write(store: Store, folder: Path) -> Path:
    """Write the page into the folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "explore.html"
    write_atomically(path, page(store).encode())
    return path
