r"""Rockafellian relaxation around a scikit-learn classifier that takes sample weights.

Algorithm 1 with losses of held-out samples: fit on all folds but one, ask the fit about the labels
of that one, move the weights ``N p_i`` to what `rrm_theory.relax` says of these losses, start anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fractions import Fraction
from math import log
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
# Its halves explain so much of the variance of a uniform distribution, which has no groups; of an
# even number n of evenly spaced losses n^2 / (n^2 - 1) times as much.
UNIFORM = 0.75
ROUNDING = 1e-9
SMALLEST = float(np.finfo(np.float64).tiny)

# Losses of the probabilities (N, K) for the labels' places (N,), summed over the classes.
LOSSES: dict[str, Callable[[NDArray[np.float64], NDArray[np.intp]], Vector]] = {
    "log_loss": lambda p, y: -np.log(np.maximum(p[np.arange(len(y)), y], SMALLEST)),
    "mae": lambda p, y: np.abs(p - np.eye(p.shape[1])[y]).sum(axis=1),
    "mse": lambda p, y: np.square(p - np.eye(p.shape[1])[y]).sum(axis=1),
}


class NoBasisWarning(UserWarning):
    """The losses say nothing of how many labels are wrong."""


class EmptyClassWarning(UserWarning):
    """The next weights would leave a class without any, so the present ones stay."""


class NoLevelWarning(UserWarning):
    """There is no loss to cut at for the contamination, so the weights stay."""


def suggest_contamination(losses: ArrayLike) -> float:
    r"""Return ``#{c_i > t} / N`` for the t that leaves least variance within the groups beside it.

    Where there are no two groups it returns 0, with a warning.

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
        3/4 or, for an even N, N^2 / (N^2 - 1) of that; so too if all losses are equal.

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
    above, explained = _best_split(c) if c[-1] > c[0] else (0, 0.0)
    evenly = UNIFORM if n % 2 else UNIFORM * n**2 / (n**2 - 1)
    if explained > evenly + ROUNDING:
        return above / n
    warnings.warn(
        f"the losses do not fall into two groups: the best two explain {explained:.2f} of their "
        f"variance, the halves of evenly spaced losses {evenly:.2f}. So no share of wrong labels "
        "is suggested; give contamination, or look at the losses.",
        NoBasisWarning,
        stacklevel=2,
    )
    return 0.0


def _best_split(c: Vector) -> tuple[int, float]:
    """Return the upper group's size in sorted losses, and the share of variance that it explains.

    Not all losses are equal. Of splits as good as each other the first counts.
    """
    # In [0, 1] no square overflows; centred, the sums lose nothing to a common shift.
    x = (c - c[0]) / (c[-1] - c[0])
    x -= x.mean()
    n, below = x.size, np.arange(1, x.size)
    gap = n * x[:-1].cumsum() / below / (n - below)  # of the groups' means
    between = np.where(c[1:] > c[:-1], below * (n - below) / n**2 * gap**2, 0.0)
    best = int(between.argmax())
    return n - 1 - best, float(between[best] / np.square(x).mean())


def _without_weight(
    place: NDArray[np.intp], weights: Vector, parts: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> int | None:
    """Return a class that has no weight among all samples or outside a fold, None for none."""
    for train in [np.arange(len(place)), *(train for train, _ in parts)]:
        mass = np.bincount(place[train], weights=weights[train])
        if not mass.all():
            return int(mass.argmin())
    return None


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
        C' in [0, 1), the estimated share of wrong labels, in place of a price; losses that tie go
        together, so more than C' may. If neither is given, `suggest_contamination` of the first
        losses is taken, with its warning.
    cap
        No weight ``N p_i`` beyond this, at least 1. Without it the smallest loss, often a single
        sample's, takes all the weight that others lose. With ``contamination`` the price is that of
        the level without a cap, of which a cap moves less: fewer than C' are pruned. 2 is a good
        choice for C' up to 1/2; a cap below 1 / (1 - C') leaves no room for C'.
    step
        mu in (0, 1]: the weights move this far.
    max_iter
        Largest number of re-weightings; fewer if the weights stay.
    loss
        Of the probabilities: ``"log_loss"``, ``"mae"`` or ``"mse"``, the latter two summed over the
        classes.
    random_state
        Seeds the folds, and every ``random_state`` of the estimator that is None.

    Attributes
    ----------
    estimator_
        The fit on all samples with the last weights.
    classes_
        The labels, sorted.
    sample_weight_
        ``N p``, (N,), sums to N up to rounding.
    pruned_
        Which samples have no weight in the last minimiser, bool (N,).
    u_history_
        ``p - 1/N`` after every re-weighting, (``n_iter_``, N).
    loss_
        The losses that the last re-weighting saw, (N,).
    contamination_
        C', given or estimated; None with ``gamma``.
    n_iter_
        Number of re-weightings.

    Warns
    -----
    NoBasisWarning
        If C' is to be estimated and the losses do not fall into two groups: C' = 0 then.
    EmptyClassWarning
        If the next weights would leave a class none, or none outside one of the folds, so that
        nothing could be fitted. The weights stay.
    NoLevelWarning
        If there is no loss to cut at for C': too many tie at the smallest one. The weights stay.

    Notes
    -----
    Source: ICLR paper, Algorithm 1 and Section 3.5.1; theory.md A.9 for the cap. Losses are of
    held-out samples, by cross-fitting in five folds (fewer where a class is smaller), which is
    ours: a flexible classifier has no large losses on what it was fitted to. Weights are exact in
    the sense of `rrm_theory.relax`. For the estimate losses count at most log N: N samples cannot
    tell a smaller probability than 1/N. Cost: five fits a re-weighting, and one.

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
        """Fit on samples X and labels y of any type that scikit-learn takes.

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
        names, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if len(counts) < 2 or counts.min() < 2:
            shown = dict(zip(names.tolist(), counts.tolist(), strict=True))
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
        share: float | Fraction | None = self.contamination
        for _ in range(self.max_iter):
            losses = self._losses(X, labels, place, weights, parts, seed)
            if self.gamma is None and share is None:
                # A float of k / n need not denote it.
                share = Fraction(round(n * suggest_contamination(np.minimum(losses, log(n)))), n)
            target = self._target(losses, share, weights)
            moved = weights + mu * (target - weights)
            empty = _without_weight(place, moved, parts)
            if empty is not None:
                (name,) = names[empty : empty + 1].tolist()
                warnings.warn(
                    f"the re-weighting would leave class {name!r} without weight, so the weights "
                    "stay; give a cap or a smaller one, a larger gamma or less contamination.",
                    EmptyClassWarning,
                    stacklevel=2,
                )
                target = moved = weights
            history.append(moved / n - 1 / n)
            stays = np.array_equal(moved, weights)
            weights = moved
            if stays:
                break
        self.estimator_ = self._fitted(X, labels, weights, seed)
        self.classes_, self.loss_, self.pruned_ = names, losses, target == 0
        self.u_history_, self.n_iter_ = np.stack(history), len(history)
        self.sample_weight_ = weights
        self.contamination_ = None if share is None else float(share)
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
        whole = isinstance(self.max_iter, Integral) and not isinstance(self.max_iter, bool)
        if not whole or self.max_iter < 1:
            msg = f"max_iter must be a positive integer, got {self.max_iter!r}."
            raise ValueError(msg)
        if not isinstance(self.loss, str) or self.loss not in LOSSES:
            msg = f"loss must be one of {', '.join(LOSSES)}; got {self.loss!r}."
            raise ValueError(msg)
        if not has_fit_parameter(self.estimator, "sample_weight"):
            msg = (
                "estimator must take sample_weight in fit (of a pipeline wrap the last step), "
                f"got {self.estimator!r}."
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
        p = np.zeros((len(labels), int(place.max()) + 1))
        for train, held_out in parts:
            model = self._fitted(_safe_indexing(X, train), labels[train], weights[train], seed)
            p[held_out] = model.predict_proba(_safe_indexing(X, held_out))
        return LOSSES[self.loss](p, place)

    def _target(self, losses: Vector, share: float | Fraction | None, weights: Vector) -> Vector:
        """Return ``N p`` of the minimiser; the present weights where there is no loss to cut at."""
        n, price = losses.size, 0.0 if self.gamma is None else self.gamma
        if share is not None:
            found = contamination_gamma(losses, share)
            price = found.gamma
            if not price > 0:
                warnings.warn(found.outcome.value, NoLevelWarning, stacklevel=3)
                return weights
        relaxation = (
            relax(losses, gamma=price)
            if self.cap is None
            else capped_relax(losses, gamma=price, cap=self.cap)
        )
        # n times the float nearest to 1/n need not be 1.
        return np.where(relaxation.weights == 1 / n, 1.0, n * relaxation.weights)

    def _fitted(self, X: Any, labels: NDArray[Any], weights: Vector, seed: int) -> Any:
        """Return a copy of the estimator, seeded alike every time, fitted with the weights."""
        model = clone(self.estimator)
        seeds = {
            name: seed
            for name, value in model.get_params().items()
            if value is None and (name == "random_state" or name.endswith("__random_state"))
        }
        return model.set_params(**seeds).fit(X, labels, sample_weight=weights)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable labels of X, (n,)."""
        check_is_fitted(self, "estimator_")
        labels: NDArray[Any] = self.estimator_.predict(self._checked(X))
        return labels

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of ``classes_``, (n, K)."""
        check_is_fitted(self, "estimator_")
        p: NDArray[np.float64] = self.estimator_.predict_proba(self._checked(X))
        return p

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return what the fit decides by, (n,) or (n, K)."""
        check_is_fitted(self, "estimator_")
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
