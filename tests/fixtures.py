"""A stand-in for MNIST: the official shapes and label counts, images that show their label."""

import numpy as np

from experiments.data import MNIST_TEST_COUNTS, MNIST_TRAIN_COUNTS


def stand_in_mnist():
    """Return the four arrays; the image of digit d has its rows 2d and 2d + 1 inked."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, counts in (("train", MNIST_TRAIN_COUNTS), ("test", MNIST_TEST_COUNTS)):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), counts))
        images = np.zeros((10, 28, 28), dtype=np.uint8)
        for digit in range(10):
            images[digit, 2 * digit : 2 * digit + 2] = 255
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images[labels], labels
    return arrays
