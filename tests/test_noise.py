"""ICLR paper, Section 4.2, Table 9: floor(C N) wrong labels; RMNW-Net paper, Section 2."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.noise import (
    TABLE_9,
    Stream,
    by_kernel,
    class_map,
    generator,
    resampled,
    symmetric,
    torch_seed,
)


@given(
    st.integers(2, 5).flatmap(
        lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1), max_size=30).map(np.array))
    ),
    st.integers(0, 99),
    st.integers(0, 10),
)
def test_exactly_floor_of_c_n_labels_change(problem, percent, seed):
    """floor(C N) labels differ, each is another class, and the input is not touched."""
    k, labels = problem
    labels = labels.astype(np.int64)
    before = labels.copy()
    rng = np.random.default_rng(seed)
    noisy = symmetric(labels, noise_rate=percent / 100, n_classes=k, rng=rng)
    assert int((noisy != labels).sum()) == percent * len(labels) // 100
    assert ((noisy >= 0) & (noisy < k)).all()
    assert (labels == before).all()


def test_the_float_trap():
    """int(0.29 * 100) is 28; the decimal says 29."""
    labels = np.zeros(100, dtype=np.int64)
    noisy = symmetric(labels, noise_rate=0.29, n_classes=2, rng=np.random.default_rng(0))
    assert noisy.sum() == 29


def test_the_other_classes_are_equally_likely():
    """40,000 flips of class 1 among 4: each other class gets a third, within five sigma."""
    labels = np.ones(80_000, dtype=np.int64)
    noisy = symmetric(labels, noise_rate=0.5, n_classes=4, rng=np.random.default_rng(0))
    counts = np.bincount(noisy, minlength=4)
    sigma = (40_000 * (1 / 3) * (2 / 3)) ** 0.5
    assert counts[1] == 40_000
    assert np.abs(counts[[0, 2, 3]] - 40_000 / 3).max() < 5 * sigma


def test_streams_differ_and_seeds_repeat():
    """One stream of one seed is always the same numbers; another stream or seed is not."""
    draws = {
        (seed, stream): tuple(generator(seed, stream).integers(0, 2**60, 4))
        for seed in range(3)
        for stream in Stream
    }
    assert len(set(draws.values())) == 3 * len(Stream)
    assert draws[1, Stream.BATCHES] == tuple(generator(1, Stream.BATCHES).integers(0, 2**60, 4))
    assert torch_seed(0, Stream.BATCHES) != torch_seed(0, Stream.INITIALISATION)


def test_bad_input_is_refused():
    """Labels outside the classes, one class, or a rate of 1 are errors that show the value."""
    rng, labels = np.random.default_rng(0), np.array([0, 3])
    with pytest.raises(ValueError, match=r"labels must lie in 0..1, got 0..3"):
        symmetric(labels, noise_rate=0.1, n_classes=2, rng=rng)
    with pytest.raises(ValueError, match="n_classes must be at least 2, got 1"):
        symmetric(labels, noise_rate=0.1, n_classes=1, rng=rng)
    with pytest.raises(ValueError, match=r"noise_rate must lie in \[0, 1\), got 1.0"):
        symmetric(labels, noise_rate=1.0, n_classes=4, rng=rng)


KERNEL = np.array([[0, 1, 3], [2, 0, 0], [1, 1, 0]])


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 99), st.integers(0, 10))
def test_the_kernel_moves_exactly_floor_of_c_n_labels_where_it_allows(labels, percent, seed):
    """floor(C N) labels differ, and none goes where its kernel is zero."""
    labels = np.array(labels, dtype=np.int64)
    rng = np.random.default_rng(seed)
    noisy = by_kernel(labels, noise_rate=percent / 100, kernel=KERNEL, rng=rng)
    moved = noisy != labels
    assert int(moved.sum()) == percent * len(labels) // 100
    assert (KERNEL[labels[moved], noisy[moved]] > 0).all()


def test_the_kernel_gives_its_shares():
    """40,000 flips of class 0: a quarter to 1 and three quarters to 2, within five sigma."""
    labels = np.zeros(80_000, dtype=np.int64)
    noisy = by_kernel(labels, noise_rate=0.5, kernel=KERNEL, rng=np.random.default_rng(0))
    counts = np.bincount(noisy, minlength=3)
    assert counts[0] == 40_000
    assert abs(counts[1] - 10_000) < 5 * (40_000 * 0.25 * 0.75) ** 0.5


def test_table_9_is_a_kernel_up_to_its_rounding():
    """Ten rows that sum to 1 within 3e-4, zeros on the diagonal; 5 becomes 3 most often."""
    assert TABLE_9.shape == (10, 10)
    assert np.abs(TABLE_9.sum(axis=1) - 10_000).max() <= 3
    assert not TABLE_9.diagonal().any()
    assert TABLE_9[5].argmax() == 3
    assert TABLE_9[5, 3] == 6271
    # Sums of the printed columns: no entry has changed its place within a row.
    columns = [7149, 8027, 9752, 19_779, 3853, 8052, 10_599, 5477, 21_247, 6058]
    assert TABLE_9.sum(axis=0).tolist() == columns


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.ones((2, 3)), r"kernel must be a square matrix, got shape \(2, 3\)"),
        (np.array([[0, -1], [1, 0]]), "kernel must be non-negative and finite"),
        (np.array([[0, 0], [1, 0]]), "a positive entry in every row"),
        (np.array([[0, np.nan], [1, 0]]), "kernel must be non-negative and finite"),
        (np.array([[1, 1], [1, 0]]), r"zeros on its diagonal, got \[1.0, 0.0\]"),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, message):
    """The error says why."""
    with pytest.raises(ValueError, match=message):
        by_kernel(np.zeros(4, int), noise_rate=0.5, kernel=kernel, rng=np.random.default_rng(0))


def test_a_draw_of_zero_does_not_go_where_the_kernel_is_zero():
    """The first class with weight is taken, not the first class."""

    class Zeros:
        def choice(self, n, *, size, replace):
            del replace
            return np.arange(n)[:size]

        def random(self, size):
            return np.zeros(size)

    noisy = by_kernel(np.zeros(4, int), noise_rate=0.5, kernel=KERNEL, rng=Zeros())
    assert noisy.tolist() == [1, 1, 0, 0]


def test_uniform_noise_may_keep_a_label():
    """40,000 of 80,000 are drawn anew from four classes: a label survives with 1 - C + C / K."""
    labels = np.ones(80_000, dtype=np.int64)
    noisy = resampled(labels, noise_rate=0.5, n_classes=4, rng=np.random.default_rng(0))
    counts = np.bincount(noisy, minlength=4)
    slack = 5 * (40_000 * 0.25 * 0.75) ** 0.5
    assert np.abs(counts - [10_000, 50_000, 10_000, 10_000]).max() < slack
    assert counts[1] != 50_000


@given(st.integers(0, 40), st.integers(0, 99), st.integers(0, 10))
def test_uniform_noise_touches_floor_of_c_n_labels(n, percent, seed):
    """No more labels differ, and all labels are classes."""
    labels = np.arange(n) % 3
    rng = np.random.default_rng(seed)
    noisy = resampled(labels, noise_rate=percent / 100, n_classes=3, rng=rng)
    assert int((noisy != labels).sum()) <= percent * n // 100
    assert ((noisy >= 0) & (noisy < 3)).all()


@given(st.integers(2, 6), st.data(), st.integers(0, 10))
def test_a_class_moves_to_so_many_others(k, data, seed):
    """Ones and zeros, as many ones a row as asked for, none on the diagonal."""
    targets = data.draw(st.integers(1, k - 1))
    kernel = class_map(k, targets, np.random.default_rng(seed))
    assert set(np.unique(kernel)) <= {0, 1}
    assert kernel.sum(axis=1).tolist() == [targets] * k
    assert not kernel.diagonal().any()


def test_targets_are_equally_likely():
    """Class 0 of four, 3,000 maps: each other class a third, within five sigma."""
    rng = np.random.default_rng(0)
    counts = sum(class_map(4, 1, rng)[0] for _ in range(3000))
    assert np.abs(counts[1:] - 1000).max() < 5 * (3000 * (1 / 3) * (2 / 3)) ** 0.5


@pytest.mark.parametrize("targets", [0, 3])
def test_impossible_maps_are_refused(targets):
    """A class cannot move to none or to itself."""
    with pytest.raises(ValueError, match=rf"targets must lie in 1..2, got {targets}"):
        class_map(3, targets, np.random.default_rng(0))


def test_one_class_cannot_be_drawn_from():
    """As for symmetric noise."""
    with pytest.raises(ValueError, match=r"n_classes must be at least 2, got 1"):
        resampled(np.zeros(3, int), noise_rate=0.1, n_classes=1, rng=np.random.default_rng(0))
