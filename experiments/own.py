"""A user's data and network: checked where they come in, and recognised when they have changed."""

from __future__ import annotations

import copy
import hashlib
import inspect
import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments import language
from experiments.arrays import Data, read
from experiments.noise import Labels
from experiments.spec import LANGUAGE_MODEL, OWN_DATA, OWN_MODEL, Run

# Samples that a network is tried on before it is trained.
TRIED = 2


def own_data(name: str) -> Data:
    """Return a user's data: ``x_train``, ``y_train``, ``x_test``, ``y_test`` of an npz file.

    With ``y_clean``, the right labels of the training samples, ``y_train`` are the labels that are
    trained on; without, they are taken for right. Classes are 0..K - 1, each with a training label.

    Raises
    ------
    ValueError
        If the file is damaged, lacks an array, or an array does not fit; the message names both.
    FileNotFoundError
        If there is no such file.

    """
    path = Path(name)
    if not path.is_file():
        msg = f"there is no data file {path}."
        raise FileNotFoundError(msg)
    arrays = read(path)
    try:
        return _checked(name, arrays)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def _checked(name: str, arrays: dict[str, NDArray[Any]]) -> Data:
    """Return the arrays as data, or raise a ValueError that names one."""
    labels = {
        key: _class_labels(key, arrays[key])
        for key in ("y_train", "y_clean", "y_test")
        if key in arrays
    }
    given = labels["y_train"]
    clean = labels.get("y_clean", given)
    if clean.shape != given.shape:
        msg = f"y_clean must have the length of y_train, {len(given)}; got {len(clean)}."
        raise ValueError(msg)
    trained = np.unique(np.concatenate((given, clean)))
    n_classes = len(trained)
    if trained[-1] != n_classes - 1 or n_classes < 2:
        shown = f"{trained[:10].tolist()}{' ...' if n_classes > 10 else ''}"
        msg = f"y_train must have the classes 0..K - 1, K at least 2, without a gap; got {shown}."
        raise ValueError(msg)
    if labels["y_test"].max() >= n_classes:
        msg = (
            f"y_test must have classes of y_train, 0..{n_classes - 1}; "
            f"got {labels['y_test'].max()}."
        )
        raise ValueError(msg)
    x = arrays["x_train"]
    if x.dtype == np.uint8:
        ink = (0.0, 255.0)
    elif x.dtype.kind == "f" and x.size:
        ink = (float(x.min()), float(x.max()))
    else:
        ink = (0.0, 0.0)  # refused by Data, with the array's name
    return Data(
        name=name,
        x_train=x,
        y_train=clean,
        x_test=arrays["x_test"],
        y_test=labels["y_test"],
        n_classes=n_classes,
        ink=ink,
        y_given=given if "y_clean" in labels else None,
    )


def _class_labels(key: str, y: NDArray[Any]) -> Labels:
    """Return labels as int64, or raise a ValueError that names their array."""
    ends = (int(y.min()), int(y.max())) if y.size and y.dtype.kind in "iu" else None
    # Counting the classes of larger labels would be mistaken for a large number of classes.
    if y.ndim != 1 or ends is None or ends[0] < 0 or ends[1] >= 2**31:
        found = "" if ends is None else f" from {ends[0]} to {ends[1]}"
        msg = f"{key} must be one-dimensional integers from 0, got {y.dtype} {y.shape}{found}."
        raise ValueError(msg)
    return y.astype(np.int64)


def own_network(path: str, shape: tuple[int, ...], n_classes: int, seed: int) -> nn.Module:
    """Return what the callable at "package.module:name" returns, tried on a few samples.

    Generators of python, numpy and torch are seeded before, and layers that wait for their first
    input are given one, so that the network depends on the seed alone.

    Raises
    ------
    ValueError
        If the path leads to nothing that returns a network, or it does not turn float32 samples
        (B, *shape) into logits (B, K) that can be trained, or changes the samples.

    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    module, _, name = path.partition(OWN_MODEL)
    try:
        network = getattr(import_module(module), name)()
    except Exception as error:  # whatever a user's code raises
        msg = (
            f"model={path!r} must be package.module{OWN_MODEL}name of a class or function that "
            f"returns a torch.nn.Module when called without arguments; got {error!r}."
        )
        raise ValueError(msg) from error
    if not isinstance(network, nn.Module):
        msg = f"model={path!r} must return a torch.nn.Module, got {type(network).__name__}."
        raise ValueError(msg)
    x = torch.randn(TRIED, *shape)
    expected = f"logits {(TRIED, n_classes)} for samples {tuple(x.shape)}"
    with torch.no_grad():
        _try(path, network.eval(), x, expected, n_classes)
    # A copy, since training mode moves running averages.
    logits = _try(path, copy.deepcopy(network).train(), x, expected, n_classes)
    if not logits.requires_grad:
        msg = f"model={path!r} has no parameter that can be trained."
        raise ValueError(msg)
    return network.train()


def _try(path: str, network: nn.Module, x: Tensor, expected: str, n_classes: int) -> Tensor:
    """Return the network's logits, or raise a ValueError that says what it did instead."""
    given = x.clone()
    try:
        logits = network(given)
    except Exception as error:  # whatever a user's code raises
        msg = f"model={path!r} must return {expected}, got {error!r}."
        raise ValueError(msg) from error
    if not isinstance(logits, Tensor) or logits.shape != (TRIED, n_classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        msg = f"model={path!r} must return {expected}, got {found}."
        raise ValueError(msg)
    if not torch.equal(given, x):
        msg = f"model={path!r} must leave its input as it is, but writes to it."
        raise ValueError(msg)
    return logits


def is_own(run: Run) -> bool:
    """Return whether a run is made of a user's data or network."""
    return run.dataset.endswith(OWN_DATA) or OWN_MODEL in run.model


def origin(run: Run, data: Data) -> dict[str, str]:
    """Return digests of what a run is made of and its key knows by name alone; empty for our own.

    Of a data file its arrays, of a network the source of the module that it comes from, of a
    language model its weights. Results and checkpoints hold them.
    """
    found = {}
    if run.dataset.endswith(OWN_DATA):
        layout = f"{data.x_train.dtype} {data.x_train.shape} {data.x_test.shape} {data.sha256}"
        found["dataset"] = hashlib.sha256(layout.encode()).hexdigest()
    if OWN_MODEL in run.model:
        module = import_module(run.model.partition(OWN_MODEL)[0])
        try:
            source = inspect.getsource(sys.modules[module.__name__])
        except (OSError, TypeError):
            source = ""  # compiled; nothing to compare
        found["model"] = hashlib.sha256(source.encode()).hexdigest()
    if run.model == LANGUAGE_MODEL:
        found["model"] = language.digest()
    return found


def refuse_other(run: Run, data: Data, stored: dict[str, Any], where: str) -> None:
    """Raise a ValueError if a result or checkpoint was made of something else than there is now."""
    present = origin(run, data)
    for name in present:
        if stored.get(name) != present[name]:
            msg = (
                f"{where} was made with another {name}={getattr(run, name)!r} than there is now; "
                "delete it to run again, or use another --results."
            )
            raise ValueError(msg)
