"""RRM around scikit-learn's classifiers on digits with wrong labels, beside cleanlab if installed.

Plain: the classifier fitted to the labels as they are. RRM: `RRMClassifier` that is told the rate,
and one that estimates it. Cleanlab: `CleanLearning`, as its documentation has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean, stdev
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from experiments.noise import symmetric
from rrm_theory.sklearn import RRMClassifier

SEEDS = 5
NOISE_RATE = 0.4
CAP = 2.0
RE_WEIGHTINGS = 5
# What wrapping has to add to the accuracy, in points.
GAIN = 3.0

CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "logistic regression": lambda _: LogisticRegression(max_iter=1000),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(
        max_iter=50, random_state=seed
    ),
}


def estimator() -> dict[str, Any]:
    """Return accuracies on true test labels, and seconds, of each way and classifier."""
    samples = [_samples(seed) for seed in range(SEEDS)]
    rows = []
    for name, build in CLASSIFIERS.items():
        plain: list[float] = []
        for way, wrap in _ways().items():
            accuracy, seconds, estimates = [], [], []
            for seed, (x, y, x_test, y_test) in enumerate(samples):
                model = wrap(build(seed), seed)
                start = time.perf_counter()
                model.fit(x, y)
                seconds.append(time.perf_counter() - start)
                accuracy.append(100 * float(np.mean(model.predict(x_test) == y_test)))
                estimates.append(getattr(model, "contamination_", None))
            plain = plain or accuracy
            gain = fmean(accuracy) - fmean(plain)
            rows.append(
                {
                    "classifier": name,
                    "way": way,
                    "accuracy": fmean(accuracy),
                    "spread": stdev(accuracy),
                    "accuracies": accuracy,
                    "gain": gain,
                    "target": GAIN if way == "RRM, told" else None,
                    "met": gain >= GAIN if way == "RRM, told" else None,
                    "seconds": fmean(seconds),
                    "contamination": estimates if estimates[0] is not None else None,
                }
            )
    return {"noise_rate": NOISE_RATE, "seeds": SEEDS, "rows": rows, "cleanlab": _cleanlab()}


def _samples(seed: int) -> tuple[Any, Any, Any, Any]:
    """Return digits, 70 % of them with wrong labels to fit, 30 % with true ones to test."""
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.3, random_state=seed, stratify=y)
    rng = np.random.default_rng(seed)
    noisy = symmetric(y.astype(np.int64), noise_rate=NOISE_RATE, n_classes=10, rng=rng)
    return x, noisy, x_test, y_test


def _ways() -> dict[str, Callable[[Any, int], Any]]:
    """Return how a classifier is fitted, by name."""

    def rrm(contamination: float | None) -> Callable[[Any, int], Any]:
        return lambda model, seed: RRMClassifier(
            model,
            contamination=contamination,
            cap=CAP,
            max_iter=RE_WEIGHTINGS,
            random_state=seed,
        )

    ways: dict[str, Callable[[Any, int], Any]] = {
        "plain": lambda model, _: model,
        "RRM, told": rrm(NOISE_RATE),
        "RRM, estimating": rrm(None),
    }
    if _cleanlab() is not None:
        from cleanlab.classification import CleanLearning

        ways["cleanlab"] = lambda model, seed: CleanLearning(model, seed=seed)
    return ways


def _cleanlab() -> str | None:
    """Return which version of cleanlab is here, if any."""
    try:
        return version("cleanlab")
    except PackageNotFoundError:
        return None
