"""ICLR paper, Algorithms 1, 2, 3: the loop, against a slow twin; kill and resume to the bit."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from experiments import train as training
from experiments.data import load
from experiments.losses import pointwise_loss, regulariser
from experiments.models import build
from experiments.noise import Stream, torch_seed
from experiments.problem import problem
from experiments.spec import Run
from experiments.step import weighted
from experiments.store import Checkpoint
from experiments.train import DivergedError, train, trajectory
from rrm_theory import relax

PLAIN = Run(
    dataset="digits",
    model="mlp",
    loss="cce",
    noise_rate=0.4,
    seed=0,
    iterations=3,
    epochs_per_iteration=2,
    learning_rate=1.0,
    train_samples=330,
)
RRM = replace(PLAIN, penalty=0.5, step=0.5)
SAMPLES = problem(PLAIN, load("digits"))


def displacements(run, log):
    """Return u after every re-weighting, float64, none for plain training."""
    if not run.reweights:
        return []
    weights = trajectory(run, log, SAMPLES).scaled_weights().astype(np.float64)
    return list((weights - 1) / len(SAMPLES.labels))


def twin(run, samples):
    """Return (u after every re-weighting, test answers right) by the algorithms, literally."""
    n = len(samples.labels)
    model = build(run, image=samples.image, n_classes=samples.n_classes)
    order = torch.Generator().manual_seed(torch_seed(run.seed, Stream.BATCHES))
    u, steps, right = np.zeros(n), [], []
    for _ in range(run.iterations):
        for _ in range(run.epochs_per_iteration):
            for batch in torch.randperm(n, generator=order).split(run.batch_size):
                share = n if run.reduction == "batch_sum" else len(batch)
                total = torch.zeros(())
                for i in batch.tolist():
                    loss = F.cross_entropy(model(samples.x[i : i + 1]), samples.labels[i : i + 1])
                    total = total + float(1 + n * u[i]) / share * loss
                gradients = torch.autograd.grad(total, list(model.parameters()))
                with torch.no_grad():
                    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                        parameter -= run.learning_rate * gradient
            with torch.no_grad():
                guess = model(samples.x_eval).argmax(1)
            right.append([int((guess[f.test] == f.test_labels).sum()) for f in samples.folds])
        if run.gamma is not None:
            with torch.no_grad():
                c = F.cross_entropy(model(samples.x), samples.labels, reduction="none")
            u = run.step * relax(c.numpy(), gamma=run.gamma).u + (1 - run.step) * u
            steps.append(u)
    return steps, right


@pytest.mark.parametrize(
    "run", [PLAIN, RRM, replace(RRM, gamma_convention="l1"), replace(RRM, reduction="batch_mean")]
)
def test_the_loop_is_the_algorithms(run):
    """theta steps on the weighted batch sum, then u <- mu u* + (1 - mu) u."""
    run = replace(run, learning_rate=0.01 if run.reduction == "batch_mean" else 1.0)
    log = train(run, SAMPLES)
    steps, right = twin(run, SAMPLES)
    # Sums in another order round differently; two of 597 answers may turn.
    assert np.abs(np.array(log.test_correct) - np.array(right)).max() <= 2
    for ours, theirs in zip(displacements(run, log), steps, strict=True):
        # The stored N p is float32; u is it over N.
        assert np.abs(ours - theirs).max() <= 2.0**-22


def test_a_price_beyond_all_losses_is_plain_training():
    """Weights that stay at 1 change nothing, to the bit."""
    plain, never = train(PLAIN, SAMPLES), train(replace(RRM, penalty=1e6), SAMPLES)
    assert never.test_correct == plain.test_correct
    assert never.validation_correct == plain.validation_correct
    assert not any(u.any() for u in displacements(replace(RRM, penalty=1e6), never))
    assert [entry["outcome"] for entry in never.reweightings] == ["NOTHING_PRUNED"] * 3


def test_contamination_prunes_its_fraction_with_step_one():
    """C' = 0.4 of 330 samples: at least 132 pruned, weights 0, 1 or the argmin's."""
    run = replace(PLAIN, contamination=0.4)
    log = train(run, SAMPLES)
    for entry, u in zip(log.reweightings, displacements(run, log), strict=True):
        pruned = entry["pruned_contaminated"] + entry["pruned_clean"]
        assert pruned >= 132
        assert int((u == -1 / 330).sum()) == pruned
        assert len(set(u.tolist())) == 3


def test_the_reweighting_log_counts_truly():
    """Pruned contaminated and clean samples, as the weights after one step with mu = 1 show."""
    run = replace(RRM, step=1.0, iterations=1)
    log = train(run, SAMPLES)
    (u,) = displacements(run, log)
    gone = u == -1 / 330
    entry = log.reweightings[0]
    assert entry["epoch"] == 2
    assert entry["pruned_contaminated"] == (gone & SAMPLES.contaminated).sum()
    assert entry["pruned_clean"] == (gone & ~SAMPLES.contaminated).sum()
    assert entry["largest_weight"] == pytest.approx(1 + 330 * u.max())
    assert entry["threshold"] == pytest.approx(entry["minimum"] + 0.5)


def test_weighting_the_total_differs_from_weighting_the_supervised_term():
    """With ELR the weights multiply the cross-entropy, or it and the regulariser."""
    elr = replace(RRM, loss="elr")
    supervised, total = (
        train(replace(elr, weighted_term=term), SAMPLES) for term in ("supervised", "total")
    )
    assert supervised.reweightings[-1] != total.reweightings[-1]
    terms = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0]), torch.tensor([5.0, 7.0])
    assert weighted(elr, *terms).tolist() == [7.0, 7.0]
    whole = replace(elr, weighted_term="total")
    assert weighted(whole, *terms).tolist() == [12.0, 0.0]
    # Without ELR's regulariser there is only one term.
    cce = train(replace(RRM, weighted_term="total"), SAMPLES)
    assert cce.reweightings == train(RRM, SAMPLES).reweightings


def test_the_losses_for_reweighting_are_of_what_is_weighted():
    """The supervised term alone, or with ELR's; every sample, in order."""
    run = replace(RRM, loss="elr")
    model = build(run, image=SAMPLES.image, n_classes=10)
    loss, extra = pointwise_loss(run), regulariser(run, 330, 10)
    index = torch.arange(330)
    with torch.no_grad():
        logits = model(SAMPLES.x)
        extra.record(logits, index)
        supervised, added = loss(logits, SAMPLES.labels), extra(logits, index)
    for term, expected in (("supervised", supervised), ("total", supervised + added)):
        changed = replace(run, weighted_term=term)
        assert torch.equal(training.sample_losses(changed, model, loss, extra, SAMPLES), expected)


def test_a_diverged_run_is_an_error_also_without_reweighting():
    """Accuracies of a network of NaNs are no result."""
    with pytest.raises(DivergedError, match=r"diverged in epoch 1: the loss is nan"):
        train(replace(PLAIN, learning_rate=1e4), SAMPLES)


@pytest.mark.parametrize(
    "run", [RRM, replace(RRM, loss="elr"), replace(RRM, model="cnn", iterations=2)]
)
def test_stopped_after_every_epoch_and_resumed_is_the_same_run(run, tmp_path):
    """To the bit, ELR's memory included."""
    whole = train(run, SAMPLES)
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    stops = 0
    while (log := train(run, SAMPLES, checkpoint=checkpoint, stop=lambda: True)) is None:
        stops += 1
    assert stops == run.epochs - 1
    assert log.test_correct == whole.test_correct
    assert log.validation_correct == whole.validation_correct
    assert log.reweightings == whole.reweightings
    assert np.array_equal(displacements(run, log), displacements(run, whole))


def test_elr_s_memory_is_in_the_checkpoint(tmp_path):
    """The buffer travels with the state, one row a training sample."""
    run, checkpoint = replace(RRM, loss="elr"), Checkpoint(tmp_path / "run.checkpoint")
    train(run, SAMPLES, checkpoint=checkpoint, stop=lambda: True)
    target = checkpoint.load(run.key)["regulariser"]["target"]
    assert target.shape == (330, 10)
    assert (target.sum(dim=1) > 0).all()


def damage_truncate(content):
    """Return the first half."""
    return content[: len(content) // 2]


def damage_flip(content):
    """Return the content with one bit in the middle flipped."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_flip, lambda _: b"", lambda _: b"hello"]
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_used(
    damage, tmp_path, caplog, monkeypatch
):
    """The warning names the file; the run still ends the same."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    epochs = iter([False, False, True])
    train(RRM, SAMPLES, checkpoint=checkpoint, stop=lambda: next(epochs))
    checkpoint.path.write_bytes(damage(checkpoint.path.read_bytes()))
    seen = []
    with caplog.at_level(logging.WARNING):
        log = train(RRM, SAMPLES, checkpoint=checkpoint, after_epoch=seen.append)
    assert f"refused the checkpoint {checkpoint.path}: truncated, damaged" in caplog.text
    assert seen[0] == 3  # the state before the last was after epoch 2
    assert log.test_correct == train(RRM, SAMPLES).test_correct


def test_a_refused_checkpoint_does_not_replace_the_good_one(tmp_path):
    """Were it kept as the previous one, the next kill could cost everything."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    for epoch in (1, 2):
        checkpoint.save({"key": "k", "epoch": epoch})
    checkpoint.path.write_bytes(b"damaged")
    assert checkpoint.load("k")["epoch"] == 1
    checkpoint.save({"key": "k", "epoch": 2})
    checkpoint.path.write_bytes(b"damaged")
    assert checkpoint.load("k")["epoch"] == 1


def test_a_checkpoint_without_a_key_is_refused(tmp_path, caplog):
    """Whole, but not one of ours."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    checkpoint.save({"epoch": 1})
    assert checkpoint.load("k") is None
    assert "not one of this project" in caplog.text


def test_another_run_s_checkpoint_is_refused(tmp_path, caplog):
    """A foreign state would train something else under this run's name."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    train(RRM, SAMPLES, checkpoint=checkpoint, stop=lambda: True)
    other = replace(RRM, seed=1)
    assert checkpoint.load(other.key) is None
    assert f"it belongs to the run {RRM.key}, not {other.key}" in caplog.text
