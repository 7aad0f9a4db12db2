"""What the pictures of Table 5 draw from: the first stored run in which the weights can be seen.

Preferred are full scale over reduced, then Table 5 over the ablation, then the lowest seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from experiments.catalogue import PRESETS, TABLES
from experiments.spec import Run
from experiments.store import Store
from experiments.trajectory import Trajectory, pruning_quality

SCALES = ("paper", "reduced")
SEEDS = 8
# A run tells something about separation if it found this share of the wrong labels.
LEAST_RECALL = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightsRun:
    """A-RRM at 20 % noise: its trajectory, and words that say which run it is."""

    run: Run
    trajectory: Trajectory
    label: str


def weights_run(store: Store) -> WeightsRun:
    """Return the run that the pictures of weights show.

    Raises
    ------
    FileNotFoundError
        If no stored run separated; the message says how to make one.

    """
    for one in _candidates(store):
        recall = pruning_quality(one.trajectory)["recall"]
        if recall[-1] >= LEAST_RECALL:
            return one
    msg = (
        f"no run in {store.results} pruned half of the wrong labels: run python -m experiments run "
        "ablation5 first."
    )
    raise FileNotFoundError(msg)


def _candidates(store: Store) -> Iterator[WeightsRun]:
    """Yield the runs of Table 6 and of the ablation's base that are stored, best first."""
    for scale in SCALES:
        for name in ("table6", "ablation5"):
            table = TABLES[name]
            if scale not in table.scales:
                continue
            for preset in PRESETS if name == "table6" else table.presets:
                for seed in range(SEEDS):
                    cells = table.cells(preset, scale, seed)
                    run = next(c.run for c in cells if c.rrm and c.row in ("cce", "base"))
                    where = replace(store, experiment=table.experiment)
                    trajectory = where.load_trajectory(run)
                    if trajectory is not None:
                        label = (
                            f"{preset if name == 'table6' else 'ablation'}, {scale}, seed {seed}"
                        )
                        yield WeightsRun(run=run, trajectory=trajectory, label=label)
