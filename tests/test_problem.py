"""A run's samples: who is contaminated, who is held out, and who selects the epoch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.data import load
from experiments.noise import TABLE_9
from experiments.problem import problem
from experiments.spec import Run

RUN = Run(dataset="digits", model="mlp", loss="cce", noise_rate=0.4, seed=0)
DIGITS = load("digits")


def test_exactly_the_noise_rate_of_the_training_labels_is_wrong():
    """480 of 1,200, and `contaminated` says which."""
    p = problem(RUN, DIGITS)
    wrong = p.labels.numpy() != DIGITS.y_train
    assert wrong.sum() == 480
    assert (p.contaminated == wrong).all()


def test_methods_with_one_seed_see_the_same_wrong_labels():
    """The noise depends on data, rate and seed; not on the loss or the re-weighting."""
    first = problem(RUN, DIGITS)
    other = problem(replace(RUN, loss="mae", penalty=1.0, learning_rate=1.0), DIGITS)
    assert torch.equal(first.labels, other.labels)
    assert not torch.equal(first.labels, problem(replace(RUN, seed=1), DIGITS).labels)


def test_without_held_out_samples_each_half_of_the_test_set_selects_for_the_other():
    """No training sample is given up, and no label selects its own score."""
    p = problem(RUN, DIGITS)
    a, b = p.folds
    assert len(p.labels) == 1200
    assert torch.equal(a.validation, b.test)
    assert torch.equal(a.test, b.validation)
    assert sorted([*a.test.tolist(), *b.test.tolist()]) == list(range(597))
    for fold in p.folds:
        clean = torch.from_numpy(DIGITS.y_test)[fold.validation]
        wrong = int((fold.validation_labels != clean).sum())
        assert wrong == len(fold.validation) * 4 // 10
        assert torch.equal(fold.test_labels, torch.from_numpy(DIGITS.y_test)[fold.test])


def test_held_out_samples_are_the_last_and_contaminated_alike():
    """20 % of 1,200: the first 960 train, the others validate with wrong labels."""
    p = problem(replace(RUN, validation=0.2), DIGITS)
    (fold,) = p.folds
    assert len(p.labels) == 960
    assert p.contaminated.sum() == 384
    assert torch.equal(fold.test, torch.arange(597))
    assert torch.equal(fold.validation, torch.arange(597, 837))
    assert int((fold.validation_labels.numpy() != DIGITS.y_train[960:]).sum()) == 96
    together = problem(RUN, DIGITS).x
    # Same pixels, other mean and scale: one is an affine map of the other.
    slope = (p.x_eval[597:] - p.x_eval[597:].mean()) / p.x_eval[597:].std()
    expected = (together[960:] - together[960:].mean()) / together[960:].std()
    assert torch.allclose(slope, expected, atol=1e-5, rtol=0)


def test_scalar_normalisation_is_by_the_training_pixels():
    """Mean 0 and deviation 1 over all training pixels, by two scalars."""
    x = problem(RUN, DIGITS).x.double()
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-6)
    pixels = DIGITS.x_train.astype(float)
    assert np.allclose(x, (pixels - pixels.mean()) / pixels.std(), atol=1e-6, rtol=0)


def test_held_out_images_do_not_normalise():
    """The mean is that of the samples that train."""
    x = problem(replace(RUN, validation=0.5), DIGITS).x.double()
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)


def test_validation_noise_has_its_own_stream():
    """Were it the training stream, equal labels would be contaminated alike."""
    run = replace(RUN, validation=0.5)
    samples = problem(run, replace(DIGITS, y_train=np.zeros_like(DIGITS.y_train)))
    assert not torch.equal(samples.labels, samples.folds[0].validation_labels)


def test_noise_is_the_same_on_every_machine():
    """The first wrong labels of seed 0: the streams are part of the results."""
    p = problem(RUN, DIGITS)
    assert np.flatnonzero(p.contaminated)[:8].tolist() == [2, 4, 6, 7, 8, 10, 12, 13]
    assert p.labels[p.contaminated][:8].tolist() == [9, 4, 5, 1, 1, 0, 2, 5]


def test_unit_normalisation_is_ink_in_0_1():
    """Pixels over the largest one."""
    x = problem(replace(RUN, normalisation="unit"), DIGITS).x
    assert torch.equal(x, torch.from_numpy(DIGITS.x_train / np.float32(16)))


def test_train_samples_takes_the_first():
    """A smaller run sees a prefix."""
    assert len(problem(replace(RUN, train_samples=100), DIGITS).labels) == 100


def test_samples_that_are_not_there_are_refused():
    """Too many for training, too few to hold out."""
    with pytest.raises(ValueError, match="train_samples must be at most 1200, got 1201"):
        problem(replace(RUN, train_samples=1201), DIGITS)
    with pytest.raises(ValueError, match=r"validation must hold out a sample of 1200.*got 0.0001"):
        problem(replace(RUN, validation=0.0001), DIGITS)


def test_ink_is_where_no_and_full_ink_are_after_normalisation():
    """0 and 16 of the digits, mapped like every pixel."""
    p = problem(RUN, DIGITS)
    pixels = DIGITS.x_train.astype(float)
    expected = ((0 - pixels.mean()) / pixels.std(), (16 - pixels.mean()) / pixels.std())
    assert p.ink == pytest.approx(expected, rel=1e-12)
    assert problem(replace(RUN, normalisation="unit"), DIGITS).ink == (0.0, 1.0)


def test_test_samples_takes_the_first():
    """Of images and labels, whether samples are held out or not."""
    (fold,) = problem(replace(RUN, test_samples=50, validation=0.2), DIGITS).folds
    assert torch.equal(fold.test_labels, torch.from_numpy(DIGITS.y_test[:50]))
    assert torch.equal(fold.validation, torch.arange(50, 290))
    a, b = problem(replace(RUN, test_samples=50), DIGITS).folds
    assert sorted([*a.test.tolist(), *b.test.tolist()]) == list(range(50))
    with pytest.raises(ValueError, match="test_samples must be at most 597, got 598"):
        problem(replace(RUN, test_samples=598), DIGITS)


def test_true_labels_of_the_validation_samples_are_kept():
    """Beside the noisy ones."""
    (fold,) = problem(replace(RUN, validation=0.2), DIGITS).folds
    assert torch.equal(fold.clean_labels, torch.from_numpy(DIGITS.y_train[960:]))


def test_noise_by_table_9_keeps_to_its_zeros_and_its_number():
    """Exactly C of the labels are wrong, and none goes where the kernel is zero."""
    p = problem(replace(RUN, noise="table9"), DIGITS)
    noisy, clean = p.labels.numpy(), DIGITS.y_train
    assert p.contaminated.sum() == 480
    assert (TABLE_9[clean[p.contaminated], noisy[p.contaminated]] > 0).all()


def test_table_9_is_for_ten_classes():
    """The error names the data."""
    three = replace(DIGITS, n_classes=11)
    with pytest.raises(ValueError, match="noise='table9' is for 10 classes, digits has 11"):
        problem(replace(RUN, noise="table9"), three)


def test_labels_that_are_wrong_already_are_trained_on():
    """And the held-out ones validate; the statistics know which are wrong."""
    given = DIGITS.y_train.copy()
    given[::3] = (given[::3] + 1) % 10
    data = replace(DIGITS, y_given=given)
    p = problem(replace(RUN, noise_rate=0.0, validation=0.1), data)
    (fold,) = p.folds
    assert (p.labels.numpy() == given[:1080]).all()
    assert (p.contaminated == (np.arange(1080) % 3 == 0)).all()
    assert (fold.validation_labels.numpy() == given[1080:]).all()
    assert (fold.clean_labels.numpy() == DIGITS.y_train[1080:]).all()
    with pytest.raises(ValueError, match=r"noise_rate must be 0, labels of digits are wrong .*0.4"):
        problem(RUN, data)


def test_floats_are_normalised_like_pixels():
    """The same samples as floats and as bytes give the same tensors, but for rounding once."""
    floats = replace(DIGITS, x_train=DIGITS.x_train / 1.0, x_test=DIGITS.x_test / 1.0)
    assert torch.equal(problem(RUN, DIGITS).x, problem(RUN, floats).x)


def test_only_images_can_be_augmented():
    """Rows of numbers have no neighbours."""
    flat = replace(
        DIGITS, x_train=DIGITS.x_train.reshape(-1, 64), x_test=DIGITS.x_test.reshape(-1, 64)
    )
    with pytest.raises(ValueError, match=r"augment='crop_and_flip' needs images .* got \(64,\)"):
        problem(replace(RUN, augment="crop_and_flip"), flat)


def test_samples_without_variation_cannot_be_normalised():
    """The error names the array."""
    same = replace(DIGITS, x_train=np.ones_like(DIGITS.x_train))
    with pytest.raises(ValueError, match=r"x_train must hold more than one value .* got 1.0 only"):
        problem(RUN, same)


@pytest.mark.parametrize(("noise", "targets"), [("flip", 1), ("flip2", 2)])
def test_training_and_validation_labels_move_by_one_map(noise, targets):
    """A class moves to the same one or two classes everywhere; another seed has another map."""
    run = replace(RUN, noise=noise, validation=0.3)

    def moves(p):
        (fold,) = p.folds
        pairs = set(zip(DIGITS.y_train[:840].tolist(), p.labels.tolist(), strict=True))
        held = zip(fold.clean_labels.tolist(), fold.validation_labels.tolist(), strict=True)
        return {pair for pair in pairs | set(held) if pair[0] != pair[1]}

    found = moves(problem(run, DIGITS))
    assert len(found) == 10 * targets
    assert {y for y, _ in found} == set(range(10))
    assert moves(problem(replace(run, seed=1), DIGITS)) != found


def test_uniform_noise_is_named_for_what_it_may_keep():
    """480 labels are drawn anew, and some of them are their own again."""
    p = problem(replace(RUN, noise="uniform_or_kept"), DIGITS)
    assert 0 < p.contaminated.sum() < 480
