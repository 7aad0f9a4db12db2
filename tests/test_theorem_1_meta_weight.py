"""RMNW-Net paper, Section 3, Theorem 1, in the running code: MW-Net*, MNW-Net, RMNW-Net."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures import same_but_for_clocks, train_until_killed
from torch import nn

from experiments import spec
from experiments.catalogue import TABLES
from experiments.catalogue.colour import CIFAR_BASE
from experiments.data import load
from experiments.losses import pointwise_loss
from experiments.method import Method
from experiments.methods import METHODS, meta_weight, method_of
from experiments.methods.meta_weight import MetaWeight, absolute, cross_entropy
from experiments.models import build
from experiments.problem import problem
from experiments.spec import Run
from experiments.step import Step
from experiments.store import Checkpoint
from experiments.train import train

RUN = Run(
    dataset="digits",
    model="cnn",
    loss="cce",
    noise_rate=0.4,
    seed=0,
    noise="uniform_or_kept",
    method="rmnw_net",
    meta_samples=60,
    learning_rate=0.5,
    batch_size=50,
    reduction="batch_mean",
    iterations=2,
    epochs_per_iteration=2,
    train_samples=360,
    test_samples=60,
)
DIGITS = load("digits")
SAMPLES = problem(RUN, DIGITS)
# In float64 sums of a few thousand products agree to this.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-13}


def in_float64(run):
    """Return the samples and a step of the run in float64."""
    samples = problem(run, DIGITS)
    samples = replace(
        samples, x=samples.x.double(), meta=replace(samples.meta, x=samples.meta.x.double())
    )
    model = build(run, shape=samples.shape, n_classes=10).double()
    loss = pointwise_loss(run)
    step = Step(run, samples, model, loss, method_of(run, samples, model, loss).double())
    step.weight = step.weight.double()
    return samples, step


def expected_and_clean(run):
    """Return E[meta-gradient] under uniform noise of the held-out labels, and the one without.

    Taken in the loop, before its third step. The gradient is a mean over samples, so the ten
    shifts of all labels enumerate what every label can become.
    """
    seen = {}
    ordinary = MetaWeight.meta_gradient

    def hooked(self, x, labels, weight, meta_x, meta_labels):
        found = ordinary(self, x, labels, weight, meta_x, meta_labels)
        clean = self.problem.meta.clean_labels[: len(meta_labels)]
        held_out = self.problem.meta.x[: len(meta_labels)]
        shifted = [
            torch.cat([part.flatten() for part in ordinary(self, x, labels, weight, held_out, y)])
            for y in ((clean + shift) % 10 for shift in range(10))
        ]
        eta = run.noise_rate
        seen["clean"] = shifted[0]
        seen["expected"] = (1 - eta) * shifted[0] + eta * sum(shifted) / 10
        return found

    _, step = in_float64(run)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MetaWeight, "meta_gradient", hooked)
        for index in torch.arange(150).split(50):
            step(index)
    return seen["expected"], seen["clean"]


def test_uniform_noise_only_shrinks_rmnw_s_meta_gradient():
    """By 1 - eta = 0.6, in the loop, wherever it has come to."""
    expected, clean = expected_and_clean(RUN)
    assert clean.abs().max() > 1e-6
    torch.testing.assert_close(expected, 0.6 * clean, **TOLERANCE)


def test_uniform_noise_turns_mnw_s_meta_gradient():
    """Cross-entropy is not symmetric: no multiple of the clean one is it, far beyond rounding."""
    expected, clean = expected_and_clean(replace(RUN, method="mnw_net"))
    factor = (expected @ clean) / (clean @ clean)
    assert (expected - factor * clean).norm() > 0.01 * expected.norm()


def test_the_meta_gradient_is_the_derivative_after_a_trial_step():
    """Central differences in Theta of the held-out loss after a literal step, RRM's weights in it.

    The error is of second order in the step 1e-5, and of rounding 1e-16 over it.
    """
    for run in (RUN, replace(RUN, method="mnw_net", reduction="batch_sum", learning_rate=20.0)):
        samples, step = in_float64(run)
        method, (model,) = step.method, step.method._model
        index = torch.arange(50)
        x, labels = samples.x[index], samples.labels[index]
        weight = torch.linspace(0, 2, 50, dtype=torch.float64)
        held_out = samples.meta.x[:20], samples.meta.labels[:20]

        def after_a_step(method=method, model=model, run=run, batch=(x, labels, weight),
                         held_out=held_out):  # fmt: skip
            x, labels, weight = batch
            twin = build(run, shape=x.shape[1:], n_classes=10).double()
            twin.load_state_dict(model.state_dict())
            losses = F.cross_entropy(twin(x), labels, reduction="none")
            factors = method.net(losses.detach()[:, None])[:, 0].detach()
            share = 300 if run.reduction == "batch_sum" else len(x)
            gradients = torch.autograd.grad(
                (weight * factors * losses).sum() / share, list(twin.parameters())
            )
            with torch.no_grad():
                for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                    parameter -= run.learning_rate * gradient
                p = twin(held_out[0]).softmax(1)
                y = F.one_hot(held_out[1], 10)
                if run.method == "rmnw_net":
                    return float((p - y).abs().sum(1).mean())
                return float(-(p * y).sum(1).log().mean())

        found = method.meta_gradient(x, labels, weight, *held_out)
        for parameter, part in zip(method.net.parameters(), found, strict=True):
            flat = parameter.detach().view(-1)
            for k in (0, len(flat) // 2):
                at = float(flat[k])
                values = []
                for move in (1e-5, -1e-5):
                    flat[k] = at + move
                    values.append(after_a_step())
                flat[k] = at
                slope = (values[0] - values[1]) / 2e-5
                assert float(part.view(-1)[k]) == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_a_first_update_goes_down_on_the_held_out_loss():
    """By Adam's first step, the sign of gradient and decay; with RRM's weights in the trial step,
    and a hundred held-out samples, here sixty, drawn with replacement.
    """
    _, step = in_float64(replace(RUN, meta_learning_rate=0.01))
    method, samples = step.method, step.problem
    index = torch.arange(50)
    weight = torch.linspace(0, 2, 50, dtype=torch.float64)
    drawing = torch.Generator()
    drawing.set_state(method.drawing.get_state())
    chosen = torch.randint(60, (60,), generator=drawing)
    gradient = method.meta_gradient(
        samples.x[index],
        samples.labels[index],
        weight,
        samples.meta.x[chosen],
        samples.meta.labels[chosen],
    )
    before = [parameter.detach().clone() for parameter in method.net.parameters()]
    method.prepare(index, weight, samples.x[index])
    for after, start, part in zip(method.net.parameters(), before, gradient, strict=True):
        pull = part + 5e-4 * start
        # Adam divides by the size, to which it adds 1e-8.
        step_taken = 0.01 * pull / (pull.abs() + 1e-8)
        torch.testing.assert_close(after.detach(), start - step_taken, rtol=1e-7, atol=1e-12)


def test_networks_with_frozen_and_unused_parameters_are_weighted_too():
    """The former stay in the trial step, the latter get no gradient."""
    samples, step = in_float64(RUN)
    model = step.method._model[0]
    model.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
    model.hidden.weight.requires_grad_(False)
    index = torch.arange(50)
    weight = torch.ones(50, dtype=torch.float64)
    held_out = samples.meta.x[:20], samples.meta.labels[:20]
    found = step.method.meta_gradient(samples.x[index], samples.labels[index], weight, *held_out)
    assert all(part.abs().max() > 0 for part in found)


def test_losses_of_the_held_out_samples():
    """||p - onehot||_1 and -log p, by hand: p = (1/4, 3/4)."""
    logits = torch.tensor([[0.0, np.log(3.0)]])
    assert absolute(logits, torch.tensor([0])).item() == pytest.approx(1.5)
    assert cross_entropy(logits, torch.tensor([1])).item() == pytest.approx(np.log(4 / 3))


def test_held_out_samples_do_not_train():
    """300 train, 60 are held out, none is both; their labels are as wrong, by their own draw."""
    assert (len(SAMPLES.labels), len(SAMPLES.meta.labels)) == (300, 60)
    train = {image.numpy().tobytes() for image in SAMPLES.x}
    assert not train & {image.numpy().tobytes() for image in SAMPLES.meta.x}
    assert (SAMPLES.meta.clean_labels.numpy() == DIGITS.y_train[300:360]).all()
    assert 0 < (SAMPLES.meta.labels != SAMPLES.meta.clean_labels).sum() <= 24
    validated = problem(replace(RUN, validation=0.1), DIGITS)
    assert (len(validated.labels), len(validated.meta.labels)) == (264, 60)
    assert (validated.folds[0].clean_labels.numpy() == DIGITS.y_train[324:360]).all()
    with pytest.raises(ValueError, match=r"meta_samples=360 leave none of 360 samples to train on"):
        problem(replace(RUN, meta_samples=360), DIGITS)


@pytest.mark.parametrize(
    ("name", "loss", "labels"),
    [
        ("mw_net", cross_entropy, "clean_labels"),
        ("mnw_net", cross_entropy, "labels"),
        ("rmnw_net", absolute, "labels"),
    ],
)
def test_the_three_differ_in_labels_and_loss(name, loss, labels):
    """MW-Net* alone sees true labels; RMNW-Net alone has the robust loss."""
    method = method_of(replace(RUN, method=name), SAMPLES, nn.Identity(), pointwise_loss(RUN))
    assert method.meta_loss is loss
    assert torch.equal(method.meta_labels, getattr(SAMPLES.meta, labels))
    sizes = [tuple(parameter.shape) for parameter in method.net.parameters()]
    assert sizes == [(100, 1), (100,), (1, 100), (1,)]


def test_a_step_weighs_every_loss_by_rrm_s_weight_and_the_factor():
    """The objective, recomputed from the network and V as they were when it was taken."""
    _, step = in_float64(replace(RUN, meta_every=2))
    step.weight[:25] = 0.0
    with torch.no_grad():
        losses = step.loss(step.model(step.problem.x[:50]), step.problem.labels[:50])
    factors = step.method.factors(losses)
    # Of meta_every = 2 the first step is without an update of V.
    step(torch.arange(50))
    torch.testing.assert_close(
        step.objective.double(), (factors * losses)[25:].sum(), rtol=1e-6, atol=0
    )


def test_the_weighting_network_is_updated_every_so_often(monkeypatch):
    """Before steps 3 and 6 of 6."""
    count = []
    ordinary = MetaWeight.meta_gradient
    monkeypatch.setattr(
        MetaWeight,
        "meta_gradient",
        lambda self, *a: (count.append(self.steps), ordinary(self, *a))[1],
    )
    run = replace(RUN, meta_every=3, iterations=1, epochs_per_iteration=1)
    train(run, SAMPLES)
    assert count == [3, 6]


def test_factors_of_zero_for_all_become_one():
    """A sigmoid that has gone to zero would end all learning, its own included."""
    method = method_of(RUN, SAMPLES, nn.Identity(), pointwise_loss(RUN))
    with torch.no_grad():
        method.net[2].bias.fill_(-1e4)
    assert method.factors(torch.tensor([0.1, 3.0])).tolist() == [1.0, 1.0]


def test_a_trial_step_leaves_running_averages_alone():
    """Only the real step moves them, once."""
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(360, 8, 8, 3)).astype(np.uint8)
    data = replace(DIGITS, x_train=x, x_test=x[:60], y_train=DIGITS.y_train[:360],
                   y_test=DIGITS.y_train[:60])  # fmt: skip
    run = replace(RUN, model="resnet8", initialisation="torch")
    samples = problem(run, data)
    model = build(run, shape=samples.shape, n_classes=10)
    step = Step(
        run,
        samples,
        model,
        pointwise_loss(run),
        method_of(run, samples, model, pointwise_loss(run)),
    )
    step(torch.arange(50))
    assert int(model.stem_norm.num_batches_tracked) == 1


@pytest.mark.parametrize("saves", [1, 6, 7, 13])
def test_a_killed_run_ends_the_same(saves, tmp_path):
    """V, its optimiser and what it draws are in the checkpoint; RRM around it."""
    run = replace(RUN, contamination=0.3, meta_every=3)
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    train_until_killed(run, SAMPLES, checkpoint, saves=saves)
    resumed = train(run, SAMPLES, checkpoint=checkpoint)
    assert same_but_for_clocks(run, SAMPLES, resumed, train(run, SAMPLES))


def test_the_perceptron_takes_second_derivatives_too():
    """Its usual kernels have none; for the trial step it takes others."""
    run = replace(RUN, model="mlp", iterations=1, epochs_per_iteration=1)
    assert train(run, SAMPLES).test_correct


def test_a_method_of_one_s_own_is_one_class(monkeypatch):
    """A toy that drops the larger half of a batch's losses: named, it trains, and RRM wraps it."""

    class SmallerHalf(Method):
        """Keep the smaller half."""

        def factors(self, losses):
            return (losses <= losses.median()).to(losses.dtype)

    monkeypatch.setitem(METHODS, "smaller_half", lambda *_: SmallerHalf())
    # A name is added to spec.MethodName; its list of choices is read once.
    monkeypatch.setitem(spec._type_hints(), "method", str)
    run = replace(RUN, method="smaller_half")
    alone = train(run, SAMPLES).test_correct
    assert alone != train(replace(run, contamination=0.3), SAMPLES).test_correct
    assert alone != train(replace(run, method="none"), SAMPLES).test_correct


def test_all_methods_of_the_table_see_the_same():
    """One seed: the same samples train with the same labels, and C' is the share that is wrong."""
    cells = TABLES["methods"].cells("paper", "reduced", 0)
    assert len(cells) == 24
    data = replace(
        DIGITS,
        x_test=np.zeros((597, 28, 28), np.uint8),
        x_train=np.zeros((14000, 28, 28), np.uint8)
        + np.arange(14000)[:, None, None].astype(np.uint8),
        y_train=np.arange(14000) % 10,
    )
    seen = {}
    for cell in cells:
        p = problem(replace(cell.run, test_samples=60), data)
        first = seen.setdefault(cell.run.noise, p)
        assert torch.equal(p.labels, first.labels)
        assert len(p.labels) == 11600
        assert p.contaminated.mean() == pytest.approx(cell.noise_rate, abs=0.01)
        assert cell.run.contamination == (cell.noise_rate if cell.rrm else None)


def test_other_methods_of_the_table_hold_nothing_out():
    """Without a weighting network there are no such samples, and nobody asks for them."""
    assert problem(replace(RUN, method="none", meta_samples=0), DIGITS).meta is None
    assert CIFAR_BASE.meta_samples == 0
    assert meta_weight.HIDDEN == 100
