"""A run is its choices: frozen, hashed, refused before anything is trained."""

from dataclasses import MISSING, FrozenInstanceError, fields, replace

import numpy as np
import pytest

from experiments.spec import Run

RUN = Run(dataset="digits", model="mlp", loss="cce", noise_rate=0.4, seed=0)


def test_a_run_cannot_be_changed():
    """Runs are values."""
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'seed'"):
        RUN.seed = 1


def test_every_choice_changes_the_key():
    """Two runs with one key would overwrite each other's result."""
    other = {
        "dataset": "mnist", "model": "cnn", "loss": "mae", "noise_rate": 0.5, "seed": 1,
        "penalty": 1.0, "gamma_convention": "l1", "contamination": 0.3, "step": 0.5,
        "weighted_term": "total", "learning_rate": 0.2, "batch_size": 7, "iterations": 3,
        "epochs_per_iteration": 3, "reduction": "batch_mean", "normalisation": "unit",
        "initialisation": "torch", "probability_clip": 1e-7, "class_reduction": "mean",
        "gce_q": 0.5, "elr_decay": 0.5, "elr_strength": 1.0, "validation": 0.2,
        "train_samples": 10, "cap": 2.0, "reweight_inputs": "perturbed", "train_eps": 1.0,
        "eps_unit": "normalised", "clamp": True, "test_attack": "alone", "precision": "bfloat16",
        "noise": "table9", "test_samples": 10, "momentum": 0.9, "weight_decay": 1e-4,
        "augment": "crop_and_flip", "method": "mw_net", "meta_every": 2, "meta_samples": 7,
        "warm_up": 3, "confidence_strength": 0.5, "meta_learning_rate": 1e-2,
        "contrastive_strength": 0.025,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(Run)}
    # These are choices only beside another.
    beside = {
        "cap": {"penalty": 2.0},
        "reweight_inputs": {"train_eps": 2.0},
        "method": {"meta_samples": 8},
        "contrastive_strength": {"method": "flywheel"},
    }
    runs = [replace(RUN, **beside.get(name, {}), **{name: other[name]}) for name in other]
    runs += [RUN, *(replace(RUN, **changes) for changes in beside.values())]
    assert len({run.key for run in runs}) == len(runs)


def test_the_key_is_stable():
    """The name of a committed result; a field with a default does not enter while it has it."""
    assert RUN.key == replace(RUN, step=1.0).key == "990f8244d359"


def test_equal_runs_have_one_key():
    """1 and 1.0, and numpy's numbers, are the same choice."""
    one, same = replace(RUN, learning_rate=1), replace(RUN, learning_rate=1.0)
    assert one == same
    assert one.key == same.key == replace(RUN, learning_rate=np.float64(1)).key
    assert replace(RUN, seed=np.int64(3)).key == replace(RUN, seed=3).key


def test_the_defaults_are_these():
    """A changed default would give old results a new meaning; it needs a new field instead."""
    defaults = {field.name: field.default for field in fields(Run)}
    assert {name: value for name, value in defaults.items() if value is not MISSING} == {
        "penalty": None, "gamma_convention": "eq2", "contamination": None, "step": 1.0,
        "reweight_inputs": "clean", "weighted_term": "supervised", "learning_rate": 0.1,
        "batch_size": 100, "iterations": 10, "epochs_per_iteration": 10,
        "reduction": "batch_sum", "normalisation": "scalar", "initialisation": "glorot",
        "probability_clip": 0.0, "class_reduction": "sum", "gce_q": 0.7, "elr_decay": 0.7,
        "elr_strength": 3.0, "validation": 0.0, "train_samples": None, "cap": None,
        "train_eps": 0.0, "eps_unit": "pixel", "clamp": False, "test_attack": "none",
        "precision": "float32", "noise": "symmetric", "test_samples": None,
        "momentum": 0.0, "weight_decay": 0.0, "augment": "none",
        "method": "none", "meta_every": 1, "meta_samples": 0,
        "warm_up": 10, "confidence_strength": 3.0, "meta_learning_rate": 1e-3,
        "contrastive_strength": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"dataset": "svhn"}, r"dataset must be one of .*, or a file \*.npz; got 'svhn'"),
        ({"dataset": 3}, "dataset must be a name, got 3"),
        ({"model": "vgg"}, "model must be one of linear, .*, or package.module:name; got 'vgg'"),
        ({"model": "nets:Net"}, "initialisation must be 'torch' with model='nets:Net'.*'glorot'"),
        ({"method": "mw_net"}, "method='mw_net' needs meta_samples > 0, got 0"),
        ({"meta_samples": -1}, "meta_samples must be finite and at least 0, got -1"),
        ({"contrastive_strength": 0.5}, "needs method='flywheel', got 0.5 with method='none'"),
        ({"meta_every": 0}, "meta_every must be a positive integer, got 0"),
        ({"method": "l2rw"}, "method must be one of none, small_loss, .*, flywheel; got 'l2rw'"),
        (
            {"method": "mw_net", "meta_samples": 8, "loss": "elr"},
            "loss='elr' is a method of its own, got method='mw_net' beside it",
        ),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1.0\), got 1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and at least 0, got -1.0"),
        ({"reweight_inputs": "augmented"}, "reweight_inputs='augmented' needs augment='crop_and"),
        ({"loss": "hinge"}, "loss must be one of cce, .*; got 'hinge'"),
        ({"reduction": "sum"}, "reduction must be one of batch_sum, batch_mean; got 'sum'"),
        ({"noise_rate": 1.0}, r"noise_rate must lie in \[0, 1\), got 1.0"),
        ({"validation": -0.1}, r"validation must lie in \[0, 1\), got -0.1"),
        ({"penalty": 0.0}, "penalty must be positive and finite .*, got 0.0"),
        ({"penalty": 1.0, "contamination": 0.1}, "penalty or contamination, not both: .*0.1"),
        ({"contamination": 1.5}, r"contamination must lie in \[0, 1\), got 1.5"),
        ({"step": 0.0}, r"step must lie in \(0, 1\], got 0.0"),
        ({"learning_rate": -1.0}, "learning_rate must be positive .*, got -1.0"),
        ({"probability_clip": 0.5}, r"probability_clip must lie in \[0, 0.5\), got 0.5"),
        ({"elr_decay": 1.0}, r"elr_decay must lie in \[0, 1.0\), got 1.0"),
        ({"batch_size": 0}, "batch_size must be a positive integer, got 0"),
        ({"iterations": 1.5}, "iterations must be an integer, got 1.5"),
        ({"seed": True}, "seed must be an integer, got True"),
        ({"seed": 2**32}, r"seed must lie in \[0, 2\^32\), got 4294967296"),
        ({"step": "abc"}, "step must be a number, got 'abc'"),
        ({"penalty": "x"}, "penalty must be a number or null, got 'x'"),
        ({"elr_decay": None}, "elr_decay must be a number, got None"),
        ({"contamination": 0.4, "step": 0.5}, "step must be 1 with contamination .*, got 0.5"),
        ({"train_samples": -3}, "train_samples must be a positive integer, got -3"),
        ({"cap": 2.0}, "cap needs penalty or contamination, got cap=2.0 alone"),
        ({"cap": 0.5, "penalty": 1.0}, "cap must be a finite number of at least 1, got 0.5"),
        ({"train_eps": -1.0}, "train_eps must be finite and at least 0, got -1.0"),
        ({"train_eps": float("inf")}, "train_eps must be finite and at least 0, got inf"),
        ({"reweight_inputs": "perturbed"}, "reweight_inputs='perturbed' needs train_eps > 0"),
        ({"clamp": 1}, "clamp must be true or false, got 1"),
        ({"test_samples": 0}, "test_samples must be a positive integer, got 0"),
        ({"noise": "swap"}, "noise must be one of symmetric, table9, .*, flip2; got 'swap'"),
        ({"seed": -1}, r"seed must lie in \[0, 2\^32\), got -1"),
    ],
)
def test_an_untrainable_run_is_refused(choices, message):
    """The error names the field and shows the value."""
    with pytest.raises(ValueError, match=message):
        replace(RUN, **choices)


def test_the_price_is_that_of_eq_2():
    """A penalty theta ||u||_1 is gamma = 2 theta; the run prints what it resolves to."""
    assert replace(RUN, penalty=0.4).gamma == 0.4
    assert replace(RUN, penalty=0.4, gamma_convention="l1").gamma == 0.8
    assert replace(RUN, penalty=0.4, gamma_convention="l1").settings()["gamma"] == 0.8
    assert RUN.gamma is None
    assert not RUN.reweights
    assert replace(RUN, contamination=0.1).reweights
