"""Data sets: embedded digits, MNIST from RRM_DATA or OpenML, errors that say where to look."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets

from experiments.arrays import ARRAYS, Data
from experiments.data import DATASETS, load

# Without its cache, so that a test's environment is the one that counts.
mnist = DATASETS["mnist"]
REAL = Path(os.environ.get("RRM_DATA", "nowhere"), "mnist.npz")


def test_digits_are_split_in_1200_and_597():
    """All 1,797 of scikit-learn's digits, each once, pixels 0..16."""
    digits = load("digits")
    assert digits.x_train.shape == (1200, 8, 8)
    assert digits.x_test.shape == (597, 8, 8)
    assert digits.x_train.max() == digits.ink[1] == 16
    ours = np.concatenate((digits.x_train, digits.x_test)).reshape(1797, -1)
    theirs = sklearn.datasets.load_digits().data
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.astype(int).tolist()))
    assert set(digits.y_test) == set(range(10))


def test_mnist_comes_from_the_folder_that_rrm_data_names(mnist_folder, monkeypatch):
    """mnist.npz with four arrays; mnist3 is its digits 0, 1, 2: 18,623 and 3,147."""
    monkeypatch.setenv("RRM_DATA", str(mnist_folder))
    load.cache_clear()
    three = load("mnist3")
    load.cache_clear()
    assert (len(three.y_train), len(three.y_test), three.n_classes) == (18_623, 3_147, 3)
    assert (three.x_train[three.y_train == 2][:, 4] == 255).all()


@pytest.mark.skipif(not REAL.is_file(), reason="no real MNIST in RRM_DATA")
def test_the_real_mnist_has_its_known_pixels():
    """Mean and standard deviation of the training pixels: 0.13066 and 0.30811."""
    x = mnist().x_train / np.float32(255)
    assert float(x.mean(dtype=float)) == pytest.approx(0.13066, abs=5e-6)
    assert float(x.std(dtype=float)) == pytest.approx(0.30811, abs=5e-6)


def test_mnist_is_fetched_from_openml_otherwise(mnist_folder, monkeypatch):
    """The first 60,000 of OpenML's order are the training set; labels arrive as text."""
    with np.load(mnist_folder / "mnist.npz") as file:
        arrays = dict(file)
    x = np.concatenate((arrays["x_train"], arrays["x_test"])).reshape(70_000, 784)
    y = np.concatenate((arrays["y_train"], arrays["y_test"])).astype(str)
    asked = []

    def fetch(name, **options):
        asked.append((name, options["version"]))
        return SimpleNamespace(data=x, target=y)

    monkeypatch.delenv("RRM_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    fetched = mnist()
    assert asked == [("mnist_784", 1)]
    assert (fetched.y_test == arrays["y_test"]).all()
    assert (fetched.x_train == arrays["x_train"]).all()


@pytest.mark.parametrize("folder", [None, "empty"])
def test_without_any_source_the_error_names_both(folder, tmp_path, monkeypatch):
    """RRM_DATA (and the file it lacks) and fetch_openml (and its reason)."""
    failure = URLError("no route")

    def fetch(*_, **__):
        raise failure

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    if folder is None:
        monkeypatch.delenv("RRM_DATA", raising=False)
        place = "RRM_DATA is not set"
    else:
        monkeypatch.setenv("RRM_DATA", str(tmp_path))
        place = f"no file {tmp_path / 'mnist.npz'}"
    with pytest.raises(FileNotFoundError, match=r"fetch_openml failed .*no route") as caught:
        mnist()
    assert place in str(caught.value)


def test_a_file_without_an_array_is_refused(tmp_path, monkeypatch):
    """The error names the file and the array it lacks."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros(1), x_test=np.zeros(1), y_test=np.zeros(1))
    with pytest.raises(ValueError, match=r"mnist.npz must hold the array y_train, got x_train"):
        mnist()


def test_other_digits_than_mnist_s_are_refused(tmp_path, monkeypatch):
    """Class counts are checked, so a shuffled or cut file does not pass for MNIST."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    x, y = np.zeros((10, 28, 28), np.uint8), np.arange(10, dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match=r"y_train from .* is not MNIST's: digit counts \(1, 1,"):
        mnist()


def test_an_unknown_data_set_lists_the_known_ones():
    """The error is the way to find out what there is."""
    with pytest.raises(ValueError, match="unknown data set 'svhn'; known: digits, mnist3, mnist"):
        load("svhn")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x_train": np.zeros((4, 2), int)},
            r"x_train must be uint8 or floats .*, got int64 \(4, 2",
        ),
        ({"x_test": np.zeros(2, np.uint8)}, r"x_test must be uint8 .*, got uint8 \(2,\)"),
        ({"x_train": np.full((4, 2, 2), np.inf)}, r"x_train must be finite, got inf in sample 0"),
        ({"x_test": np.zeros((2, 2, 2))}, r"x_test must be uint8 like x_train, got float64"),
        (
            {"y_given": np.zeros(3, int)},
            r"y_given must be integers of shape \(4,\), got int64 \(3,",
        ),
        ({"y_train": np.zeros(3, int)}, r"y_train must be integers of shape \(4,\), got int64"),
        ({"y_test": np.array([0, 5])}, r"y_test must lie in 0..1, got 0..5"),
        (
            {"x_test": np.zeros((2, 3, 2), np.uint8)},
            r"x_test must hold samples of \(2, 2\) like x_train, got",
        ),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change, message):
    """The error names the array."""
    good = {
        "x_train": np.zeros((4, 2, 2), np.uint8),
        "y_train": np.zeros(4, int),
        "x_test": np.zeros((2, 2, 2), np.uint8),
        "y_test": np.zeros(2, int),
    }
    with pytest.raises(ValueError, match=message):
        Data(name="x", n_classes=2, ink=(0, 255), **(good | change))


@pytest.mark.parametrize("name", ARRAYS)
def test_the_digest_sees_every_array(name):
    """Two data sets with one digest are the same arrays."""
    digits = load("digits")
    assert replace(digits, **{name: getattr(digits, name)[::-1]}).sha256 != digits.sha256


def test_a_damaged_file_is_refused_by_its_name(tmp_path, monkeypatch):
    """Cut in half, it is an error that says which file."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.zeros(1000))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"mnist.npz is no npz file, or damaged"):
        mnist()
