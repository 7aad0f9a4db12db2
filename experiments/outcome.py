"""From a run's log to its result: accuracies by selection rule, and where it came from.

With correct[e][f] right answers at evaluation e in fold f: *last* is the last one; *selected* is,
fold by fold, the first with the most right answers on its validation labels, unattacked images;
*oracle* is the best on the test labels, which nobody can choose in practice; under attack it is
another one for every eps. *selected_clean* is *selected* by the validation samples' true labels,
and *selected_attacked* by the noisy ones on images attacked as in training.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from experiments.arrays import Data
from experiments.log import Log
from experiments.problem import Problem
from experiments.spec import Run
from experiments.trajectory import Trajectory, detection
from rrm_theory._provenance import provenance

# On small networks a second thread makes torch slower.
THREADS = 1
SELECTIONS = ("last", "selected", "oracle")
VERSIONED = ("numpy", "scikit-learn", "torch")
# Those of language models, which need not be there.
VERSIONED_IF_THERE = ("peft", "transformers")


def accuracies(log: Log, problem: Problem) -> dict[str, float]:
    """Return the test accuracy in percent under each selection rule."""
    test = np.array(log.test_correct)
    n_test = sum(len(fold.test) for fold in problem.folds)

    def selected(validation_correct: list[list[int]]) -> int:
        chosen = np.array(validation_correct).argmax(axis=0)
        return int(test[chosen, np.arange(len(chosen))].sum())

    right = {
        "last": int(test[-1].sum()),
        "selected": selected(log.validation_correct),
        "selected_clean": selected(log.clean_validation_correct),
        "oracle": int(test.sum(axis=1).max()),
    }
    if log.attacked_validation_correct:
        right["selected_attacked"] = selected(log.attacked_validation_correct)
    return {rule: 100 * count / n_test for rule, count in right.items()}


def attacked_accuracies(log: Log, problem: Problem) -> dict[str, list[float]]:
    """Return the test accuracy in percent under each of TEST_EPS, by selection rule."""
    attacked = np.array(log.attacked_correct)  # (evaluations, folds, eps)
    each = [
        accuracies(replace(log, test_correct=attacked[:, :, k].tolist()), problem)
        for k in range(attacked.shape[2])
    ]
    return {rule: [one[rule] for one in each] for rule in each[0]}


def result(
    run: Run,
    data: Data,
    problem: Problem,
    log: Log,
    made_by: dict[str, Any],
    path: Trajectory | None = None,
) -> dict[str, Any]:
    """Return everything about a finished run that is worth keeping, ready for JSON.

    ``made_by`` is :func:`environment` as it was when the sweep started, ``path`` the trajectory of
    a run that re-weights.
    """
    under_attack: dict[str, Any] = {}
    if run.test_attack != "none":
        under_attack = {
            "attacked_accuracy": attacked_accuracies(log, problem),
            "attacked_correct": log.attacked_correct,
            "attacked_validation_correct": log.attacked_validation_correct,
            "canary": log.canary,
        }
    return {
        "key": run.key,
        "run": run.settings(),
        "accuracy": accuracies(log, problem),
        **under_attack,
        "samples": {
            "train": len(problem.labels),
            "contaminated": int(problem.contaminated.sum()),
            "validation": [len(fold.validation) for fold in problem.folds],
            "test": [len(fold.test) for fold in problem.folds],
        },
        "seconds": {name: round(spent, 4) for name, spent in sorted(log.seconds.items())},
        "peak_memory_bytes": log.peak_memory,
        "reweightings": log.reweightings,
        "detection": None if path is None else detection(path),
        "cleanness_auc": log.cleanness_auc,
        "method": log.method,
        "test_correct": log.test_correct,
        "validation_correct": log.validation_correct,
        "clean_validation_correct": log.clean_validation_correct,
        "data_sha256": data.sha256,
        "origin": problem.origin,
        "devices": log.devices,
        "environment": made_by,
    }


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return versions, device, threads of a run, the commit, and whether files differ from it.

    Without git the last two are null.
    """
    there = [name for name in VERSIONED_IF_THERE if find_spec(name) is not None]
    made_by = {**provenance([*VERSIONED, *there]), "threads": THREADS}
    return made_by if device == "cpu" else made_by | {"device": torch.cuda.get_device_name()}
