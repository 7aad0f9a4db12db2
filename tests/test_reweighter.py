"""ICLR paper, Corollary 3.1.1 and Algorithm 3 in torch: the reweighter against relax and the LP."""

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import exact_level, exact_sets, linear_program
from strategies import (
    contaminations,
    gammas,
    losses,
    losses_next_to_the_cut,
    losses_with_infinities,
)

from rrm_theory import relax
from rrm_theory.reweight import Reweighter, ReweightOutcome

FLOATS = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
steps = st.integers(1, 8).map(lambda k: k / 8)


@given(losses_with_infinities(), gammas)
@example(np.array([-0.0, 0.0, 5.0]), 1.0)  # the two zeros are one minimum
def test_step_one_is_relax_bit_for_bit(c, gamma):
    """Pruned set and counts equal relax's; N p is the same rational, rounded to the dtype."""
    r = relax(c, gamma=gamma)
    rw = Reweighter(len(c), gamma=gamma, dtype=torch.float64)
    update = rw.update(c)
    cheapest, _, pruned = exact_sets(c, gamma)
    assert rw.pruned.tolist() == r.pruned.tolist()
    assert (update.n_minimum, update.n_pruned) == (len(cheapest), len(pruned))
    assert update.minimum == c.min()
    assert update.freed_mass == Fraction(len(pruned), len(c))
    heavy = float(1 + Fraction(len(pruned), len(cheapest)))
    expected = np.where(r.pruned, 0.0, np.where(c == c.min(), heavy, 1.0))
    assert rw[:].tolist() == expected.tolist()


@given(losses_next_to_the_cut())
def test_the_cut_is_exact(problem):
    """Losses within two floats of c_min + gamma are placed as relax places them."""
    c, gamma = problem
    rw = Reweighter(len(c), gamma=gamma)
    rw.update(c)
    assert rw.pruned.tolist() == relax(c, gamma=gamma).pruned.tolist()


@given(losses, gammas)
def test_the_weights_solve_the_linear_program(c, gamma):
    """<p, c> + (gamma/2)|p - 1/N|_1 at the reweighter's p is the minimum that HiGHS finds."""
    rw = Reweighter(len(c), gamma=gamma, dtype=torch.float64)
    rw.update(c)
    p = rw.weights.numpy()
    value = p @ c + gamma / 2 * np.abs(p - 1 / len(c)).sum()
    # HiGHS is feasible and optimal to 1e-7, on losses up to 16 in size.
    assert value == pytest.approx(linear_program(c, gamma)[0], abs=16e-7)


@given(losses_with_infinities(), contaminations)
def test_contamination_prunes_above_the_level(c, contamination):
    """With C' the pruned set is {c_i > l}, and the weights stay where no level exists."""
    rw = Reweighter(len(c), contamination=contamination, dtype=torch.float64)
    update = rw.update(c)
    level = exact_level(c, Fraction(str(contamination)))
    if level is None:
        assert update.outcome is ReweightOutcome.NO_LEVEL
        assert np.isnan(update.threshold)
        assert (rw[:] == 1).all()
        assert not rw.pruned.any()
    else:
        assert update.threshold == level
        assert rw.pruned.tolist() == (c > level).tolist()
        heavy = float(1 + Fraction(int((c > level).sum()), int((c == c.min()).sum())))
        expected = np.where(c > level, 0.0, np.where(c == c.min(), heavy, 1.0))
        assert rw[:].tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", FLOATS)
@given(losses_with_infinities(), gammas)
def test_short_floats_are_compared_exactly(dtype, c, gamma):
    """Eighths up to 8 are exact in every float type, so the sets do not depend on it."""
    rw = Reweighter(len(c), gamma=gamma)
    rw.update(torch.tensor(c, dtype=dtype))
    assert rw.pruned.tolist() == relax(c, gamma=gamma).pruned.tolist()


def test_a_float32_loss_is_not_rounded_against_a_float64_price():
    """0.1 as float32 exceeds 0 + 0.1 as float64, and is pruned."""
    loss = torch.tensor([0.0, 0.1], dtype=torch.float32)
    assert float(loss[1]) > 0.1
    rw = Reweighter(2, gamma=0.1)
    rw.update(loss)
    assert rw.pruned.tolist() == [False, True]


@given(st.lists(losses_with_infinities(), min_size=1, max_size=4), gammas, steps)
def test_damped_steps_follow_the_recurrence(rounds, gamma, step):
    """u <- mu u* + (1 - mu) u; multiples of 1/8 make it exact up to the argmin's quotient."""
    n = min(map(len, rounds))
    rw = Reweighter(n, gamma=gamma, step=step, dtype=torch.float64)
    expected = [Fraction(1)] * n
    mu = Fraction(step)
    for c in rounds:
        head = c[:n].copy()
        head[0] = 0.0  # one finite loss at least
        rw.update(head)
        cheapest, _, pruned = exact_sets(head, gamma)
        target = [Fraction(1)] * n
        for i in cheapest:
            target[i] += Fraction(len(pruned), len(cheapest))
        for i in pruned:
            target[i] = Fraction(0)
        expected = [mu * t + (1 - mu) * w for t, w in zip(target, expected, strict=True)]
    # Three roundings a round of numbers up to 1 + N <= 16.
    tolerance = 3 * len(rounds) * 16 * 2.0**-53
    assert rw[:].tolist() == pytest.approx([float(w) for w in expected], abs=tolerance, rel=0)
    assert float(rw.u.sum()) == pytest.approx(0, abs=n * tolerance)


@given(losses, steps)
def test_an_untouched_sample_weighs_exactly_one(c, step):
    """Damping leaves 1 at 1, in float32 too."""
    n = len(c)
    rw = Reweighter(n, gamma=16.0, step=step)  # more than c_max - c_min can be
    for _ in range(3):
        assert rw.update(c).outcome is ReweightOutcome.NOTHING_PRUNED
    assert (rw[:] == 1).all()
    assert (rw.u == 0).all()


@given(losses_with_infinities(), gammas)
def test_weights_and_u_are_the_scaled_weights(c, gamma):
    """P = N p / N and u = p - 1/N, to float64 rounding."""
    n = len(c)
    rw = Reweighter(n, gamma=gamma, dtype=torch.float64)
    rw.update(c)
    r = relax(c, gamma=gamma)
    assert rw.weights.tolist() == pytest.approx(r.weights.tolist(), rel=2.0**-51, abs=0)
    assert rw.u.tolist() == pytest.approx(r.u.tolist(), rel=2.0**-48, abs=0)


@given(losses_with_infinities(), gammas, st.randoms(use_true_random=False), st.data())
def test_the_order_of_the_samples_does_not_matter(c, gamma, random, data):
    """Weights move with their samples, bit for bit, whatever the setting."""
    settings = data.draw(
        st.sampled_from(
            [
                {"gamma": gamma},
                {"gamma": gamma, "step": 0.3},
                {"contamination": 0.4},
                {"gamma": gamma, "cap": 1.5},
                {"budget": 0.3},
            ]
        )
    )
    places = list(range(len(c)))
    random.shuffle(places)
    one, other = Reweighter(len(c), **settings), Reweighter(len(c), **settings)
    assert repr(one.update(c)) == repr(other.update(c[places]))
    assert torch.equal(one[places], other[:])


def test_indexing():
    """rw[index] gives N p in the index's shape, for ints, lists, tensors and slices."""
    rw = Reweighter(4, gamma=2.0)
    rw.update([0.0, 1.0, 10.0, 20.0])
    assert rw[3] == 0
    assert rw[[0, 1]].tolist() == [3, 1]
    assert rw[torch.tensor([[0], [2]])].tolist() == [[3], [0]]
    assert rw[np.array([], dtype=int)].tolist() == []
    assert rw[1:3].tolist() == [1, 0]
    assert len(rw) == 4
    assert rw[0].dtype is torch.float32
    assert repr(rw) == "Reweighter(4, gamma=2.0, step=1.0)"
    assert repr(Reweighter(4, contamination=0.2)) == "Reweighter(4, contamination=1/5, step=1.0)"


@pytest.mark.parametrize(("index", "shown"), [([4], 4), ([0, -1], -1), (7, 7)])
def test_unknown_samples_are_refused(index, shown):
    """Negative indices are unknown too: nobody's batch means the last sample by -1."""
    with pytest.raises(ValueError, match=rf"index must lie in \[0, 4\), got .* sample {shown}"):
        Reweighter(4, gamma=1.0)[index]


@pytest.mark.parametrize("index", [[0.5], [True]])
def test_an_index_must_be_an_integer(index):
    """Floats and masks are refused."""
    with pytest.raises(ValueError, match=r"index must hold integers, got (float64|bool)"):
        Reweighter(4, gamma=1.0)[index]
    with pytest.raises(ValueError, match=r"index must hold integers, got torch.(float32|bool)"):
        Reweighter(4, gamma=1.0)[torch.tensor(index)]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_every_integer_type_is_an_index(dtype):
    """torch itself would take uint8 for a mask, and refuse int16."""
    rw = Reweighter(4, gamma=2.0)
    rw.update([0.0, 1.0, 10.0, 20.0])
    index = torch.tensor([3, 0, 0, 1], dtype=dtype)
    assert rw[index].tolist() == rw[index.numpy()].tolist() == [0, 3, 3, 1]


def test_reading_does_not_open_the_state():
    """Slices and iteration give copies; views with other strides are read as they look."""
    rw = Reweighter(3, gamma=2.0)
    rw[:].zero_()
    rw[0].zero_()
    assert list(rw) == [1, 1, 1]
    assert rw[[]].tolist() == []
    rw.update(np.array([9.0, 1.0, 0.0])[::-1])
    assert rw[np.arange(3)[::-1]].tolist() == [0, 1, 2]
    rw.update(np.array([9.0, 1.0, 0.0], dtype=">f8"))
    assert rw[:].tolist() == [0, 1, 2]


def test_gamma_zero_is_a_named_outcome():
    """With C' = 0.75 of (0, 1, 2, 3) only the minimum stays: outside Theorem 3.1, and said so."""
    rw = Reweighter(4, contamination=0.75)
    assert rw.update([0.0, 1.0, 2.0, 3.0]).outcome is ReweightOutcome.GAMMA_ZERO
    assert rw[:].tolist() == [4, 0, 0, 0]


def test_a_price_that_rounds_to_nothing_is_still_a_price():
    """1 + 2^-60 rounds down to 1, the minimum itself; gamma is not zero."""
    rw = Reweighter(2, gamma=2.0**-60)
    update = rw.update([1.0, 1.0 + 2.0**-52])
    assert update.threshold == update.minimum == 1
    assert update.outcome is ReweightOutcome.REWEIGHTED


@pytest.mark.parametrize(
    ("c", "message"),
    [
        ([0.0, 1.0], r"losses must have shape \(3,\), one per sample, got \(2,\)"),
        ([0.0, np.nan, 1.0], r"losses must not be NaN, got nan at index 1"),
        ([0.0, 1.0, np.copysign(np.nan, -1)], r"losses must not be NaN, got nan at index 2"),
        (torch.tensor([1.0, -torch.nan, 0.0]), r"losses must not be NaN, got nan at index 1"),
        ([np.inf] * 3, r"losses must hold a finite value, got only \+inf \(3 of them\)"),
        ([0.0, 1.0, -np.inf], r"got -inf at index 2"),
        ([0, 0, 2**53 + 1], r"exact in float64, got the integer 9007199254740993 at index 2"),
        (torch.tensor([0, 2**53 + 1, 0]), r"got the integer 9007199254740993 at index 1"),
        ([True, False, True], r"losses must be real numbers, got dtype bool"),
        (torch.tensor([True, False, True]), r"losses must be real numbers, got torch.bool"),
        (["a", "b", "c"], r"losses must be real numbers, got dtype <U1"),
    ],
)
def test_bad_losses_leave_the_weights_alone(c, message):
    """A refused update changes nothing."""
    rw = Reweighter(3, gamma=1.0)
    rw.update([0.0, 5.0, 0.5])
    before = copy.deepcopy(rw.state_dict())
    with pytest.raises(ValueError, match=message):
        rw.update(c)
    assert all(torch.equal(before[name], value) for name, value in rw.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0, "gamma": 1.0}, "n_samples must be an integer of at least 1, got 0"),
        ({"n_samples": 2.0, "gamma": 1.0}, "n_samples must be an integer of at least 1, got 2.0"),
        ({"n_samples": 2}, "exactly one .* got gamma=None, contamination=None, budget=None"),
        (
            {"n_samples": 2, "gamma": 1.0, "contamination": 0.1},
            "exactly one .* got gamma=1.0, contamination=0.1",
        ),
        ({"n_samples": 2, "gamma": -1.0}, "gamma must be positive and finite .*, got -1.0"),
        ({"n_samples": 2, "contamination": 1.0}, r"contamination must lie in \[0, 1\), got 1.0"),
        ({"n_samples": 2, "gamma": 1.0, "budget": 0.1}, "exactly one .* got .* budget=0.1"),
        ({"n_samples": 2, "budget": 1.0}, r"budget must lie in \[0, 1\), got 1.0"),
        ({"n_samples": 2, "gamma": 1.0, "cap": 0.5}, "cap must be .*, got 0.5"),
        ({"n_samples": 2, "gamma": 1.0, "step": True}, r"step must lie in \(0, 1\], got True"),
        (
            {"n_samples": 2, "gamma": 1.0, "step": Fraction(1, 10**400)},
            r"step must lie in \(0, 1\], got Fraction",
        ),
        ({"n_samples": 2, "gamma": 1.0, "step": 0}, r"step must lie in \(0, 1\], got 0"),
        ({"n_samples": 2, "contamination": 0.1, "step": 0.5}, "step must be 1 with contamination"),
        ({"n_samples": 2, "gamma": 1.0, "dtype": torch.float16}, "dtype must be .*, got torch.fl"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    """Every constructor argument has a domain, named in the error."""
    n = arguments.pop("n_samples")
    with pytest.raises(ValueError, match=message):
        Reweighter(n, **arguments)


def test_state_dict_continues_the_damped_recurrence():
    """A reweighter restored from its state_dict goes on with the same bits."""
    rounds = [[0.0, 3.0, 0.1], [1.0, 0.0, 5.0], [0.3, 0.2, 9.0]]
    whole = Reweighter(3, gamma=1.0, step=0.3)
    for c in rounds:
        whole.update(c)
    first, second = (Reweighter(3, gamma=1.0, step=0.3) for _ in range(2))
    first.update(rounds[0])
    second.load_state_dict(first.state_dict())
    for c in rounds[1:]:
        second.update(c)
    assert torch.equal(second[:], whole[:])
    assert torch.equal(second.pruned, whole.pruned)


@pytest.mark.parametrize("convert", ["half", "bfloat16", "double"])
def test_conversions_leave_the_types(convert):
    """A model is converted; the weights in it keep their precision, and a pass its losses."""
    rw, reference = (Reweighter(3, gamma=1.0, step=0.3) for _ in range(2))
    model = torch.nn.ModuleList([torch.nn.Linear(1, 1), rw])
    rw.record([0], [1 / 3])
    getattr(model, convert)()
    rw.record([1, 2], [0.5, 9.0])
    assert rw.step() == reference.update([1 / 3, 0.5, 9.0])
    assert torch.equal(rw[:], reference[:])
    assert rw[:].dtype is torch.float32
    assert rw.mass() == reference.mass()


def test_inference_mode_does_not_follow_the_weights():
    """Made, recorded and updated there, and used elsewhere."""
    with torch.inference_mode():
        rw = Reweighter(3, gamma=1.0, step=0.5)
        rw.record([0], [0.0])
        losses = torch.tensor([5.0, 0.0, 0.5])
    rw.record([1, 2], [0.5, 9.0])
    with torch.inference_mode():
        rw.step()
    assert rw.update(losses).n_pruned == 1
    assert rw[[0, 1, 2]].tolist() == [0.75, 1.5, 0.75]
    assert not rw[[0, 1, 2]].is_inference()


def test_an_update_inside_a_compiled_function():
    """torch.compile leaves it to Python; so, too, for a price beyond the losses' type."""
    for gamma in (1.0, 1e200):
        rw = Reweighter(3, gamma=gamma)

        def loop(losses, rw=rw):
            rw.update(losses * 2)
            return rw[torch.tensor([0, 1, 2])]

        compiled = torch.compile(loop, backend="eager")
        losses = torch.tensor([0.0, 0.25, 5.0])
        assert torch.equal(compiled(losses), torch.tensor([2.0, 1, 0] if gamma == 1 else [1.0] * 3))


def test_read_only_losses():
    """torch warns of them, and warnings are errors here."""
    c = np.array([0.0, 5.0])
    c.flags.writeable = False
    assert Reweighter(2, gamma=1.0).update(c).n_pruned == 1


def test_weights_carry_no_gradient():
    """The weights are constants of the training step, whatever the losses were computed from."""
    parameter = torch.tensor([0.0, 2.0], requires_grad=True)
    rw = Reweighter(2, gamma=1.0)
    rw.update(parameter * 2)
    assert not rw[[0, 1]].requires_grad
    (rw[[0, 1]] * parameter).sum().backward()
    assert parameter.grad.tolist() == [2.0, 0.0]


@given(losses, gammas, st.integers(1, 5), st.randoms(use_true_random=False))
def test_recording_in_batches_is_an_update(c, gamma, size, random):
    """In any order, of any sizes; the pass is forgotten afterwards."""
    whole, parts = Reweighter(len(c), gamma=gamma), Reweighter(len(c), gamma=gamma)
    order = list(range(len(c)))
    random.shuffle(order)
    for start in range(0, len(order), size):
        index = torch.tensor(order[start : start + size])
        parts.record(index, torch.tensor(c)[index])
    assert parts.step() == whole.update(torch.tensor(c))
    assert torch.equal(parts.scaled_weights, whole.scaled_weights)
    with pytest.raises(ValueError, match=r"step needs a loss of every sample, got none"):
        parts.step()


def test_a_loss_that_needs_a_gradient_is_recorded_without():
    """As it comes out of a training step."""
    rw = Reweighter(2, gamma=1.0)
    rw.record([1, 0], torch.tensor([5.0, 0.0], requires_grad=True) * 2)
    assert rw.step().n_pruned == 1
    assert rw[[0, 1]].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("index", "c", "match"),
    [
        ([2], [1.0], r"index must not repeat in a pass, got sample 2 again"),
        ([0, 0], [1.0, 2.0], r"index must not repeat in a pass, got sample 0 again"),
        ([4], [1.0], r"index must lie in \[0, 4\), got the unknown sample 4"),
        ([-1], [1.0], r"index must lie in \[0, 4\), got the unknown sample -1"),
        ([0, 1], [1.0], r"losses and index must be vectors of one length, got shapes \(1,\) and"),
        ([0], torch.ones(1), r"losses must keep their type in a pass, got torch.float32 after"),
        ([0], torch.ones(1) > 0, r"losses must be real numbers, got torch.bool"),
        ([0], [2**53 + 1], r"got the integer 9007199254740993 at index 0"),
    ],
)
def test_a_bad_record_changes_nothing(index, c, match):
    """The call is refused, and the pass can go on."""
    rw = Reweighter(4, gamma=1.0)
    rw.record([2], [3.0])
    with pytest.raises(ValueError, match=match):
        rw.record(index, c)
    rw.record([0, 1, 3], [0.0, 0.5, 9.0])
    assert rw.step().n_pruned == 2


def test_recorded_numbers_are_exact():
    """Python's floats are float64, whatever torch's default is."""
    rw = Reweighter(2, gamma=1e280)
    rw.record([0, 1], [0.1, 1e200])
    update = rw.step()
    assert (update.minimum, update.n_pruned) == (0.1, 0)


def test_what_a_refused_step_recorded_is_kept():
    """The reason can be seen again; nothing is stepped on."""
    rw = Reweighter(2, gamma=1.0)
    rw.record([0, 1], [0.0, np.nan])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"losses must not be NaN, got nan at index 1"):
            rw.step()
    assert rw[:].tolist() == [1, 1]


def test_a_pass_must_meet_every_sample():
    """The first that is missing is named; the pass can go on."""
    rw = Reweighter(4, gamma=1.0)
    rw.record([0, 3], [0.0, 9.0])
    with pytest.raises(ValueError, match=r"got 0 of sample 1 \(2 such samples\)"):
        rw.step()
    rw.record([1, 2], [0.5, 0.5])
    assert rw.step().n_pruned == 1


def test_a_pass_in_progress_is_not_in_the_state():
    """A pass is repeated, not resumed."""
    rw = Reweighter(2, gamma=1.0)
    rw.record([0], [1.0])
    assert set(rw.state_dict()) == {"parts", "shares"}
