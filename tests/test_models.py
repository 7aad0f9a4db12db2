"""ICLR paper, Section 4.2.2 and Appendix C: the two networks, to the parameter."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from experiments import models
from experiments.models import build, has_bfloat16
from experiments.spec import Run

MLP3 = Run(dataset="mnist3", model="mlp", loss="cce", noise_rate=0.0, seed=0)
CNN10 = replace(MLP3, dataset="mnist", model="cnn")


def size(model):
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_mlp_has_417880_parameters():
    """784-320-320-200-3 without biases."""
    model = build(MLP3, shape=(28, 28), n_classes=3)
    assert size(model) == 417_880
    assert not any(name.endswith("bias") for name, _ in model.named_parameters())


def test_the_cnn_has_159254_parameters():
    """Three 3x3 convolutions 32-64-64, pooling with ceil to 4 x 4, dense 1024-100-10."""
    model = build(CNN10, shape=(28, 28), n_classes=10)
    assert size(model) == 159_254
    assert model.hidden.in_features == 1024


@pytest.mark.parametrize("run", [MLP3, CNN10])
def test_images_become_logits(run):
    """(B, 28, 28) -> (B, K), differentiable."""
    model = build(run, shape=(28, 28), n_classes=5)
    x = torch.randn(2, 28, 28, generator=torch.Generator().manual_seed(0))
    logits = model(x)
    assert logits.shape == (2, 5)
    logits.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_mlp_is_its_matrices():
    """oneDNN's kernels compute relu(W x) layer by layer, to float32 rounding."""
    model = build(MLP3, shape=(28, 28), n_classes=3)
    x = torch.randn(7, 28, 28, generator=torch.Generator().manual_seed(0))
    h = x.flatten(1).double()
    weights = [layer.weight.double() for layer in model.layers]
    for w in weights[:-1]:
        h = torch.relu(h @ w.T)
    # Four sums of at most 784 products each, of numbers of order 1.
    assert torch.allclose(model(x).double(), h @ weights[-1].T, atol=4 * 784 * 2.0**-24, rtol=0)


@pytest.mark.parametrize("run", [MLP3, CNN10])
def test_glorot_uniform_and_zero_bias(run):
    """|w| <= sqrt(6 / (fan_in + fan_out)), nearly reached; biases 0."""
    for name, parameter in build(run, shape=(28, 28), n_classes=10).named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
            continue
        field = parameter[0, 0].numel() if parameter.dim() > 2 else 1
        fan = (parameter.shape[0] + parameter.shape[1]) * field
        assert 0.95 < parameter.abs().max() / (6 / fan) ** 0.5 <= 1


def test_initialisation_depends_on_the_seed_alone():
    """Same seed, same network, whatever was drawn before; and the choice of scheme matters."""
    first = build(MLP3, shape=(8, 8), n_classes=3).state_dict()
    before = torch.random.get_rng_state()
    again = build(replace(MLP3, loss="mae"), shape=(8, 8), n_classes=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    for other in (replace(MLP3, seed=1), replace(MLP3, initialisation="torch")):
        different = build(other, shape=(8, 8), n_classes=3).state_dict()
        assert not any(torch.equal(first[name], different[name]) for name in first)


def test_the_cnn_is_convolution_relu_and_pooling():
    """In float64, whatever the memory format and the order of ReLU and pooling; gradients too."""
    model = build(CNN10, shape=(28, 28), n_classes=10).double()
    x = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def usual(x):
        x = x.unsqueeze(1)
        for layer in model.convolutions:
            x = F.max_pool2d(F.relu(F.conv2d(x, layer.weight, layer.bias, padding=1)), 2,
                             ceil_mode=True)  # fmt: skip
        return model.output(F.relu(model.hidden(x.flatten(1))))

    results = []
    for network in (model, usual):
        given = x.clone().requires_grad_()
        logits = network(given)
        gradients = torch.autograd.grad(logits.square().sum(), [given, *model.parameters()])
        results.append([logits, *gradients])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_onednn_s_tensors_change_no_more_than_the_order_of_sums():
    """Logits and gradients, images included, whose background ties whole windows of pixels."""
    model = build(CNN10, shape=(28, 28), n_classes=10)
    x = torch.rand(9, 28, 28, generator=torch.Generator().manual_seed(0))
    x[:, :9], x[:, :, 20:] = 0, 0
    labels = torch.arange(9)
    results = []
    for onednn in (True, False):
        model.onednn = onednn
        given = x.clone().requires_grad_()
        loss = F.cross_entropy(model(given), labels)
        results.append(torch.autograd.grad(loss, [given, *model.parameters()]))
    # FGSM takes the sign, which is 0 where nothing depends on a pixel.
    assert torch.equal(results[0][0].sign(), results[1][0].sign())
    for ours, theirs in zip(*results, strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2.0**-16 * scale)


def test_weighting_networks_get_kernels_with_second_derivatives():
    """Others get the faster ones."""
    for name, onednn in (("none", True), ("flywheel", True), ("rmnw_net", False)):
        run = replace(CNN10, method=name, meta_samples=10)
        assert build(run, shape=(28, 28), n_classes=10).onednn is onednn


BFLOAT16 = pytest.mark.skipif(not has_bfloat16("cpu"), reason="no AVX512_BF16")


@BFLOAT16
@pytest.mark.parametrize("run", [MLP3, CNN10])
def test_bfloat16_rounds_products_and_keeps_weights_and_logits(run):
    """Same weights, float32 logits, near the exact ones but not equal."""
    run = replace(run, precision="bfloat16")
    rounded, exact = (
        build(one, shape=(28, 28), n_classes=10) for one in (run, replace(run, precision="float32"))
    )
    pairs = zip(rounded.parameters(), exact.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    x = torch.randn(4, 28, 28, generator=torch.Generator().manual_seed(0))
    ours, theirs = rounded(x).detach(), exact(x).detach()
    assert ours.dtype == torch.float32
    assert not torch.equal(ours, theirs)
    # Five layers, each rounded to 8 bits, of numbers whose size is the largest logit's.
    assert float((ours - theirs).abs().max()) <= 5 * 2.0**-7 * float(theirs.abs().max())


def test_bfloat16_is_refused_where_it_would_be_emulated(monkeypatch):
    """The error says what to ask for instead."""
    monkeypatch.setattr(models, "has_bfloat16", lambda _: False)
    with pytest.raises(
        ValueError, match="precision='bfloat16' is emulated on this cpu; use 'float32'"
    ):
        build(replace(CNN10, precision="bfloat16"), shape=(28, 28), n_classes=10)
