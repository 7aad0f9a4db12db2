r"""Rockafellian relaxation around a scikit-learn classifier that takes sample weights.

Algorithm 1 with losses of held-out samples: fit on all folds but one, ask the fit about the labels
of that one, move the weights ``N p_i`` to what `rrm_theory.relax` says of these losses, start anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import _safe_indexing, check_random_state, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
    validate_data,
)

from rrm_theory._checks import (
    Mask,
    Vector,
    at_least_one,
    fraction_of_samples,
    fraction_up_to_1,
    loss_vector,
    positive,
)
from rrm_theory.capped import capped_relax
from rrm_theory.relaxation import contamination_gamma, relax

FOLDS = 5
# Its halves explain so much of the variance of a uniform distribution, which has no groups; of n
# evenly spaced losses n^2 / (n^2 - 1) times as much.
UNIFORM = 0.75
ROUNDING = 1e-9

# Losses of the probabilities (N, K) for the label of place y_i: each of the label's probability.
LOSSES: dict[str, Callable[[NDArray[np.float64], NDArray[np.intp]], Vector]] = {
    # N samples cannot tell a smaller probability than 1/N from none.
    "log_loss": lambda p, y: -np.log(np.maximum(_of_label(p, y), 1 / len(y))),
    "mae": lambda p, y: np.abs(p - np.eye(p.shape[1])[y]).sum(axis=1),
    "mse": lambda p, y: np.square(p - np.eye(p.shape[1])[y]).sum(axis=1),
}


class NoBasisWarning(UserWarning):
    """An estimate of how many labels are wrong rests on nothing."""


def suggest_contamination(losses: ArrayLike) -> float:
    r"""Return ``#{c_i > t} / N`` for the t that leaves least variance within the groups beside it.

    Parameters
    ----------
    losses
        Finite losses c of samples that did not train, shape (N,), loss units.

    Returns
    -------
    float
        The estimated share of wrong labels, in [0, 1).

    Warns
    -----
    NoBasisWarning
        If the two groups explain no more of the variance than of N evenly spaced losses', which is
        3/4 for large N; so too if all losses are equal.

    Raises
    ------
    ValueError
        If ``losses`` is no vector of finite numbers.

    Notes
    -----
    Source: Otsu 1979, of histograms. Heuristic: losses of wrong labels are taken for a group of
    their own, which no theorem says. On scikit-learn's digits it is a little low (``bench
    sklearn``). Cost O(N log N).

    Examples
    --------
    >>> suggest_contamination([0.0, 0.25, 0.125, 4.0, 0.25, 0.0, 3.5, 0.125])  # two of eight
    0.25

    """
    c = np.sort(loss_vector(losses))
    if not np.isfinite(c[-1]):
        msg = f"losses must be finite, got {c[-1]}."
        raise ValueError(msg)
    n = c.size
    below = np.arange(1, n)
    # Centred, so that the sums of squares lose nothing to a common shift.
    centred = c - c.mean()
    gap = n * centred[:-1].cumsum() / below / (n - below)  # means of the groups, upper minus lower
    between = np.where(c[1:] > c[:-1], below * (n - below) / n**2 * gap**2, 0.0)
    total = float(np.square(centred).mean())
    best = int(between.argmax()) if n > 1 else 0
    explained = float(between[best]) / total if total > 0 else 0.0
    evenly = UNIFORM * n**2 / (n**2 - 1) if n > 1 else 1.0
    if explained <= evenly + ROUNDING:
        warnings.warn(
            f"the losses do not fall into two groups: the best two explain {explained:.2f} of "
            f"their variance, the halves of evenly spaced losses {evenly:.2f}. The estimate of the "
            "wrong labels rests on nothing; give contamination, or look at the losses.",
            NoBasisWarning,
            stacklevel=2,
        )
    return (n - 1 - best) / n if total > 0 else 0.0


def _has(name: str) -> Callable[[RRMClassifier], bool]:
    """Return a check that the wrapped estimator has the method of this name."""

    def check(self: RRMClassifier) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class RRMClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Fit a classifier with weights ``N p``, p minimising ``sum p_i c_i + gamma TV(p, 1/N)``.

    Parameters
    ----------
    estimator
        A classifier whose ``fit`` takes ``sample_weight``, with ``predict_proba``.
    gamma
        Price in (0, 2^960] per unit of total variation, loss units, in the convention of Eq. (2).
    contamination
        C' in [0, 1), the estimated share of wrong labels, in place of a price. If neither is given,
        `suggest_contamination` of the first losses is taken, with its warning.
    cap
        No weight ``N p_i`` beyond this, at least 1. Without it the smallest loss, often a single
        sample's, takes all the weight that others lose; 2 is a good choice.
    step
        mu in (0, 1]: the weights move this far.
    max_iter
        Largest number of re-weightings; fewer if the weights stay.
    loss
        Of a label's probability: ``"log_loss"`` (of at least 1/N), ``"mae"`` or ``"mse"``, summed
        over the classes.
    random_state
        Seeds the folds, and the estimators if they have a ``random_state``.

    Attributes
    ----------
    estimator_
        The fit on all samples with the last weights.
    classes_
        The labels, sorted.
    sample_weight_
        ``N p``, (N,), sums to N up to rounding.
    pruned_
        Which samples the last re-weighting removed, bool (N,).
    u_history_
        ``p - 1/N`` after every re-weighting, (``n_iter_``, N).
    loss_
        The losses that the last re-weighting saw, (N,).
    contamination_
        C', given or estimated; None with ``gamma``.
    n_iter_
        Number of re-weightings.

    Notes
    -----
    Source: ICLR paper, Algorithm 1 and Section 3.5.1; theory.md A.9 for the cap. Losses are of
    held-out samples, by cross-fitting in five folds (fewer where a class is smaller), which is
    ours: a flexible classifier has no large losses on what it was fitted to. Weights are exact in
    the sense of `rrm_theory.relax`; where no loss can be cut at (all are tied) they stay. Cost: six
    fits a re-weighting at most.

    Examples
    --------
    Twelve points on a line, left 0 and right 1, but for the third and the tenth.

    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.arange(12.0)[:, None] - 5.5
    >>> y = np.array(["left"] * 6 + ["right"] * 6)
    >>> y[[2, 9]] = y[[9, 2]]
    >>> model = RRMClassifier(LogisticRegression(), contamination=1/6, cap=2, random_state=0)
    >>> np.flatnonzero(model.fit(X, y).pruned_)
    array([2, 9])
    >>> model.predict([[-3.5], [3.5]])
    array(['left', 'right'], dtype='<U5')

    """

    def __init__(
        self,
        estimator: Any,
        *,
        gamma: float | None = None,
        contamination: float | None = None,
        cap: float | None = None,
        step: float = 1.0,
        max_iter: int = 10,
        loss: str = "log_loss",
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.gamma = gamma
        self.contamination = contamination
        self.cap = cap
        self.step = step
        self.max_iter = max_iter
        self.loss = loss
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> RRMClassifier:
        """Fit on samples X and labels y of any type.

        Raises
        ------
        ValueError
            If an argument of the constructor is outside its domain, the estimator takes no weights
            or gives no probabilities, or y has a class of a single sample, or one class only.

        """
        mu = self._check_arguments()
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        # Of X this is all that has to be known here; the estimator checks the rest.
        X, labels = indexable(X, labels)
        validate_data(self, X, labels, skip_check_array=True)
        self.classes_, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if len(counts) < 2 or counts.min() < 2:
            shown = dict(zip(self.classes_.tolist(), counts.tolist(), strict=True))
            classes = "1 class" if len(counts) == 1 else f"{len(counts)} classes"
            msg = f"y must have two classes of two samples or more, got {classes}: {shown}."
            raise ValueError(msg)
        random = check_random_state(self.random_state)
        folds = StratifiedKFold(
            min(FOLDS, int(counts.min())), shuffle=True, random_state=random.randint(2**31)
        )
        parts = list(folds.split(np.zeros(len(labels)), place))
        seed = random.randint(2**31)
        n = len(labels)
        weights, history = np.ones(n), []
        share = self.contamination
        for _ in range(self.max_iter):
            self.loss_ = self._losses(X, labels, place, weights, parts, seed)
            if self.gamma is None and share is None:
                share = suggest_contamination(self.loss_)
            target, self.pruned_ = self._target(self.loss_, share)
            moved = weights + mu * (target - weights)
            history.append(moved / n - 1 / n)
            stays = np.array_equal(moved, weights)
            weights = moved
            if stays:
                break
        self.u_history_, self.n_iter_ = np.stack(history), len(history)
        self.sample_weight_, self.contamination_ = weights, share
        self.estimator_ = self._fitted(X, labels, weights, seed)
        return self

    def _check_arguments(self) -> float:
        """Refuse what cannot be meant, and return mu."""
        if self.gamma is not None and self.contamination is not None:
            msg = (
                "give gamma or contamination, not both: "
                f"got gamma={self.gamma!r}, contamination={self.contamination!r}."
            )
            raise ValueError(msg)
        if self.gamma is not None:
            positive(self.gamma, "gamma")
        if self.contamination is not None:
            fraction_of_samples(self.contamination, "contamination")
        if self.cap is not None:
            at_least_one(self.cap, "cap")
        mu = float(fraction_up_to_1(self.step, "step"))
        if mu == 0:
            msg = f"step must lie in (0, 1], got {self.step!r}."
            raise ValueError(msg)
        if not isinstance(self.max_iter, Integral) or self.max_iter < 1:
            msg = f"max_iter must be a positive integer, got {self.max_iter!r}."
            raise ValueError(msg)
        if self.loss not in LOSSES:
            msg = f"loss must be one of {', '.join(LOSSES)}; got {self.loss!r}."
            raise ValueError(msg)
        if not has_fit_parameter(self.estimator, "sample_weight"):
            msg = (
                "estimator must take sample_weight in fit (put RRMClassifier into a pipeline, not "
                f"the other way round), got {self.estimator!r}."
            )
            raise ValueError(msg)
        if not hasattr(self.estimator, "predict_proba"):
            msg = f"estimator must have predict_proba, got {self.estimator!r}."
            raise ValueError(msg)
        return mu

    def _losses(
        self,
        X: Any,
        labels: NDArray[Any],
        place: NDArray[np.intp],
        weights: Vector,
        parts: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
        seed: int,
    ) -> Vector:
        """Return every sample's loss under the fit on the folds without it, (N,)."""
        p = np.zeros((len(labels), len(self.classes_)))
        for train, held_out in parts:
            model = self._fitted(_safe_indexing(X, train), labels[train], weights[train], seed)
            columns = np.searchsorted(self.classes_, model.classes_)
            p[np.ix_(held_out, columns)] = model.predict_proba(_safe_indexing(X, held_out))
        return LOSSES[self.loss](p, place)

    def _target(self, losses: Vector, share: float | None) -> tuple[Vector, Mask]:
        """Return ``N p`` of the minimiser, and what it prunes; all ones where nothing is cut."""
        n, price = losses.size, 0.0 if self.gamma is None else self.gamma
        if share is not None:
            price = contamination_gamma(losses, share).gamma
        if not price > 0:  # nothing to cut at: the level is the minimum, or does not exist
            return np.ones(n), np.zeros(n, dtype=bool)
        relaxation = (
            relax(losses, gamma=price)
            if self.cap is None
            else capped_relax(losses, gamma=price, cap=self.cap)
        )
        target = n * relaxation.weights
        return target, target == 0

    def _fitted(self, X: Any, labels: NDArray[Any], weights: Vector, seed: int) -> Any:
        """Return a copy of the estimator, seeded alike every time, fitted with the weights."""
        model = clone(self.estimator)
        seeds = {
            name: seed
            for name in model.get_params()
            if name == "random_state" or name.endswith("__random_state")
        }
        return model.set_params(**seeds).fit(X, labels, sample_weight=weights)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable labels of X, (n,)."""
        check_is_fitted(self)
        labels: NDArray[Any] = self.estimator_.predict(self._checked(X))
        return labels

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of ``classes_``, (n, K)."""
        check_is_fitted(self)
        p: NDArray[np.float64] = self.estimator_.predict_proba(self._checked(X))
        return p

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return what the fit decides by, (n,) or (n, K)."""
        check_is_fitted(self)
        values: NDArray[np.float64] = self.estimator_.decision_function(self._checked(X))
        return values

    def _checked(self, X: Any) -> Any:
        """Return X with the features that the fit had; of a vector the estimator complains."""
        if getattr(X, "ndim", 2) == 2:
            validate_data(self, X, reset=False, skip_check_array=True)
        return X

    def __sklearn_tags__(self) -> Any:
        """Return what the estimator accepts."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        return tags


def _of_label(p: NDArray[np.float64], y: NDArray[np.intp]) -> Vector:
    """Return each sample's probability of its label, (N,)."""
    return p[np.arange(len(y)), y]
