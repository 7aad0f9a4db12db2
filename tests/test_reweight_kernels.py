"""ICLR paper, Corollary 3.1.1, Section 3.5.1; theory.md A.7: the GPU's kernels have the CPU's bits.

On a machine without a GPU Triton's interpreter runs them, and its compiler compiles them.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import float_losses
from torch.utils._python_dispatch import TorchDispatchMode

from rrm_theory.reweight import Reweighter, Reweighting, ReweightOutcome
from rrm_theory.reweight import reweighter as module

kernels = pytest.importorskip("rrm_theory.reweight.kernels")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Many tiles, chunks and programs for few losses."""
    for name, size in (("TILE", 16), ("CHUNK", 2), ("PROGRAMS", 3)):
        monkeypatch.setattr(kernels, name, size)


def queued(rw, losses):
    """Update by the kernels, whatever the device is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_kernels", lambda _: kernels)
        return rw.update(losses.to(DEVICE))


def pair(losses, **settings):
    """Return a reweighter after an update by the kernels, and one after the CPU's; reports too."""
    ours, reference = Reweighter(len(losses), **settings).to(DEVICE), None
    reference = Reweighter(len(losses), **settings)
    return ours, queued(ours, losses), reference, reference.update(losses)


def assert_same(ours, update, reference, expected):
    """Parts, weights and report are equal, bit for bit."""
    assert torch.equal(ours.parts.cpu(), reference.parts)
    assert torch.equal(ours.shares.cpu(), reference.shares)
    assert torch.equal(ours[:].cpu(), reference[:])
    assert repr(update) == repr(expected).replace("-0.0,", "0.0,")


weight_types = st.sampled_from([torch.float32, torch.float64])


@given(float_losses(most=60), st.integers(1, 64).map(lambda k: k / 8), weight_types)
def test_a_price(losses, gamma, dtype):
    """All types of losses and of weights; ties, infinities, both zeros, subnormals."""
    assert_same(*pair(losses, gamma=gamma, dtype=dtype))


@given(
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    st.floats(-100, 100),
    st.floats(1e-6, 100),
    st.integers(-3, 3),
)
@example(torch.float32, 0.0, 0.1, 0)
@example(torch.float16, 60000.0, 6000.0, 0)
# The sum is 2^-80 below a float, and so is that loss above the sum; or above, and it is not.
@example(torch.float64, 1.0, 2.0**-52 * (1 - 2.0**-28), 0)
@example(torch.float64, 1.0, 2.0**-52 * (1 + 2.0**-28), 0)
@example(torch.float64, -(2.0**960), 2.0**960, 0)
def test_the_cut_is_exact(dtype, minimum, gamma, steps):
    """Losses next to c_min + gamma in their own type; the sum may be beyond it."""
    lowest = torch.tensor(minimum, dtype=dtype)
    near = (lowest.double() + gamma).to(dtype)
    for _ in range(abs(steps)):
        near = torch.nextafter(near, torch.tensor(math.copysign(math.inf, steps), dtype=dtype))
    losses = torch.stack([lowest, torch.maximum(near, lowest)])
    assert_same(*pair(losses, gamma=gamma))


@given(float_losses(most=60), st.integers(0, 99).map(lambda k: k / 100))
@example(torch.tensor([0.0, -0.0, 1.0]), 0.4)
@example(torch.tensor([-0.0, 0.0, -1.0, math.inf], dtype=torch.float64), 0.5)
def test_a_contamination(losses, contamination):
    """The level by its digits; where none exists the weights stay."""
    assert_same(*pair(losses, contamination=contamination))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_many_samples(dtype):
    """More than the programs' tiles hold at a time."""
    losses = torch.randn(1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    for settings in ({"gamma": 1.5}, {"contamination": 0.3}, {"contamination": 0}):
        assert_same(*pair(losses, **settings))


@given(float_losses(), st.floats(0.01, 1), weight_types)
def test_damped_steps(losses, step, dtype):
    """Two of them, the same bits: each operation is rounded."""
    ours, _, reference, _ = pair(losses, gamma=1.0, step=step, dtype=dtype)
    second = -losses.clamp(max=4)
    queued(ours, second)
    reference.update(second)
    assert torch.equal(ours[:].cpu(), reference[:])


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([0.0, math.nan, math.nan], r"losses must not be NaN, got nan at index 1"),
        ([0.0, 1.0, -math.inf], r"losses must lie in .*, got -inf at index 2"),
        ([math.inf] * 3, r"losses must hold a finite value, got only \+inf \(3 of them\)"),
        ([0.0, math.inf, 2.0**961], r"losses must lie in .*, got 1\.949\d*e\+289 at index 2"),
    ],
)
@pytest.mark.parametrize("settings", [{"gamma": 1.0, "step": 0.5}, {"contamination": 0.4}])
def test_a_refusal_is_heard_of_at_the_next_look(losses, message, settings):
    """The weights stay, the first refusal is kept until somebody looks, then all goes on."""
    rw = Reweighter(3, **settings).to(DEVICE)
    good = torch.tensor([0.0, 0.5, 9.0], dtype=torch.float64)
    queued(rw, good)
    before = [x.clone() for x in rw.state_dict().values()]
    queued(rw, torch.tensor(losses, dtype=torch.float64))
    assert all(torch.equal(a, b) for a, b in zip(before, rw.state_dict().values(), strict=True))
    update = queued(rw, good)
    with pytest.raises(ValueError, match=message):
        update.n_pruned  # noqa: B018
    assert update.n_pruned == rw.latest().n_pruned >= 1


def test_a_refused_update_never_looks_like_another_outcome():
    """Its own report says so whenever it is asked; the others' only once, and the first refusal."""
    rw = Reweighter(3, gamma=1.0).to(DEVICE)
    good = queued(rw, torch.tensor([0.0, 0.5, 9.0]))
    first = queued(rw, torch.tensor([0.0, math.nan, 1.0]))
    second = queued(rw, torch.tensor([-math.inf, 0.0, 1.0]))
    with pytest.raises(ValueError, match="got nan at index 1"):
        good.minimum  # noqa: B018
    assert good.n_pruned == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="got nan at index 1"):
            first.outcome  # noqa: B018
        with pytest.raises(ValueError, match="got -inf at index 0"):
            second.outcome  # noqa: B018
        with pytest.raises(ValueError, match="got -inf at index 0"):
            rw.latest()
    assert rw[:].tolist() == [2, 1, 0]


def test_looking_at_one_refusal_keeps_another():
    """The first is still to be heard of, at a report of an update that was not refused."""
    rw = Reweighter(3, gamma=1.0).to(DEVICE)
    queued(rw, torch.tensor([0.0, math.nan, 1.0]))
    second = queued(rw, torch.tensor([-math.inf, 0.0, 1.0]))
    good = queued(rw, torch.tensor([0.0, 0.5, 9.0]))
    with pytest.raises(ValueError, match="got -inf at index 0"):
        second.outcome  # noqa: B018
    with pytest.raises(ValueError, match="got nan at index 1"):
        good.n_pruned  # noqa: B018
    assert good.n_pruned == 1


def test_the_range_of_losses_is_closed():
    """-2^960 and 2^960 are in it."""
    losses = torch.tensor([2.0**960, -(2.0**960), 0.0], dtype=torch.float64)
    assert_same(*pair(losses, gamma=1.0))


class NoLook(TorchDispatchMode):
    """Refuse whatever makes the host wait for a number from the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "equal", "item"), name
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{"gamma": 1.0, "step": 0.5}, {"contamination": 0.3}])
def test_the_host_does_not_wait(settings):
    """Neither in an update nor for a batch's weights; it does when it looks."""
    losses = torch.randn(40, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    rw = Reweighter(40, **settings).to(DEVICE)
    queued(rw, losses)  # what depends on the type alone is found once
    rw = Reweighter(40, **settings).to(DEVICE)
    index = torch.arange(3).to(DEVICE)
    with NoLook():
        update = queued(rw, losses)
        rw.scaled_weights.take(index)
    assert type(update) is not Reweighting
    reference = Reweighter(40, **settings).update(losses.cpu())
    assert update == reference
    assert type(update) is Reweighting
    assert hash(update) == hash(reference)


def test_looking_again_sees_what_a_graph_repeats():
    """The latest update is read anew; on the CPU it is what update returned."""
    rw = Reweighter(3, gamma=1.0).to(DEVICE)
    assert rw.latest() is None
    queued(rw, torch.tensor([0.0, 5.0, 9.0]))
    assert rw.latest().n_pruned == 2
    state, _ = rw._last
    state[3] = 1
    assert rw.latest().n_pruned == 1
    plain = Reweighter(3, gamma=1.0)
    assert plain.update([0.0, 5.0, 9.0]) is plain.latest()


def test_a_cap_and_a_budget_are_served_too():
    """By counting; nothing is queued."""
    losses = torch.tensor([0.0, 1.0, 5.0, 9.0])
    for settings in ({"gamma": 1.0, "cap": 2}, {"budget": 0.25}):
        ours, update, reference, expected = pair(losses, **settings)
        assert_same(ours, update, reference, expected)
        assert type(update) is Reweighting


def test_outcomes_are_named():
    """As on the CPU."""
    for losses, outcome in (
        ([0.0, 1.0, 2.0, 3.0], ReweightOutcome.GAMMA_ZERO),
        ([0.0, 0.0, 0.0, 3.0], ReweightOutcome.NO_LEVEL),
    ):
        rw = Reweighter(4, contamination=0.75).to(DEVICE)
        assert queued(rw, torch.tensor(losses)).outcome is outcome


def test_the_compiler_takes_all_kernels(tmp_path):
    """For compute capability 9.0: no fused operation and no approximate division in them."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("compile_kernels.py")
    answer = subprocess.run(
        [sys.executable, script],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(script.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    lines = answer.stdout.splitlines()
    digits = sum(bits // 8 for bits in (16, 16, 32, 64))
    # For float32 once more, with one sample.
    assert len(lines) == 5 * 5 + 2 * (digits + 4) + 4
    assert all(line.endswith("|") for line in lines), lines


@pytest.mark.skipif(DEVICE != "cuda", reason="captures a CUDA graph")
def test_an_update_is_captured_in_a_graph():
    """Replayed on new losses it gives the new weights."""
    losses = torch.zeros(48_000, device=DEVICE)
    rw = Reweighter(48_000, gamma=1.0).to(DEVICE)
    rw.update(losses)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        rw.update(losses)
    c = torch.as_tensor(np.random.default_rng(0).exponential(size=48_000), dtype=torch.float32)
    losses.copy_(c)
    graph.replay()
    reference = Reweighter(48_000, gamma=1.0)
    assert rw.latest() == reference.update(c)
    assert torch.equal(rw[:].cpu(), reference[:])
