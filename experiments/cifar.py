"""CIFAR-10, and CIFAR-10N: the labels that people gave to its training images.

Classes 0..9: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.arrays import Data, read
from experiments.noise import Labels
from experiments.sources import images, in_folder

N_TRAIN, N_TEST, N_CLASSES = 50_000, 10_000, 10
# SHA-256 of the bytes, samples in the order of the published batches, an image's axes being row,
# column, colour. In another order CIFAR-10N's labels would belong to other images.
DIGESTS = {
    "x_train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "x_test": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}

# CIFAR-10N's names, as in our file and as in the authors'.
HUMAN = {
    "clean": "clean_label",
    "aggre": "aggre_label",
    "random1": "random_label1",
    "worse": "worse_label",
}
HUMAN_FILES = ("cifar10n.npz", "CIFAR-10_human.pt")
# Fraction of the 50,000 labels that differ from CIFAR-10's (as Wei et al. 2022, Table 1, but for
# "aggre", which has 0.0903 there).
HUMAN_NOISE_RATES = {"aggre": 0.0901, "random1": 0.1723, "worse": 0.4021}


@cache
def cifar10() -> Data:
    """Return CIFAR-10 in its official order, images (N, 32, 32, 3).

    Raises
    ------
    ValueError
        If the samples found are others, or the same in another order.
    FileNotFoundError
        If it is neither in RRM_DATA (``cifar10.npz``) nor to be had from OpenML.

    """
    source, arrays = images("CIFAR-10", "cifar10.npz", "CIFAR_10", (3, 32, 32), N_TRAIN)
    data = Data(
        name="cifar10",
        x_train=arrays["x_train"],
        y_train=arrays["y_train"].astype(np.int64),
        x_test=arrays["x_test"],
        y_test=arrays["y_test"].astype(np.int64),
        n_classes=N_CLASSES,
        ink=(0, 255),
    )
    for part, n in (("train", N_TRAIN), ("test", N_TEST)):
        counts = np.bincount(getattr(data, f"y_{part}"), minlength=N_CLASSES).tolist()
        if counts != [n // N_CLASSES] * N_CLASSES:
            msg = f"y_{part} from {source} is not CIFAR-10's: counts by class {counts}."
            raise ValueError(msg)
    for name, digest in DIGESTS.items():
        if hashlib.sha256(getattr(data, name).astype(np.uint8).tobytes()).hexdigest() != digest:
            msg = f"{name} from {source} is not CIFAR-10's in the order of its batches."
            raise ValueError(msg)
    return data


def cifar10n(kind: str) -> Data:
    """Return CIFAR-10 with human labels: "aggre", "random1" or "worse".

    Raises
    ------
    ValueError
        If the file's clean labels are not CIFAR-10's, so that its rows are other images.
    FileNotFoundError
        If there is no ``cifar10n.npz`` or ``CIFAR-10_human.pt`` in RRM_DATA.

    Notes
    -----
    Source: Wei et al. 2022. The labels are CC BY-NC 4.0.

    """
    data = cifar10()
    path = next((found for file in HUMAN_FILES if (found := in_folder(file))), None)
    if path is None:
        msg = (
            f"CIFAR-10N not found: RRM_DATA must name a folder with {' or '.join(HUMAN_FILES)} "
            "(the latter is the authors' file, github.com/UCSC-REAL/cifar-10-100n)."
        )
        raise FileNotFoundError(msg)
    labels = _human_labels(path)
    if not np.array_equal(labels["clean"], data.y_train):
        differ = (
            f"{int((labels['clean'] != data.y_train).sum())} labels differ"
            if labels["clean"].shape == data.y_train.shape
            else f"shape {labels['clean'].shape}"
        )
        msg = f"{path}: the clean labels are not CIFAR-10's ({differ}); rows would not match."
        raise ValueError(msg)
    return Data(
        name=f"cifar10n_{kind}",
        x_train=data.x_train,
        y_train=data.y_train,
        x_test=data.x_test,
        y_test=data.y_test,
        n_classes=N_CLASSES,
        ink=data.ink,
        y_given=labels[kind],
    )


def _human_labels(path: Path) -> dict[str, Labels]:
    """Return the labels by our names, from our npz or the authors' torch file."""
    if path.suffix == ".npz":
        arrays = read(path, required=tuple(HUMAN))
        return {name: arrays[name].astype(np.int64) for name in HUMAN}
    arrays = _read_torch(path)
    for theirs in HUMAN.values():
        if not isinstance(arrays.get(theirs), np.ndarray):
            msg = f"{path} must hold the array {theirs}, got {', '.join(map(str, arrays))}."
            raise ValueError(msg)
    return {ours: arrays[theirs].astype(np.int64) for ours, theirs in HUMAN.items()}


def _read_torch(path: Path) -> dict[str, NDArray[Any]]:
    """Return a dictionary of arrays, of a file that may hold nothing else.

    A pickle may run any code when it is read; torch's reader runs only what is named here.
    """
    allowed: list[Any] = [
        # numpy 1 wrote the first name, numpy 2 writes the second.
        (np._core.multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # type: ignore[attr-defined]
        np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        np.ndarray,
        np.dtype,
        np.dtypes.Int64DType,
        np.dtypes.UInt8DType,
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises a dozen kinds
        msg = f"{path} is not a file of arrays: {error}"
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} must hold a dictionary, got {type(content).__name__}."
        raise ValueError(msg)
    return content
