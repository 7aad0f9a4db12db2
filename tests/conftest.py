"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE: dev (default), ci, deep, mutation."""

import os

# Two files of tests run at a time, and more threads only slow them down. To be set before numpy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from fixtures import stand_in_mnist
from hypothesis import Phase, settings

if not torch.cuda.is_available():
    # To be set before Triton is imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=5000)
# For mutants: a failure counts as soon as it is found, and need not be small.
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=60,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory):
    """A folder for RRM_DATA that holds the stand-in for MNIST."""
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "mnist.npz", **stand_in_mnist())
    return folder
