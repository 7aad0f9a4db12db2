"""ICLR paper, Algorithm 2: one step on one batch, launched one by one or as a captured graph."""

from dataclasses import replace

import pytest
import torch

from experiments.augmentation import draw_moves
from experiments.data import load
from experiments.losses import pointwise_loss
from experiments.methods import method_of
from experiments.models import build
from experiments.problem import problem
from experiments.spec import Run
from experiments.step import Step, bounds, in_units_of_x, perturbed
from experiments.train import train, trajectory

RUN = Run(
    dataset="digits",
    model="cnn",
    loss="elr",
    noise_rate=0.2,
    seed=0,
    penalty=0.5,
    train_eps=0.5,
    eps_unit="normalised",
    learning_rate=1.0,
    train_samples=330,
    test_samples=60,
    iterations=2,
    epochs_per_iteration=2,
)
SAMPLES = problem(RUN, load("digits"))
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def step_on(device, run=RUN):
    """Return a step of a fresh network."""
    samples = SAMPLES.to(device)
    model = build(run, shape=samples.shape, n_classes=10).to(device)
    loss = pointwise_loss(run)
    method = method_of(run, samples, model, loss).to(device)
    return Step(run, samples, model, loss, method)


def test_sizes_are_in_the_run_s_unit():
    """A pixel unit is the whole range of ink; clamping is to that range."""
    none, full = SAMPLES.ink
    pixel = replace(RUN, eps_unit="pixel", clamp=True)
    assert in_units_of_x(RUN, SAMPLES, 0.25) == 0.25
    assert in_units_of_x(pixel, SAMPLES, 0.25) == 0.25 * (full - none)
    assert (bounds(RUN, SAMPLES), bounds(pixel, SAMPLES)) == (None, (none, full))


def test_a_step_without_eps_sees_the_samples_themselves():
    """The same tensor."""
    run = replace(RUN, train_eps=0.0)
    x = SAMPLES.x[:4]
    assert perturbed(run, SAMPLES, torch.nn.Identity(), pointwise_loss(run), x, x) is x


def test_the_objective_is_the_weighted_sum_before_the_update():
    """Recomputed from the network as it was; a sample of weight 0 does not enter."""
    step = step_on("cpu", replace(RUN, loss="cce", train_eps=0.0))
    index = torch.arange(100)
    step.weight[:50] = 0.0
    with torch.no_grad():
        losses = step.loss(step.model(SAMPLES.x[:100]), SAMPLES.labels[:100])
    step(index)
    torch.testing.assert_close(step.objective, losses[50:].sum())
    before = [parameter.clone() for parameter in step.model.parameters()]
    step.weight.zero_()
    step(index)
    assert all(torch.equal(a, b) for a, b in zip(before, step.model.parameters(), strict=True))


@GPU
@pytest.mark.parametrize(
    "choices",
    [
        {"loss": "cce"},
        {"loss": "elr"},
        {"loss": "cce", "momentum": 0.9, "weight_decay": 1e-3, "augment": "crop_and_flip"},
        {"loss": "cce", "momentum": 0.9, "precision": "bfloat16", "learning_rate": 0.1},
    ],
)
def test_a_captured_step_is_the_step(choices):
    """Capturing leaves no trace; three replays and a short batch are what launches give."""
    run = replace(RUN, **choices)
    captured, launched = step_on("cuda", run), step_on("cuda", run)
    if run.augment != "none":
        for step in (captured, launched):
            step.moves.copy_(draw_moves(330, torch.Generator().manual_seed(1)))
    drawn = torch.cuda.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    for size in (100, 100, 100, 30):
        index = torch.randperm(330, generator=generator)[:size].cuda()
        captured(index)
        launched.take(index)
    # Pooling's backward pass adds in any order.
    for a, b in zip(captured.model.parameters(), launched.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(captured.objective, launched.objective, rtol=1e-3, atol=1e-4)
    for a, b in zip(captured.method.buffers(), launched.method.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    for a, b in zip(momenta(captured), momenta(launched), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-5)
    assert torch.equal(torch.cuda.get_rng_state(), drawn)


def momenta(step):
    """Return the optimiser's buffers, none without momentum."""
    return [one["momentum_buffer"] for one in step.optimiser.state.values()]


@GPU
def test_a_run_on_a_gpu_has_everything_a_run_has():
    """Accuracies, canary and weights; near the CPU's, whose sums have another order."""
    run = replace(RUN, loss="cce", reweight_inputs="perturbed", test_attack="alone", step=0.5)
    here, there = train(run, SAMPLES), train(run, SAMPLES, device="cuda")
    assert len(there.attacked_correct) == len(there.canary) == 2
    assert trajectory(run, there, SAMPLES).scaled_weights().shape == (2, 330)
    assert abs(here.test_correct[-1][0] - there.test_correct[-1][0]) <= 6


def test_a_user_s_network_is_never_replayed():
    """Nobody knows whether it does the same every time."""
    step = step_on("cpu", replace(RUN, loss="cce", train_eps=0.0))
    step.run = replace(step.run, model="nets:net", initialisation="torch")

    class Index(torch.Tensor):
        """What claims to be on a GPU."""

        is_cuda = True

    step._capture = lambda: pytest.fail("captured")
    index = torch.arange(100).as_subclass(Index)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Step, "take", lambda self, index: setattr(self, "taken", len(index)))
        step(index)
    assert step.taken == 100
