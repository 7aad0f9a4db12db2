"""Data sets: embedded ones, from RRM_DATA or OpenML, one's own; errors that say what is wrong."""

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError
from zipfile import ZipFile

import numpy as np
import pytest
import sklearn.datasets
import torch
from fixtures import colour_arrays

from experiments import cifar
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
    with pytest.raises(ValueError, match=r"mnist.npz is no npz file of numbers, or damaged"):
        mnist()


# CIFAR-10 and CIFAR-10N, on a stand-in of 20 + 10 images whose digests are put in place.


def stand_in_cifar():
    """Return four arrays: two images a class for training, one for test."""
    rng = np.random.default_rng(0)
    y = {"train": rng.permutation(np.repeat(np.arange(10), 2)), "test": rng.permutation(10)}
    return {
        **{
            f"x_{k}": rng.integers(256, size=(len(v), 32, 32, 3)).astype(np.uint8)
            for k, v in y.items()
        },
        **{f"y_{k}": v.astype(np.uint8) for k, v in y.items()},
    }


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """The stand-in as cifar10.npz in RRM_DATA, and the arrays."""
    arrays = stand_in_cifar()
    np.savez(tmp_path / "cifar10.npz", **arrays)
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    monkeypatch.setattr(cifar, "N_TRAIN", 20)
    monkeypatch.setattr(cifar, "N_TEST", 10)
    digests = {name: sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(cifar, "DIGESTS", digests)
    cifar.cifar10.cache_clear()
    yield arrays
    cifar.cifar10.cache_clear()


@pytest.mark.skipif(not REAL.with_name("cifar10.npz").is_file(), reason="no CIFAR-10 in RRM_DATA")
def test_the_real_cifar10_has_its_known_pixels():
    """Mean of the training channels: 0.49140, 0.48216, 0.44653; and human labels fit its order."""
    data = DATASETS["cifar10"]()
    means = data.x_train.mean(axis=(0, 1, 2), dtype=float) / 255
    assert means == pytest.approx((0.49140, 0.48216, 0.44653), abs=5e-6)
    worse = DATASETS["cifar10n_worse"]()
    assert (worse.y_given != worse.y_train).mean() == pytest.approx(0.4021, abs=5e-5)


def test_cifar10_is_fetched_from_openml_otherwise(small_cifar, monkeypatch):
    """Rows of three planes of colour become images whose last axis is colour."""
    x = np.concatenate((small_cifar["x_train"], small_cifar["x_test"]))
    rows = x.transpose(0, 3, 1, 2).reshape(30, 3072)
    y = np.concatenate((small_cifar["y_train"], small_cifar["y_test"])).astype(str)
    fetch = lambda name, **_: SimpleNamespace(data=rows, target=y) if name == "CIFAR_10" else None  # noqa: E731
    monkeypatch.delenv("RRM_DATA")
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = DATASETS["cifar10"]()
    assert (data.x_train == small_cifar["x_train"]).all()
    assert (data.y_test == small_cifar["y_test"]).all()


def test_another_order_of_cifar10_is_refused(small_cifar, tmp_path):
    """With the same counts; and other counts. CIFAR-10N's labels would be other images'."""
    other = small_cifar | {"x_train": small_cifar["x_train"][::-1]}
    np.savez(tmp_path / "cifar10.npz", **other)
    with pytest.raises(ValueError, match=r"x_train from .* is not CIFAR-10's in the order"):
        DATASETS["cifar10"]()
    other = small_cifar | {"y_train": np.zeros(20, np.uint8)}
    np.savez(tmp_path / "cifar10.npz", **other)
    with pytest.raises(ValueError, match=r"y_train from .* is not CIFAR-10's: counts by .*\[20, 0"):
        DATASETS["cifar10"]()


@pytest.mark.parametrize("file", cifar.HUMAN_FILES)
def test_human_labels_are_read_from_either_file(file, small_cifar, tmp_path):
    """Our npz, or the authors' torch file of int64 arrays under their names."""
    clean = small_cifar["y_train"].astype(np.int64)
    labels = {
        "clean": clean,
        "aggre": clean,
        "random1": (clean + 1) % 10,
        "worse": (clean + 2) % 10,
    }
    if file.endswith(".npz"):
        np.savez(tmp_path / file, **{name: y.astype(np.uint8) for name, y in labels.items()})
    else:
        torch.save({cifar.HUMAN[name]: y for name, y in labels.items()}, tmp_path / file)
    data = DATASETS["cifar10n_worse"]()
    assert (data.y_given == labels["worse"]).all()
    assert (data.y_train == clean).all()
    digests = {DATASETS[name]().sha256 for name in ("cifar10", "cifar10n_aggre", "cifar10n_worse")}
    assert len(digests) == 3


def test_human_labels_of_other_images_are_refused(small_cifar, tmp_path):
    """Their clean labels must be CIFAR-10's."""
    clean = small_cifar["y_train"].copy()
    clean[:3] = (clean[:3] + 1) % 10
    np.savez(tmp_path / "cifar10n.npz", **dict.fromkeys(cifar.HUMAN, clean))
    with pytest.raises(ValueError, match=r"not CIFAR-10's \(3 labels differ\)"):
        DATASETS["cifar10n_worse"]()
    np.savez(tmp_path / "cifar10n.npz", **dict.fromkeys(cifar.HUMAN, clean[:5]))
    with pytest.raises(ValueError, match=r"not CIFAR-10's \(shape \(5,\)\)"):
        DATASETS["cifar10n_worse"]()


class Malicious:
    """What a pickle can do when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_torch_file_runs_nothing(small_cifar, tmp_path):  # noqa: ARG001
    """A pickle that would make a folder is refused, and the folder is not made."""
    torch.save({"clean_label": Malicious(tmp_path / "made")}, tmp_path / "CIFAR-10_human.pt")
    with pytest.raises(ValueError, match=r"CIFAR-10_human.pt is not a file of arrays"):
        DATASETS["cifar10n_worse"]()
    assert not (tmp_path / "made").exists()
    torch.save({"clean_label": np.zeros(3, dtype=np.int64)}, tmp_path / "CIFAR-10_human.pt")
    with pytest.raises(ValueError, match=r"must hold the array aggre_label, got clean_label"):
        DATASETS["cifar10n_worse"]()
    torch.save([1], tmp_path / "CIFAR-10_human.pt")
    with pytest.raises(ValueError, match=r"must hold a dictionary, got list"):
        DATASETS["cifar10n_worse"]()


def test_without_human_labels_the_error_names_both_files(small_cifar):  # noqa: ARG001
    """And where the authors' one is."""
    with pytest.raises(FileNotFoundError, match=r"cifar10n.npz or CIFAR-10_human.pt"):
        DATASETS["cifar10n_aggre"]()


# A user's own file.


def test_one_s_own_file_says_what_is_wrong_already(tmp_path):
    """y_clean are the right labels, y_train what is trained on; without it y_train is right."""
    arrays = colour_arrays()
    np.savez(tmp_path / "own.npz", **arrays)
    data = load(str(tmp_path / "own.npz"))
    assert (data.y_train == arrays["y_clean"]).all()
    assert (data.y_given == arrays["y_train"]).all()
    assert (data.n_classes, data.shape, data.ink) == (3, (8, 8, 3), (0.0, 255.0))
    del arrays["y_clean"]
    np.savez(tmp_path / "believed.npz", **arrays)
    believed = load(str(tmp_path / "believed.npz"))
    assert (believed.y_train == arrays["y_train"]).all()
    assert believed.y_given is None


def test_one_s_own_floats_are_taken_as_they_are(tmp_path):
    """Tables of numbers as well; the range is that of the training samples."""
    x = np.linspace(-2, 3, 24).reshape(8, 3)
    y = np.arange(8) % 2
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    data = load(str(tmp_path / "own.npz"))
    assert (data.shape, data.ink, data.n_classes) == ((3,), (-2.0, 3.0), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.zeros((120, 1), int)}, r"y_train must be one-dimensional .* \(120, 1\)"),
        ({"y_train": np.zeros(120)}, r"y_train must be one-dimensional integers .* float64"),
        ({"y_test": np.full(40, -1)}, r"y_test must be .* from 0, got int64 \(40,\) from -1"),
        ({"y_clean": np.zeros(7, int)}, r"y_clean must have the length of y_train, 120; got 7"),
        ({"y_train": np.arange(9) % 3, "y_clean": np.arange(9) % 3}, r"y_train must be .*\(120,\)"),
        ({"x_train": np.zeros((120, 2), int)}, r"x_train must be uint8 or floats .* int64"),
        ({"x_train": np.zeros((0, 2), np.uint8)}, r"x_train must be uint8 or floats .*\(0, 2\)"),
        ({"x_test": np.zeros((40, 8, 8), np.uint8)}, r"x_test must hold samples of \(8, 8, 3\)"),
        ({"x_test": np.full((40, 8, 8, 3), np.nan)}, r"x_test must be finite, got nan in sample 0"),
        ({"x_test": None}, r"must hold the array x_test"),
        ({"y_test": np.full(40, 7)}, r"y_test must have classes of y_train, 0..2; got 7"),
        (
            {"y_clean": np.full(120, 4)},
            r"y_train must have the classes 0..K - 1.* got \[0, 1, 2, 4\]",
        ),
        ({"y_train": np.zeros(120, int), "y_clean": None}, r"y_train .* K at least 2.* got \[0\]"),
        ({"y_train": np.full(120, 10**12)}, r"y_train must be .* from 1000000000000 to"),
        (
            {"y_test": np.full(40, 2**64 - 1, np.uint64)},
            r"y_test must be .* uint64 \(40,\) from 1844",
        ),
        ({"y_test": np.array(["a"] * 40)}, r"y_test must be one-dimensional integers .* <U1"),
        ({"y_test": np.array([None] * 40)}, r"no npz file of numbers, or damaged \(array y_test\)"),
    ],
)
def test_a_file_of_one_s_own_that_does_not_fit_is_refused(change, message, tmp_path):
    """The error names the file and the array."""
    arrays = {k: v for k, v in (colour_arrays() | change).items() if v is not None}
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=f"own.npz.*{message}"):
        load(str(tmp_path / "own.npz"))


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    """A single array under that name, and a zip of something else."""
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"one.npz is no npz file of numbers, or damaged: "):
        load(str(tmp_path / "one.npz"))
    with ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr("x_train", "hello")
    with pytest.raises(ValueError, match=r"text.npz must hold the array y_train"):
        load(str(tmp_path / "text.npz"))


def test_a_file_that_is_not_there_is_an_error():
    """By its name."""
    with pytest.raises(FileNotFoundError, match=r"there is no data file nowhere.npz"):
        load("nowhere.npz")
