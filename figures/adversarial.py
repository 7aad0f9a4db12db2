"""What the pictures of weights draw from: the first stored run of A-RRM that found wrong labels.

Full scale comes before reduced, Table 6's runs before the ablation's base, `authors_program` before
`paper`, then the lowest seed. How many were passed over stands in the label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from experiments.catalogue import TABLES
from experiments.catalogue.cell import PRESETS
from experiments.report import MOST_SEEDS
from experiments.spec import Run
from experiments.store import Store
from experiments.trajectory import Trajectory, pruning_quality

SCALES = ("paper", "reduced")
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
    for passed, one in enumerate(_candidates(store)):
        recall = pruning_quality(one.trajectory)["recall"]
        if recall[-1] >= LEAST_RECALL:
            label = f"{one.label}; {passed} runs before it pruned less than half"
            return replace(one, label=label) if passed else one
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
                for seed in range(MOST_SEEDS):
                    cells = table.cells(preset, scale, seed)
                    run = next(c.run for c in cells if c.rrm and c.row in ("cce", "base"))
                    where = replace(store, experiment=table.experiment)
                    trajectory = where.load_trajectory(run)
                    if trajectory is not None:
                        label = (
                            f"{preset if name == 'table6' else 'ablation'}, {scale}, seed {seed}"
                        )
                        yield WeightsRun(run=run, trajectory=trajectory, label=label)
