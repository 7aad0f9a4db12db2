"""RRM around scikit-learn's classifiers on digits with wrong labels, beside cleanlab if installed.

Plain: the classifier fitted to the labels as they are. RRM: `RRMClassifier` that is told the rate,
and one that estimates it. Cleanlab: `CleanLearning`, as its documentation has it.
"""

from __future__ import annotations

import ast
import inspect
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
from sklearn.preprocessing import LabelEncoder

from experiments.noise import symmetric
from rrm_theory.sklearn import RRMClassifier

SEEDS = 5
NOISE_RATE = 0.4
CAP = 2.0
RE_WEIGHTINGS = 5
# What wrapping has to add to the accuracy, in points.
GAIN = 3.0
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

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
    return {
        "noise_rate": NOISE_RATE,
        "seeds": SEEDS,
        "rows": rows,
        "cleanlab": _cleanlab(),
        "programs": _programs(samples[0]),
    }


def by_rrm(x: Any, names: Any, x_test: Any) -> tuple[Any, Any]:
    """Return the names of test samples, and which labels of the others are suspected."""
    model = RRMClassifier(LogisticRegression(max_iter=1000), cap=CAP, random_state=0).fit(x, names)
    return model.predict(x_test), model.pruned_


def by_cleanlab(x: Any, names: Any, x_test: Any) -> tuple[Any, Any]:
    """Return the same by cleanlab, whose labels have to be 0..K - 1."""
    from cleanlab.classification import CleanLearning

    encoder, model = LabelEncoder(), CleanLearning(LogisticRegression(max_iter=1000), seed=0)
    issues = model.fit(x, encoder.fit_transform(names)).get_label_issues()
    return encoder.inverse_transform(model.predict(x_test)), issues["is_label_issue"].to_numpy()


def _programs(samples: tuple[Any, Any, Any, Any]) -> dict[str, dict[str, Any]]:
    """Return how many statements it takes where labels are names, and what comes out."""
    x, y, x_test, y_test = samples
    programs = {"RRM": by_rrm}
    if _cleanlab() is not None:
        programs["cleanlab"] = by_cleanlab
    found = {}
    for name, program in programs.items():
        predicted, suspects = program(x, NAMES[y], x_test)
        found[name] = {
            "statements": statements(program),
            "accuracy": 100 * float(np.mean(predicted == NAMES[y_test])),
            "suspects": int(suspects.sum()),
        }
    return found


def statements(function: Callable[..., Any]) -> int:
    """Return how many statements a function has beside its documentation and imports.

    Examples
    --------
    >>> statements(by_rrm), statements(by_cleanlab)
    (2, 3)

    """
    (definition,) = ast.parse(inspect.getsource(function)).body
    assert isinstance(definition, ast.FunctionDef)
    _, *body = definition.body
    return sum(not isinstance(one, ast.ImportFrom) for one in body)


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
