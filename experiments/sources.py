"""Where data files are looked for: the folder RRM_DATA, then OpenML through scikit-learn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.arrays import read


def in_folder(file: str) -> Path | None:
    """Return the file's path in the folder that RRM_DATA names, or None if it is not there."""
    folder = os.environ.get("RRM_DATA")
    path = Path(folder, file) if folder else None
    return path if path is not None and path.is_file() else None


def looked_for(file: str) -> str:
    """Return where `in_folder` looked for a file that it did not find, for an error."""
    folder = os.environ.get("RRM_DATA")
    return f"no file {Path(folder, file)}" if folder else "RRM_DATA is not set"


def images(
    title: str, file: str, openml_name: str, planes: tuple[int, ...], n_train: int
) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return where images were found, and the four arrays.

    Parameters
    ----------
    title
        Name of the data set, for the error.
    file
        Name of the npz file in RRM_DATA.
    openml_name
        Name of OpenML's version 1, whose rows are flattened images of shape ``planes``; three
        planes of colour become the last axis.
    n_train
        How many of OpenML's rows, the first, are for training.

    Raises
    ------
    ValueError
        If the file is damaged or lacks an array.
    FileNotFoundError
        If there is neither the file nor OpenML; the error names both.

    """
    path = in_folder(file)
    if path is not None:
        return str(path), read(path)
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(
            openml_name, version=1, as_frame=False, parser="liac-arff", n_retries=0
        )
    except (OSError, ValueError) as error:
        msg = (
            f"{title} not found: {looked_for(file)}, and scikit-learn's fetch_openml failed "
            f"({error}). Set RRM_DATA to a folder with {file} (x_train, y_train, x_test, y_test), "
            "or connect to the internet once."
        )
        raise FileNotFoundError(msg) from error
    x = bunch.data.reshape(-1, *planes).astype(np.uint8)
    if len(planes) == 3:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    y = bunch.target.astype(np.int64)
    arrays = {
        "x_train": x[:n_train],
        "y_train": y[:n_train],
        "x_test": x[n_train:],
        "y_test": y[n_train:],
    }
    return f"OpenML ({openml_name}, version 1)", arrays
