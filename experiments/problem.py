"""A run's samples as tensors: contaminated training labels, and the folds that select an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.arrays import Data, Samples
from experiments.noise import (
    TABLE_9,
    Labels,
    Stream,
    by_kernel,
    class_map,
    generator,
    resampled,
    symmetric,
)
from experiments.own import origin
from experiments.spec import Run
from rrm_theory._checks import fraction_of_samples

# Classes that a class may move to.
FLIP_TARGETS = {"flip": 1, "flip2": 2}


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Noisy validation labels that select an epoch, and clean test labels that score it.

    Both name their samples by position in :attr:`Problem.x_eval`. `clean_labels` are the validation
    samples' true ones, to say what selecting by those would have given.
    """

    validation: Tensor
    validation_labels: Tensor
    clean_labels: Tensor
    test: Tensor
    test_labels: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Meta:
    """Samples x (M, ...) with labels (M,) as wrong as the others, and the true ones."""

    x: Tensor
    labels: Tensor
    clean_labels: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What the training loop sees.

    Attributes
    ----------
    x, labels
        Training samples (N, ...) float32 and contaminated labels (N,) int64.
    contaminated
        Which of the labels are wrong, bool (N,); for statistics only, no method sees it.
    x_eval
        Samples that are classified at every evaluation.
    folds
        One fold if validation samples are held out. Otherwise two: the contaminated labels of
        each half of the test set select the epoch at which the other half is scored, so that no
        training sample is given up and no test label selects its own score.
    ink
        Smallest and largest value, no ink and full ink, in the units of x.
    meta
        Samples that neither train nor validate, for a weighting network.
    origin
        Digests of what of a user's the run is made of, see `experiments.own`.

    """

    x: Tensor
    labels: Tensor
    contaminated: NDArray[np.bool_]
    x_eval: Tensor
    folds: tuple[Fold, ...]
    n_classes: int
    shape: tuple[int, ...]
    ink: tuple[float, float]
    meta: Meta | None = None
    origin: dict[str, str] = field(default_factory=dict)

    def to(self, device: str) -> Problem:
        """Return the samples on a device, where training and evaluation gather them."""
        folds = (
            Fold(**{name: part.to(device) for name, part in vars(fold).items()})
            for fold in self.folds
        )
        moved = {name: getattr(self, name).to(device) for name in ("x", "labels", "x_eval")}
        meta = self.meta and Meta(**{k: part.to(device) for k, part in vars(self.meta).items()})
        return replace(self, folds=tuple(folds), meta=meta, **moved)


def problem(run: Run, data: Data) -> Problem:
    """Return the run's samples; the wrong labels depend on data, noise rate and seed alone.

    Raises
    ------
    ValueError
        If ``train_samples``, ``test_samples``, ``validation``, ``noise`` or ``augment`` ask for
        what the data do not have, or ``noise_rate`` for more wrong labels than there are already.

    """
    for name, there in (("train_samples", data.y_train), ("test_samples", data.y_test)):
        asked = getattr(run, name)
        if asked is not None and asked > len(there):
            msg = f"{name} must be at most {len(there)}, got {asked}."
            raise ValueError(msg)
    if run.noise == "table9" and data.n_classes != len(TABLE_9):
        msg = f"noise='table9' is for {len(TABLE_9)} classes, {data.name} has {data.n_classes}."
        raise ValueError(msg)
    if run.noise_rate and data.y_given is not None:
        msg = (
            f"noise_rate must be 0, labels of {data.name} are wrong already; got {run.noise_rate}."
        )
        raise ValueError(msg)
    if run.augment != "none" and len(data.shape) < 2:
        msg = f"augment={run.augment!r} needs images (rows, columns, ...), got {data.shape}."
        raise ValueError(msg)
    x, y = data.x_train[: run.train_samples], data.y_train[: run.train_samples]
    given = (data.y_train if data.y_given is None else data.y_given)[: run.train_samples]
    held_out = int(fraction_of_samples(run.validation, "validation") * len(y))
    if run.validation and not held_out:
        msg = f"validation must hold out a sample of {len(y)}, or be 0; got {run.validation!r}."
        raise ValueError(msg)
    n = len(y) - held_out - run.meta_samples
    if n < 1:
        msg = (
            f"validation={run.validation!r} and meta_samples={run.meta_samples} leave none of "
            f"{len(y)} samples to train on."
        )
        raise ValueError(msg)
    absent = np.setdiff1d(data.y_train, y[:n])
    if absent.size:
        msg = (
            f"y_train of {data.name}: class {absent[0]} is in none of the {n} samples that train, "
            "the first; the others are held out. Shuffle the file."
        )
        raise ValueError(msg)
    train, meta, validating = np.split(np.arange(len(y)), (n, len(y) - held_out))
    scale = _normalisation(run, x[:n], data.ink)

    def contaminate(labels: Labels, stream: Stream) -> Labels:
        rng = generator(run.seed, stream)
        rate, k = run.noise_rate, data.n_classes
        if run.noise == "symmetric":
            return symmetric(labels, noise_rate=rate, n_classes=k, rng=rng)
        if run.noise == "uniform_or_kept":
            return resampled(labels, noise_rate=rate, n_classes=k, rng=rng)
        return by_kernel(labels, noise_rate=rate, kernel=_kernel(run, k), rng=rng)

    noisy = contaminate(given[train], Stream.TRAIN_NOISE)
    x_test, y_test = data.x_test[: run.test_samples], data.y_test[: run.test_samples]
    tests = np.arange(len(y_test))
    if held_out:
        x_eval = np.concatenate((x_test, x[validating]))
        held = len(tests) + np.arange(held_out)
        parts = [(held, given[validating], y[validating], tests)]
    else:
        x_eval = x_test
        shuffled = generator(run.seed, Stream.TEST_HALVES).permutation(tests)
        halves = np.sort(shuffled[: len(tests) // 2]), np.sort(shuffled[len(tests) // 2 :])
        parts = [(a, y_test[a], y_test[a], b) for a, b in (halves, halves[::-1])]
    folds = tuple(
        Fold(
            validation=torch.from_numpy(validation),
            validation_labels=torch.from_numpy(contaminate(labels, Stream.VALIDATION_NOISE)),
            clean_labels=torch.from_numpy(clean),
            test=torch.from_numpy(test),
            test_labels=torch.from_numpy(y_test[test]),
        )
        for validation, labels, clean, test in parts
    )
    return Problem(
        x=_to_tensor(x[:n], scale),
        labels=torch.from_numpy(noisy),
        contaminated=noisy != y[:n],
        x_eval=_to_tensor(x_eval, scale),
        folds=folds,
        n_classes=data.n_classes,
        shape=data.shape,
        ink=((data.ink[0] - scale[0]) / scale[1], (data.ink[1] - scale[0]) / scale[1]),
        meta=Meta(
            x=_to_tensor(x[meta], scale),
            labels=torch.from_numpy(contaminate(given[meta], Stream.META_NOISE)),
            clean_labels=torch.from_numpy(y[meta]),
        )
        if run.meta_samples
        else None,
        origin=origin(run, data),
    )


def _kernel(run: Run, n_classes: int) -> NDArray[np.int64]:
    """Return weights of what a label becomes; training, validation and test share them."""
    if run.noise == "symmetric":
        return np.ones((n_classes, n_classes), np.int64) - np.eye(n_classes, dtype=np.int64)
    if run.noise == "uniform_or_kept":
        return np.ones((n_classes, n_classes), np.int64)
    if run.noise == "table9":
        return TABLE_9
    return class_map(n_classes, FLIP_TARGETS[run.noise], generator(run.seed, Stream.CLASS_MAP))


def noise_matrix(run: Run, n_classes: int) -> NDArray[np.float64]:
    """Return ``T[y, z] = (1 - C) [y = z] + C kernel[y, z]``, what the run's noise makes of labels.

    Shape (K, K); every row of the kernel sums to 1. Of the labels of one run it is the expectation.

    Examples
    --------
    >>> from experiments.spec import Run
    >>> run = Run(dataset="digits", model="mlp", loss="cce", noise_rate=0.5, seed=0, noise="flip")
    >>> sorted(noise_matrix(run, 3)[0].tolist())
    [0.0, 0.5, 0.5]

    """
    kernel = _kernel(run, n_classes)
    moved: NDArray[np.float64] = kernel / kernel.sum(axis=1, keepdims=True)
    return (1 - run.noise_rate) * np.eye(n_classes) + run.noise_rate * moved


def _normalisation(run: Run, x: Samples, ink: tuple[float, float]) -> tuple[float, float]:
    """Return (shift, scale) in the data's units: of all training values, or of their range."""
    if run.normalisation == "unit":
        shift, scale = float(ink[0]), float(ink[1] - ink[0])
    else:
        shift, scale = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))
    if not scale > 0:
        msg = f"x_train must hold more than one value to be normalised, got {shift} only."
        raise ValueError(msg)
    return shift, scale


def _to_tensor(x: Samples, normalisation: tuple[float, float]) -> Tensor:
    """Return ``(x - shift) / scale`` as float32, computed in float64."""
    shift, scale = normalisation
    if x.dtype != np.uint8:
        return torch.from_numpy(((x.astype(np.float64) - shift) / scale).astype(np.float32))
    # Pixels take 256 values, so the float64 arithmetic is done on those and looked up.
    table = ((np.arange(256, dtype=np.float64) - shift) / scale).astype(np.float32)
    return torch.from_numpy(table[x])
