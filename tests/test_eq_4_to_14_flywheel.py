"""LNL-flywheel paper, Eqs. (4) to (14), in the running code: each step against rrm_theory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures import colour_arrays, same_but_for_clocks, train_until_killed
from hypothesis import given
from hypothesis import strategies as st

from experiments.augmentation import crop_and_flip, distort, draw_distortions, draw_moves
from experiments.data import load
from experiments.evaluation import batches
from experiments.losses import pointwise_loss
from experiments.method import DivergedError
from experiments.methods import flywheel, method_of
from experiments.methods.flywheel import Flywheel
from experiments.models import build, has_bfloat16
from experiments.outcome import result
from experiments.own import own_data
from experiments.problem import problem
from experiments.spec import Run
from experiments.step import Step
from experiments.store import Checkpoint
from experiments.train import train
from rrm_theory import confidence

RUN = Run(
    dataset="digits",
    model="mlp",
    loss="cce",
    noise_rate=0.4,
    seed=0,
    noise="flip",
    method="flywheel",
    warm_up=1,
    confidence_strength=0.125,
    learning_rate=0.02,
    momentum=0.5,
    batch_size=50,
    reduction="batch_mean",
    iterations=2,
    epochs_per_iteration=2,
    train_samples=360,
    test_samples=60,
)
DIGITS = load("digits")
SAMPLES = problem(RUN, DIGITS)


@st.composite
def posteriors(draw):
    """N samples of K classes in float64: labels, rows of f, g, eps, gamma; zeros and ones too."""
    n, k = draw(st.integers(1, 8)), draw(st.integers(2, 4))
    eighths = st.integers(0, 8).map(lambda i: i / 8)
    rows = draw(
        st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=n, max_size=n)
    )
    f = torch.tensor(rows, dtype=torch.float64) + torch.tensor([[1.0] + [0.0] * (k - 1)])
    numbers = st.lists(eighths, min_size=n, max_size=n).map(
        lambda values: torch.tensor(values, dtype=torch.float64)
    )
    labels = torch.tensor(draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
    return labels, f / f.sum(1, keepdim=True), draw(numbers), draw(numbers), draw(eighths)


@given(posteriors())
def test_eq_4_is_bayes_rule(case):
    """gamma g / (gamma g + (1 - gamma) eps); 1/2 where both parts rule the label out."""
    _, _, g, eps, gamma = case
    found = flywheel.clean_posterior(g, eps, torch.tensor(gamma, dtype=torch.float64))
    possible = gamma * g + (1 - gamma) * eps > 0
    assert found[~possible].tolist() == [0.5] * int((~possible).sum())
    if possible.any():
        known = confidence.clean_posterior(
            g[possible].numpy(), eps[possible].numpy(), proportion=gamma
        )
        assert np.allclose(found[possible].numpy(), known, rtol=1e-14, atol=0)


@given(posteriors())
def test_eq_11_is_the_class_posterior(case):
    """q_i on the label as it is, the rest as f says."""
    labels, f, q, _, _ = case
    found = flywheel.class_posterior(q, labels, f).numpy()
    assert np.allclose(
        found, confidence.class_posterior(q.numpy(), labels.numpy(), f.numpy()), atol=1e-15
    )


@given(posteriors())
def test_the_matrix_is_the_m_step(case):
    """Every row with mass sums to one; a class without mass keeps its labels."""
    labels, f, _, _, _ = case
    found = flywheel.corruption_matrix(f, labels).numpy()
    massive = (f.sum(0) > 0).numpy()
    assert np.allclose(found.sum(1), 1)
    assert (found[~massive] == np.eye(f.shape[1])[~massive]).all()
    # The theory refuses a class without mass, so it is given only those with some, and its labels.
    if massive.all():
        assert np.allclose(
            found, confidence.corruption_matrix(f.numpy(), labels.numpy()), rtol=1e-13
        )


def in_float64():
    """Return samples, g, a flywheel in float64 after its warm-up, and the batches of an epoch."""
    samples = replace(SAMPLES, x=SAMPLES.x.double())
    model = build(RUN, shape=samples.shape, n_classes=10).double()
    method = method_of(RUN, samples, model, pointwise_loss(RUN)).double()
    order = list(torch.arange(360).split(50))
    method.begin_epoch(order)
    step = Step(RUN, samples, model, pointwise_loss(RUN), method)
    step.weight = step.weight.double()
    for index in order:
        step(index)
    return samples, model, method, order


def test_a_cycle_is_the_six_equations():
    """Recomputed by rrm_theory from the two networks before and after f is trained.

    The first cycle starts from eps = 1/K and f's accuracy, the second from what the first has left.
    """
    samples, model, method, order = in_float64()
    labels = samples.labels.numpy()
    gamma, eps = None, np.full(360, 0.1)
    for _ in range(2):
        g, before = says(model, samples), says(method.auxiliary, samples)
        if gamma is None:
            gamma = float((before.argmax(1) == labels).mean())
        method.begin_epoch(order)
        after = says(method.auxiliary, samples)
        q = confidence.clean_posterior(g[np.arange(360), labels], eps, proportion=gamma)
        close = {"rtol": 1e-7, "atol": 1e-12}
        assert np.allclose(method.clean.numpy(), q, **close)
        gamma = confidence.clean_proportion(method.clean.numpy())
        assert float(method.proportion) == pytest.approx(gamma)
        target = confidence.class_posterior(method.clean.numpy(), labels, before)
        assert np.allclose(method.target.numpy(), target, **close)
        matrix = confidence.corruption_matrix(target, labels)
        assert np.allclose(method.matrix.numpy(), matrix, **close)
        wrong = (1 - method.clean.numpy())[:, None] * before
        matrix = confidence.corruption_matrix(wrong, labels)
        assert np.allclose(method.corrupted_matrix.numpy(), matrix, **close)
        matrix = matrix / matrix.sum(1, keepdims=True)
        after = after / after.sum(1, keepdims=True)
        eps = confidence.corruption_likelihood(after, matrix, labels)
        assert np.allclose(method.corruption.numpy(), eps, **close)
        eps = method.corruption.numpy().copy()
        assert (method.resampled.numpy() == after.argmax(1)).all()
        shares = np.bincount(method.resampled.numpy(), minlength=10) / 360
        assert np.allclose(method.share.numpy(), shares, **close)


def says(network, samples):
    """Return a network's probabilities in evaluation mode, and leave it training."""
    with torch.no_grad():
        p = network.eval()(samples.x).softmax(1).numpy()
    network.train()
    return p


def test_a_second_network_that_breaks_ends_the_run(monkeypatch):
    """What it says would not be finite; the labels that it gives would still be numbers."""
    samples, _, method, order = in_float64()
    ordinary = Flywheel._expect

    def broken(self):
        ordinary(self)
        with torch.no_grad():
            self.auxiliary.layers[-1].weight.fill_(torch.nan)

    monkeypatch.setattr(Flywheel, "_expect", broken)
    with pytest.raises(DivergedError, match="epoch 2: the flywheel's second network"):
        method.begin_epoch(order)
    with pytest.raises(DivergedError, match="second network is not finite"):
        train(RUN, samples_of(samples))


def samples_of(samples):
    """Return the samples in float32."""
    return replace(samples, x=samples.x.float())


def test_eq_13_trains_the_auxiliary_network_on_pairs():
    """One step by hand: images and posteriors mixed by the drawn share, 1/2 or more."""
    samples, _, method, _ = in_float64()
    index = torch.arange(50)
    method.target.copy_(F.softmax(torch.randn(360, 10, dtype=torch.float64), dim=1))
    drawing = torch.Generator()
    drawing.set_state(method.drawing.get_state())
    share = float(torch.rand((), generator=drawing))
    share = max(share, 1 - share)
    other = torch.randperm(50, generator=drawing)
    twin = build(RUN, shape=samples.shape, n_classes=10).double()
    twin.load_state_dict(method.auxiliary.state_dict())
    velocity = [
        method.optimiser.state[one]["momentum_buffer"].clone()
        for one in method.auxiliary.parameters()
    ]
    x = share * samples.x[index] + (1 - share) * samples.x[other]
    q = share * method.target[index] + (1 - share) * method.target[other]
    loss = -(q * twin(x).softmax(1).log()).sum(1).mean()
    gradients = torch.autograd.grad(loss, list(twin.parameters()))
    method._train_auxiliary(index, mix=True)
    for parameter, start, gradient, v in zip(
        method.auxiliary.parameters(), twin.parameters(), gradients, velocity, strict=True
    ):
        moved = gradient + 0.5 * (0.5 * v + gradient)
        torch.testing.assert_close(parameter, start - 0.02 * moved, rtol=1e-9, atol=1e-12)


def test_eqs_8_and_9_train_the_main_network():
    """-log g[y^] plus lambda times the mean of log(g + 1e-8) under the new labels' shares."""
    samples, model, method, order = in_float64()
    index = torch.arange(30)
    assert torch.equal(method.labels(index, samples.labels[index]), samples.labels[index])
    assert method(model(samples.x[index]), index).tolist() == 0.0
    method.begin_epoch(order)
    assert torch.equal(method.labels(index, samples.labels[index]), method.resampled[index])
    log_g = (model(samples.x[index]).softmax(1) + 1e-8).log()
    share = torch.tensor([float((method.resampled == y).sum()) / 360 for y in range(10)])
    expected = 0.125 * (log_g * share.double()).sum(1)
    torch.testing.assert_close(method(model(samples.x[index]), index), expected)


def test_the_auxiliary_network_classifies():
    """Its accuracy is the run's; and it starts from other weights than g."""
    model = build(RUN, shape=SAMPLES.shape, n_classes=10)
    method = method_of(RUN, SAMPLES, model, pointwise_loss(RUN))
    assert method.predictor(model) is method.auxiliary
    assert not torch.equal(model.layers[0].weight, method.auxiliary.layers[0].weight)


def test_the_confidence_term_has_a_floor(monkeypatch):
    """Probabilities of zero cost lambda log(1e-8) and no more, and pull at nothing any longer.

    Without it p_y - lambda m_y < 0 for all labels but one, the objective falls on (theory.md C.3),
    and so does training, which says so.
    """
    samples, _, method, order = in_float64()
    method.begin_epoch(order)
    logits = torch.zeros(1, 10, dtype=torch.float64)
    logits[0, 3] = 1e4
    logits.requires_grad_()
    term = method(logits, torch.tensor([0]))
    share = float((method.resampled != 3).sum()) / len(samples.labels)
    assert term.item() == pytest.approx(0.125 * share * np.log(1e-8))
    assert torch.autograd.grad(term.sum(), logits)[0].abs().max() == 0
    steep = replace(RUN, learning_rate=0.1, confidence_strength=3.0, iterations=4)
    assert train(steep, SAMPLES).test_correct
    monkeypatch.setattr(flywheel, "FLOOR", 0.0)
    with pytest.raises(DivergedError, match=r"the loss is (nan|-inf|inf)"):
        train(steep, SAMPLES)


def test_what_it_estimates_is_kept():
    """gamma, T, T_c and the area under the curve at every evaluation are in the result."""
    log = train(RUN, SAMPLES)
    kept = result(RUN, DIGITS, SAMPLES, log, {})
    assert np.shape(kept["method"]["matrix"]) == (10, 10)
    assert len(kept["cleanness_auc"]) == 4
    assert kept["cleanness_auc"][0] == 0.5  # in the warm-up all labels are clean
    assert 0 < kept["method"]["proportion"] < 1


@pytest.mark.parametrize("saves", [3, 9, 10, 17, 19])
def test_a_killed_run_ends_the_same(saves, tmp_path):
    """Both networks, both optimisers, posteriors and matrices are in the checkpoint; RRM around."""
    run, checkpoint = replace(RUN, contamination=0.3), Checkpoint(tmp_path / "run.checkpoint")
    train_until_killed(run, SAMPLES, checkpoint, saves=saves)
    resumed = train(run, SAMPLES, checkpoint=checkpoint)
    assert same_but_for_clocks(run, SAMPLES, resumed, train(run, SAMPLES))


# Section 4.1: augmented images, and the contrastive term.

COLOURS = replace(
    RUN,
    dataset="own.npz",
    model="resnet8",
    noise_rate=0.0,
    initialisation="torch",
    augment="crop_and_flip",
    contrastive_strength=0.025,
    batch_size=32,
    train_samples=None,
    test_samples=None,
)


@pytest.fixture
def colours(tmp_path):
    """Return the samples of a user's file of small colour images."""
    np.savez(tmp_path / "own.npz", **colour_arrays())
    return problem(COLOURS, own_data(str(tmp_path / "own.npz")))


def flywheel_of(run, samples):
    """Return a flywheel around the run's network."""
    model = build(run, shape=samples.shape, n_classes=samples.n_classes)
    return method_of(run, samples, model, pointwise_loss(run))


def test_the_e_step_hears_the_mean_over_two_weak_copies(colours):
    """Of f alone; g is asked once, about the images as they are."""
    method = flywheel_of(COLOURS, colours)
    drawing = torch.Generator()
    drawing.set_state(method.drawing.get_state())
    f = method.auxiliary.eval()
    expected = []
    with torch.no_grad():
        for x in batches(colours.x, COLOURS):
            moves = [draw_moves(len(x), drawing) for _ in range(2)]
            copies = [f(crop_and_flip(x, one, colours.ink[0])).softmax(1) for one in moves]
            expected.append(sum(copies) / 2)
        once = f(colours.x).softmax(1)
    f.train()
    torch.testing.assert_close(method._probabilities(f), once)
    assert not torch.allclose(torch.cat(expected), once, atol=1e-3)
    method._expect()
    target = flywheel.class_posterior(method.clean, colours.labels, torch.cat(expected))
    torch.testing.assert_close(method.target, target)


def test_without_augmentation_it_hears_f_once():
    """The same as an ordinary pass, and nothing is drawn."""
    _, _, method, _ = in_float64()
    drawn = method.drawing.get_state()
    f = method.auxiliary
    assert torch.equal(method._probabilities(f, weakly=True), method._probabilities(f))
    assert torch.equal(method.drawing.get_state(), drawn)


@pytest.mark.parametrize("mix", [False, True])
def test_f_is_trained_on_weak_images_and_contrasts_strong_ones(colours, mix):
    """One step by hand, in the order in which everything is drawn; no contrast in the warm-up."""
    run = replace(COLOURS, contrastive_strength=2.0, momentum=0.0)
    method, twin = flywheel_of(run, colours), flywheel_of(run, colours)
    index = torch.arange(32)
    rng = torch.Generator()
    rng.set_state(method.drawing.get_state())

    def weak():
        return crop_and_flip(colours.x[index], draw_moves(32, rng), colours.ink[0])

    x, q = weak(), method.target[index]
    if mix:
        share = float(torch.rand((), generator=rng))
        share = max(share, 1 - share)
        other = torch.randperm(32, generator=rng)
        x, q = share * x + (1 - share) * x[other], share * q + (1 - share) * q[other]
    loss = -(q * twin.auxiliary(x).log_softmax(1)).sum(1).mean()
    if mix:
        views = []
        for _ in range(2):
            distortions = draw_distortions(32, rng)
            image = distort(weak(), distortions, colours.ink)
            views.append(twin.projection(twin.auxiliary.features(image)))
        z = F.normalize(torch.cat(views), dim=1)
        e = (2 * z @ z.T).exp()
        e = e - torch.diag(e.diagonal())
        pair = torch.arange(64).roll(32)
        loss = loss + 2.0 * -(e[torch.arange(64), pair] / e.sum(1)).log().mean()
    parameters = [*twin.auxiliary.parameters(), *twin.projection.parameters()]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    method._train_auxiliary(index, mix=mix)
    moved = [*method.auxiliary.parameters(), *method.projection.parameters()]
    for after, before, gradient in zip(moved, parameters, gradients, strict=True):
        step = 0 if gradient is None else 0.02 * gradient
        torch.testing.assert_close(after, before - step, rtol=1e-4, atol=1e-6)


def test_strong_views_leave_running_averages_alone(colours):
    """Only f's own step moves them: a step of training is one batch, not three."""
    method = flywheel_of(COLOURS, colours)
    twin = flywheel_of(replace(COLOURS, contrastive_strength=0.0), colours)
    for one in (method, twin):
        one._train_auxiliary(torch.arange(32), mix=True)
    norms = [one.auxiliary.stem_norm for one in (method, twin)]
    torch.testing.assert_close(norms[0].running_var, norms[1].running_var)
    assert norms[0].momentum == 0.1


@pytest.mark.skipif(not has_bfloat16("cpu"), reason="no AVX512_BF16")
def test_the_contrast_works_in_bfloat16(colours):
    """The features of a network that rounds its products, in float32."""
    method = flywheel_of(replace(COLOURS, precision="bfloat16"), colours)
    assert method._view(torch.arange(4)).shape == (4, flywheel.PROJECTION)


def test_a_killed_run_with_all_of_it_ends_the_same(colours, tmp_path):
    """The projection and what the augmentations draw are in the checkpoint."""
    run, checkpoint = replace(COLOURS, contamination=0.25), Checkpoint(tmp_path / "run.checkpoint")
    train_until_killed(run, colours, checkpoint, saves=11)
    resumed = train(run, colours, checkpoint=checkpoint)
    assert same_but_for_clocks(run, colours, resumed, train(run, colours))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment": "none"}, "contrastive_strength > 0 needs augment='crop_and_flip', got 'none'"),
        ({"model": "mlp"}, r"needs a network with features\(x\) .* got model='mlp'"),
    ],
)
def test_a_contrast_that_cannot_be_is_refused(colours, changes, message):
    """Without augmentation the copies are one; without features there is nothing to compare."""
    with pytest.raises(ValueError, match=message):
        flywheel_of(replace(COLOURS, **changes), colours)
