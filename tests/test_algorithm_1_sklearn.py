"""ICLR paper, Algorithm 1 and Section 3.5.1, around scikit-learn's classifiers."""

import os
import re
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from rrm_theory import capped_relax, contamination_gamma, relax
from rrm_theory.sklearn import (
    LOSSES,
    EmptyClassWarning,
    NoBasisWarning,
    NoLevelWarning,
    RRMClassifier,
    suggest_contamination,
)

PLAIN = LogisticRegression(C=0.1)
ROOT = Path(__file__).parent.parent


def points(n=60, wrong=12, seed=0):
    """Two clouds in the plane, the first ``wrong`` labels turned round; names as labels."""
    rng = np.random.default_rng(seed)
    side = np.arange(n) % 2
    x = rng.normal(size=(n, 2)) + 3.0 * (2 * side - 1)[:, None]
    given_side = np.where(np.arange(n) < wrong, 1 - side, side)
    return x, np.array(["left", "right"])[given_side], np.array(["left", "right"])[side]


X, Y, TRUE = points()


# scikit-learn's own demands.


@pytest.mark.parametrize(
    "settings", [{"max_iter": 1}, {"contamination": 0.2, "cap": 2, "max_iter": 2}]
)
def test_scikit_learn_finds_nothing_to_complain_about(settings):
    """Every one of its checks that can be run here."""
    with warnings.catch_warnings():
        # Its data have no wrong labels, and some of it no structure at all.
        warnings.simplefilter("ignore")
        outcome = check_estimator(
            RRMClassifier(LogisticRegression(), **settings), on_skip=None, on_fail="raise"
        )
    assert len(outcome) > 40
    assert {one["status"] for one in outcome} <= {"passed", "skipped"}


def test_it_works_in_a_pipeline_under_a_grid_search_and_cloned():
    """As the last step, its own settings and the estimator's among those searched."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), RRMClassifier(PLAIN, contamination=0.2, random_state=0)),
        {"rrmclassifier__cap": [1.5, 2.0], "rrmclassifier__estimator__C": [0.1, 1.0]},
        cv=2,
    ).fit(X, Y)
    assert search.best_estimator_.score(X, TRUE) > 0.9
    twin = clone(search.best_estimator_[-1])
    assert not hasattr(twin, "sample_weight_")
    assert twin.get_params()["contamination"] == 0.2


# Algorithm 1.


def by_hand(settings, mu, target):
    """Return weights after every re-weighting, from fits written out."""
    random = np.random.RandomState(0)
    folds = StratifiedKFold(5, shuffle=True, random_state=random.randint(2**31))
    names, place = np.unique(Y, return_inverse=True)
    weights, history = np.ones(len(Y)), []
    for _ in range(settings["max_iter"]):
        c = np.empty(len(Y))
        for train, held_out in folds.split(X, place):
            model = clone(PLAIN).fit(X[train], Y[train], sample_weight=weights[train])
            p = model.predict_proba(X[held_out])[range(12), place[held_out]]
            c[held_out] = -np.log(p)
        weights = weights + mu * (target(c) - weights)
        history.append(weights)
    return np.array(history), c, names


@pytest.mark.parametrize(
    ("settings", "mu", "target"),
    [
        ({"gamma": 1.5}, 1.0, lambda c: relax(c, gamma=1.5)),
        ({"gamma": 1.0, "step": 0.5}, 0.5, lambda c: relax(c, gamma=1.0)),
        ({"contamination": 0.2}, 1.0,
         lambda c: relax(c, gamma=contamination_gamma(c, 0.2).gamma)),
        ({"contamination": 0.2, "cap": 2}, 1.0,
         lambda c: capped_relax(c, gamma=contamination_gamma(c, 0.2).gamma, cap=2)),
    ],
)  # fmt: skip
def test_every_re_weighting_is_the_minimiser_for_held_out_losses(settings, mu, target):
    """Recomputed from its definition; the last fit is on all samples with the last weights."""
    settings = settings | {"max_iter": 3, "random_state": 0}
    model = RRMClassifier(PLAIN, **settings).fit(X, Y)
    history, losses, names = by_hand(settings, mu, lambda c: len(c) * target(c).weights)
    # p - 1/N is rounded once more.
    assert np.allclose(60 * model.u_history_ + 1, history[: model.n_iter_], rtol=0, atol=1e-14)
    assert np.array_equal(model.sample_weight_, history[-1])
    if model.n_iter_ == 3:
        assert np.array_equal(model.loss_, losses)
    assert np.array_equal(model.pruned_, target(model.loss_).weights == 0)
    assert (model.classes_ == names).all()
    final = clone(PLAIN).fit(X, Y, sample_weight=history[-1])
    assert np.array_equal(model.predict_proba(X), final.predict_proba(X))
    assert np.array_equal(model.decision_function(X), final.decision_function(X))


def test_weights_sum_to_n_and_wrong_labels_lose_theirs():
    """Twelve of sixty are wrong: they are found, and the classifier is that of the right labels."""
    model = RRMClassifier(PLAIN, contamination=0.2, cap=2, random_state=0).fit(X, Y)
    assert model.sample_weight_.sum() == pytest.approx(60)
    assert np.flatnonzero(model.pruned_).tolist() == list(range(12))
    assert model.score(X, TRUE) == 1
    assert model.sample_weight_.max() <= 2


@pytest.mark.parametrize("n", [60, 49])
def test_it_stops_where_the_weights_stay(n):
    """With such a price nothing is ever cut; 49 times the float next to 1/49 is not 1."""
    model = RRMClassifier(PLAIN, gamma=100.0).fit(X[:n], Y[:n])
    assert (model.n_iter_, model.pruned_.any()) == (1, False)
    assert (model.sample_weight_ == 1).all()
    assert model.contamination_ is None


@pytest.mark.parametrize(
    ("estimator", "x", "message"),
    [
        (PLAIN, np.zeros((8, 1)), "No level exists"),
        # Certain of every sample, right of six: the level is the smallest loss, 0.
        (DecisionTreeClassifier(), np.array([0, 1, 0, 1, 0, 1, 1, 0])[:, None], "gamma = 0"),
    ],
)
def test_where_no_loss_can_be_cut_at_the_weights_stay(estimator, x, message):
    """A warning says which of the two it is, and what to do."""
    model = RRMClassifier(estimator, contamination=0.25, random_state=0)
    with pytest.warns(NoLevelWarning, match=message):
        model.fit(x, [0, 1] * 4)
    assert (model.sample_weight_ == 1).all()
    assert not model.pruned_.any()


def test_no_class_loses_all_weight():
    """At such a price all weight would go to one sample, and one class would have none."""
    model = RRMClassifier(PLAIN, gamma=1e-9, random_state=0)
    with pytest.warns(EmptyClassWarning, match=r"leave class '(left|right)' without weight"):
        model.fit(X, Y)
    assert (model.sample_weight_ == 1).all()
    assert not model.pruned_.any()
    assert model.n_iter_ == 1


def test_no_class_loses_all_weight_outside_a_fold():
    """Weight 3 goes to the four furthest from the boundary, only one of which is on the right."""
    x = np.array([-9.0, -9, -9, -1, -1, -1, -1, -1, 9, 1, 1, 1])[:, None]
    y = np.array([0] * 8 + [1] * 4)
    model = RRMClassifier(PLAIN, gamma=1e-9, cap=3, random_state=0)
    with pytest.warns(EmptyClassWarning, match="leave class 1 without weight"):
        model.fit(x, y)
    assert (model.sample_weight_ == 1).all()


@pytest.mark.parametrize("seed", range(20))
def test_labels_of_pure_chance_are_fitted(seed):
    """Whatever is estimated of them, as scikit-learn's checks with unseeded folds demand."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(size=(40, 3)), random.integers(4, size=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = RRMClassifier(LogisticRegression(), max_iter=2, random_state=seed).fit(x, y)
    assert set(model.predict(x)) <= {0, 1, 2, 3}


def test_an_estimate_stands_in_for_a_contamination():
    """Neither a price nor a rate is given: that of the first losses, close to 12 in 60."""
    model = RRMClassifier(PLAIN, cap=2, random_state=0).fit(X, Y)
    assert 0.15 <= model.contamination_ <= 0.25
    share = Fraction(round(60 * model.contamination_), 60)
    told = RRMClassifier(PLAIN, contamination=share, cap=2, random_state=0).fit(X, Y)
    assert np.array_equal(model.sample_weight_, told.sample_weight_)
    first = RRMClassifier(PLAIN, cap=2, max_iter=1, random_state=0).fit(X, Y)
    assert first.contamination_ == model.contamination_
    assert suggest_contamination(np.minimum(first.loss_, np.log(60))) == first.contamination_


def test_without_a_basis_nothing_is_removed():
    """Clean labels: a warning, a rate of 0, and everyone keeps the weight 1."""
    model = RRMClassifier(LogisticRegression(C=1e-3), random_state=0)
    with pytest.warns(NoBasisWarning, match="do not fall into two groups"):
        model.fit(np.random.default_rng(0).normal(size=(60, 2)), TRUE)
    assert model.contamination_ == 0
    assert (model.sample_weight_ == 1).all()


def test_a_fit_that_failed_is_none():
    """What asks it says that it is not fitted."""
    model = RRMClassifier(PLAIN, gamma=1.0)
    with pytest.raises(ValueError, match="got 1 class"):
        model.fit(X, ["a"] * 60)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.predict(X)


def test_one_seed_is_one_result():
    """Folds and random estimators follow it."""
    fits = [
        RRMClassifier(
            RandomForestClassifier(5), gamma=1.0, cap=2, max_iter=2, random_state=seed
        ).fit(X, Y)
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(fits[0].u_history_, fits[1].u_history_)
    assert not np.array_equal(fits[0].loss_, fits[2].loss_)
    seeds = {one.estimator_.random_state for one in fits}
    assert len(seeds) == 2
    assert None not in seeds


def test_an_estimator_s_own_seed_stays():
    """Also of one within it; where there is none, the run's is set."""
    own = RRMClassifier(RandomForestClassifier(2, random_state=7), gamma=100.0, random_state=0)
    assert own.fit(X, Y).estimator_.random_state == 7
    nested = CalibratedClassifierCV(RandomForestClassifier(2), cv=2)
    fitted = RRMClassifier(nested, gamma=100.0, random_state=0).fit(X, Y).estimator_
    assert isinstance(fitted.estimator.random_state, int)


@pytest.mark.parametrize("kind", [bool, float, str, object])
def test_labels_of_any_type(kind):
    """Answers are of the labels' type, in their order."""
    names = {bool: [False, True], float: [0.5, 2.0], str: ["b", "a"], object: ["b", "a"]}[kind]
    y = np.array(names, dtype=kind)[(Y == "right").astype(int)]
    if kind is float:
        y = y.round()  # scikit-learn takes whole numbers for classes only
    model = RRMClassifier(PLAIN, contamination=0.2, cap=2, random_state=0).fit(X, y)
    assert model.classes_.tolist() == sorted(set(y.tolist()))
    assert np.mean(model.predict(X) == y) == 0.8
    assert model.pruned_.sum() == 12


@pytest.mark.parametrize(("loss", "value"), [("log_loss", np.log(4)), ("mae", 1.5), ("mse", 0.875)])
def test_losses_by_hand(loss, value):
    """Of probability 1/4 for the label, 1/2 and 1/4 for the others; summed over classes."""
    p = np.array([[0.5, 0.25, 0.25]])
    assert LOSSES[loss](np.repeat(p, 8, axis=0), np.full(8, 1)) == pytest.approx(np.full(8, value))


def test_no_loss_is_infinite():
    """A probability of 0 counts as the smallest normal float."""
    (loss,) = LOSSES["log_loss"](np.array([[1.0, 0.0]]), np.array([1]))
    assert loss == -np.log(np.finfo(float).tiny)


# The tutorial.


def test_the_tutorial_finds_what_the_readme_says():
    """Run as a user runs it; 450 labels are wrong, and README's sentence holds its numbers."""
    run = [sys.executable, "-m", "experiments.tutorial"]
    # On data this small more threads are slower, beside other work by far.
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    printed = subprocess.run(
        run, cwd=ROOT, env=one_thread, capture_output=True, text=True, check=True
    ).stdout
    found, suspects = map(
        int, re.search(r"(\d+) of the (\d+) suspects are wrong", printed).groups()
    )
    readme = (ROOT / "README.md").read_text()
    assert f"450 of them with a wrong label, it suspects {suspects}, and {found} of these" in readme
    assert len((ROOT / "experiments" / "tutorial.py").read_text().splitlines()) == 34


# Errors.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1.0, "contamination": 0.2}, "got gamma=1.0, contamination=0.2"),
        ({"gamma": 0.0}, "gamma must be positive .*, got 0.0"),
        ({"contamination": 1.0}, r"contamination must lie in \[0, 1\), got 1.0"),
        ({"cap": 0.5}, "cap must be a finite number of at least 1, got 0.5"),
        ({"step": 0.0}, r"step must lie in \(0, 1\], got 0.0"),
        ({"step": 2}, r"step must lie in \[0, 1\], got 2"),
        ({"max_iter": 0}, "max_iter must be a positive integer, got 0"),
        ({"max_iter": True}, "max_iter must be a positive integer, got True"),
        ({"loss": ["mae"]}, r"loss must be one of log_loss, mae, mse; got \['mae'\]"),
        ({"loss": "hinge"}, "loss must be one of log_loss, mae, mse; got 'hinge'"),
        ({"estimator": KNeighborsClassifier()}, "estimator must take sample_weight in fit"),
        ({"estimator": LinearSVC()}, r"estimator must have predict_proba, got LinearSVC\(\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, message):
    """Before anything is fitted; the argument is named and its value shown."""
    with pytest.raises(ValueError, match=message):
        RRMClassifier(**({"estimator": PLAIN} | settings)).fit(X, Y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 60, "got 1 class: {'a': 60}"),
        (["a"] * 59 + ["b"], "got 2 classes: {'a': 59, 'b': 1}"),
    ],
)
def test_a_class_needs_two_samples(y, message):
    """One to fit, one to ask."""
    with pytest.raises(ValueError, match=message):
        RRMClassifier(PLAIN, gamma=1.0).fit(X, y)


# The estimate.


@given(st.lists(st.integers(0, 40).map(lambda i: i / 8), min_size=2, max_size=12))
def test_the_estimate_is_the_best_of_all_splits(losses):
    """Every split into a lower and an upper part by fractions: least variance within, first of
    equals up to rounding.
    """
    c = sorted(map(Fraction, losses))
    n = len(c)

    def between(k):
        low, high = sum(c[:k]) / k, sum(c[k:]) / (n - k)
        return Fraction(k * (n - k), n * n) * (high - low) ** 2

    mean = sum(c) / n
    total = sum((x - mean) ** 2 for x in c) / n
    splits = [k for k in range(1, n) if c[k] > c[k - 1]]
    best = max(map(between, splits), default=Fraction(0))
    evenly = Fraction(3, 4) * (1 if n % 2 else Fraction(n * n, n * n - 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = suggest_contamination(losses)
    if caught:
        assert found == 0
        assert float(best) <= float(evenly * total) * (1 + 2e-9)
        return
    k = n - round(found * n)
    assert k in splits
    assert float(between(k)) == pytest.approx(float(best), rel=1e-12)
    assert best > evenly * total


@given(
    st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=2, max_size=20),
    st.integers(1, 5),
)
def test_two_far_groups_are_told_apart(low, high):
    """Losses of at most 1 and losses of 64: the share of the latter, without a warning."""
    losses = low + [64.0] * high
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert suggest_contamination(losses) == high / len(losses)


@pytest.mark.parametrize(
    "losses",
    [np.arange(100) / 100, np.arange(7), np.ones(7), [0.1] * 3, [0.1] * 60, [3.0],
     [0.0, 1e200, 2e200, 3e200]],
)  # fmt: skip
def test_without_two_groups_there_is_a_warning(losses):
    """Evenly spaced losses, one value whose mean is rounded, one sample, squares that overflow."""
    with pytest.warns(NoBasisWarning, match="do not fall into two groups"):
        assert suggest_contamination(losses) == 0


def test_a_uniform_distribution_is_explained_to_three_quarters():
    """By its halves; what the threshold comes from."""
    with pytest.warns(NoBasisWarning, match=r"the best two explain 0\.75 of .*, .* losses 0\.75\."):
        suggest_contamination(np.arange(1000))


@pytest.mark.parametrize(
    ("losses", "message"),
    [([1.0, np.inf], "losses must be finite, got inf"), ([], "non-empty"), ([np.nan], "NaN")],
)
def test_losses_must_be_finite(losses, message):
    """The value is shown."""
    with pytest.raises(ValueError, match=message):
        suggest_contamination(losses)
