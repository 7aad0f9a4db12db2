"""ICLR paper, Section 4.2 and Appendix C: symmetric noise of exactly floor(C N) labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.noise import Stream, generator, symmetric, torch_seed


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
