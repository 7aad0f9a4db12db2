"""ICLR paper, Algorithms 1, 2, 3: the loop, against a slow twin; kill and resume to the bit."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from experiments import evaluation, state
from experiments import train as training
from experiments.data import load
from experiments.losses import pointwise_loss
from experiments.method import DivergedError
from experiments.methods import method_of
from experiments.models import build
from experiments.noise import Stream, torch_seed
from experiments.problem import problem
from experiments.spec import TEST_EPS, Run
from experiments.step import weighted
from experiments.store import Checkpoint
from experiments.train import train, trajectory
from rrm_theory import capped_relax, relax

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
DIGITS = load("digits")
SAMPLES = problem(PLAIN, DIGITS)


def displacements(run, log):
    """Return u after every re-weighting, float64, none for plain training."""
    if not run.reweights:
        return []
    weights = trajectory(run, log, SAMPLES).scaled_weights().astype(np.float64)
    return list((weights - 1) / len(SAMPLES.labels))


def twin(run, samples):
    """Return (u after every re-weighting, test answers right) by the algorithms, literally."""
    n = len(samples.labels)
    model = build(run, shape=samples.shape, n_classes=samples.n_classes)
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
    model = build(run, shape=SAMPLES.shape, n_classes=10)
    loss = pointwise_loss(run)
    extra = method_of(run, SAMPLES, model, loss)
    index = torch.arange(330)
    with torch.no_grad():
        logits = model(SAMPLES.x)
        extra.record(logits, index)
        supervised, added = loss(logits, SAMPLES.labels), extra(logits, index)
    for term, expected in (("supervised", supervised), ("total", supervised + added)):
        changed = replace(run, weighted_term=term)
        assert torch.equal(evaluation.sample_losses(changed, model, loss, extra, SAMPLES), expected)


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
    target = checkpoint.load(run.key)["method"]["target"]
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
    monkeypatch.setattr(state, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(state, "CHECKPOINT_TIMES", 0)
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


AT = replace(
    PLAIN,
    train_eps=0.5,
    eps_unit="normalised",
    test_attack="alone",
    iterations=2,
    test_samples=100,
)
A_RRM = replace(AT, penalty=0.5, step=0.5, reweight_inputs="perturbed")
FEW = problem(AT, DIGITS)


def in_float64(run, **shape):
    """Return the network in float64, where no rounding decides the sign of a gradient."""
    return build(run, **shape).double()


def attacked_one_by_one(run, samples, model, x, labels, eps):
    """Return images moved by eps along the sign of their gradient, one by one."""
    low, high = samples.ink
    moved = []
    for image, label in zip(x, labels, strict=True):
        image = image[None].requires_grad_()
        loss = F.cross_entropy(model(image), label[None])
        (gradient,) = torch.autograd.grad(loss, image)
        unit = high - low if run.eps_unit == "pixel" else 1.0
        image = (image + eps * unit * gradient.sign()).detach()
        moved.append(image.clamp(low, high) if run.clamp else image)
    return torch.cat(moved)


def adversarial_twin(run, samples):
    """Return (u after every re-weighting, right answers per eps), literally, one by one."""
    n = len(samples.labels)
    model = in_float64(run, shape=samples.shape, n_classes=samples.n_classes)
    order = torch.Generator().manual_seed(torch_seed(run.seed, Stream.BATCHES))
    u, us, right = np.zeros(n), [], []
    for _ in range(run.iterations):
        for _ in range(run.epochs_per_iteration):
            for batch in torch.randperm(n, generator=order).split(run.batch_size):
                x, labels = samples.x[batch], samples.labels[batch]
                x = attacked_one_by_one(run, samples, model, x, labels, run.train_eps)
                losses = F.cross_entropy(model(x), labels, reduction="none")
                weight = torch.from_numpy(1 + n * u)[batch]
                gradients = torch.autograd.grad(
                    (weight * losses).sum() / n, list(model.parameters())
                )
                with torch.no_grad():
                    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                        parameter -= run.learning_rate * gradient
        if run.reweights:
            x = samples.x
            if run.reweight_inputs == "perturbed":
                x = attacked_one_by_one(run, samples, model, x, samples.labels, run.train_eps)
            with torch.no_grad():
                c = F.cross_entropy(model(x), samples.labels, reduction="none").numpy()
            how = {"gamma": run.gamma}
            target = capped_relax(c, **how, cap=run.cap) if run.cap else relax(c, **how)
            u = run.step * target.u + (1 - run.step) * u
            us.append(u)
        counts = []
        for fold in samples.folds:
            x, labels, of_fold = samples.x_eval[fold.test], fold.test_labels, []
            for eps in TEST_EPS:
                start = x if run.test_attack == "accumulating" else samples.x_eval[fold.test]
                x = attacked_one_by_one(run, samples, model, start, labels, eps)
                of_fold.append(int((model(x).argmax(1) == labels).sum()))
            counts.append(of_fold)
        right.append(counts)
    return us, right


@pytest.mark.parametrize(
    "run",
    [
        AT,
        A_RRM,
        replace(A_RRM, reweight_inputs="clean"),
        replace(A_RRM, cap=2.0),
        replace(A_RRM, test_attack="accumulating"),
        replace(A_RRM, eps_unit="pixel", train_eps=0.125, clamp=True),
    ],
)
def test_adversarial_training_is_algorithm_2(run, monkeypatch):
    """Every batch attacked anew; losses on what the run says; test images under every eps."""
    samples = replace(FEW, x=FEW.x.double(), x_eval=FEW.x_eval.double())
    monkeypatch.setattr(training, "build", in_float64)
    log = train(run, samples)
    us, right = adversarial_twin(run, samples)
    assert log.attacked_correct == right
    if run.reweights:
        weights = trajectory(run, log, FEW).scaled_weights().astype(np.float64)
        assert np.abs((weights - 1) / 330 - np.array(us)).max() <= 2.0**-22
        assert (weights != 1).any()


def test_under_attack_accuracy_is_counted_once_an_iteration():
    """Otherwise after every epoch; without an attack on the test images nothing is attacked."""
    log, plain = train(AT, FEW), train(replace(AT, test_attack="none"), FEW)
    assert AT.evaluations == (2, 4)
    for name in ("validation_correct", "test_correct", "attacked_correct", "canary"):
        assert len(getattr(log, name)) == 2
    assert len(plain.test_correct) == 4
    assert plain.attacked_correct == plain.canary == plain.attacked_validation_correct == []
    # The same training: where both counted they agree, and eps 0 is no attack.
    assert plain.test_correct[1::2] == log.test_correct
    assert [[of_fold[0] for of_fold in one] for one in log.attacked_correct] == log.test_correct


def test_true_validation_labels_are_counted_too():
    """Without noise they are the same labels."""
    log = train(replace(PLAIN, noise_rate=0.0), problem(replace(PLAIN, noise_rate=0.0), DIGITS))
    assert log.clean_validation_correct == log.validation_correct
    noisy = train(PLAIN, SAMPLES)
    assert noisy.clean_validation_correct != noisy.validation_correct


def test_validation_under_the_training_attack():
    """Right are those whose noisy label survives an attack with that label."""
    run = replace(AT, iterations=1)
    log = train(run, FEW)
    model = build(run, shape=FEW.shape, n_classes=10)
    model.load_state_dict(trained(run, FEW))
    for fold, count in zip(FEW.folds, log.attacked_validation_correct[0], strict=True):
        x, labels = FEW.x_eval[fold.validation], fold.validation_labels
        moved = attacked_one_by_one(run, FEW, model, x, labels, run.train_eps)
        assert abs(int((model(moved).argmax(1) == labels).sum()) - count) <= 1


def trained(run, samples):
    """Return the weights of the network at the end of a run."""
    seen = {}

    class Kept(training.Step):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            seen["model"] = self.model

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "Step", Kept)
        train(run, samples)
    return seen["model"].state_dict()


def canary_of(fgsm_right, pgd_right):
    """Return the canary's report if so many of 100 images withstand FGSM and PGD."""
    left = iter((fgsm_right, pgd_right))
    x = torch.zeros(100, 8, 8)
    labels = torch.zeros(100, dtype=torch.int64)

    class Scripted(torch.nn.Module):
        def forward(self, x):
            right = next(left) if not x.requires_grad else 100
            logits = torch.zeros(100, 10)
            logits[right:, 1] = 1
            return logits + 0 * x.sum()

    return evaluation.ask_the_canary(AT, FEW, Scripted(), F.cross_entropy, x, labels)


@pytest.mark.parametrize(
    ("fgsm_right", "pgd_right", "overfitted"),
    [
        (90, 10, True),
        (90, 44, True),
        (90, 45, False),
        (20, 0, False),
        (21, 0, True),
        (50, 50, False),
    ],
)
def test_the_canary_sings_when_pgd_undoes_what_fgsm_leaves(fgsm_right, pgd_right, overfitted):
    """More than twice a guess under FGSM, less than half of it under PGD."""
    report = canary_of(fgsm_right, pgd_right)
    assert report == {
        "images": 100, "fgsm": fgsm_right, "pgd": pgd_right, "overfitted": overfitted
    }  # fmt: skip
