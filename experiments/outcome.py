"""From a run's log to its result: accuracies under three selection rules, and where it came from.

With correct[e][f] right answers after epoch e in fold f: *last* is the last epoch; *selected* is,
fold by fold, the first epoch with the most right answers on its noisy validation labels; *oracle*
is the best epoch on the clean test labels, which nobody can choose in practice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.data import Data
from experiments.problem import Problem
from experiments.spec import Run
from experiments.train import Log
from rrm_theory._provenance import provenance

# On small networks a second thread makes torch slower.
THREADS = 1
SELECTIONS = ("last", "selected", "oracle")
VERSIONED = ("numpy", "scikit-learn", "torch")


def accuracies(log: Log, problem: Problem) -> dict[str, float]:
    """Return the test accuracy in percent under each selection rule."""
    validation, test = np.array(log.validation_correct), np.array(log.test_correct)
    n_test = sum(len(fold.test) for fold in problem.folds)
    chosen = validation.argmax(axis=0)
    return {
        "last": 100 * int(test[-1].sum()) / n_test,
        "selected": 100 * int(test[chosen, np.arange(len(chosen))].sum()) / n_test,
        "oracle": 100 * int(test.sum(axis=1).max()) / n_test,
    }


def result(
    run: Run, data: Data, problem: Problem, log: Log, made_by: dict[str, Any]
) -> dict[str, Any]:
    """Return everything about a finished run that is worth keeping, ready for JSON.

    ``made_by`` is :func:`environment` as it was when the sweep started.
    """
    return {
        "key": run.key,
        "run": run.settings(),
        "accuracy": accuracies(log, problem),
        "samples": {
            "train": len(problem.labels),
            "contaminated": int(problem.contaminated.sum()),
            "validation": [len(fold.validation) for fold in problem.folds],
            "test": [len(fold.test) for fold in problem.folds],
        },
        "seconds": {name: round(spent, 4) for name, spent in sorted(log.seconds.items())},
        "reweightings": log.reweightings,
        "test_correct": log.test_correct,
        "validation_correct": log.validation_correct,
        "data_sha256": data.sha256,
        "environment": made_by,
    }


def environment() -> dict[str, Any]:
    """Return versions, processor, threads of a run, the commit, and whether files differ from it.

    Without git the last two are null.
    """
    return {**provenance(VERSIONED), "threads": THREADS}
