"""What the figures of the main job draw from: the finished RRM run and its trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.catalogue.own import DEMO_RRM
from experiments.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoRun:
    """Weights N p after every re-weighting (iterations, N), its epochs, wrong labels (N,)."""

    scaled_weights: NDArray[np.float64]
    epochs: list[int]
    contaminated: NDArray[np.bool_]


def demo_run(store: Store) -> DemoRun:
    """Return the main job's RRM run.

    Raises
    ------
    FileNotFoundError
        If it has not been trained; the message says how.

    """
    result: dict[str, Any] | None = store.load_result(DEMO_RRM)
    trajectory = store.load_trajectory(DEMO_RRM)
    if result is None or trajectory is None:
        missing = (store.result_path if result is None else store.trajectory_path)(DEMO_RRM)
        msg = f"no {missing}: run python -m experiments demo first."
        raise FileNotFoundError(msg)
    return DemoRun(
        scaled_weights=trajectory.scaled_weights().astype(np.float64),
        epochs=trajectory.epochs.tolist(),
        contaminated=trajectory.contaminated,
    )
