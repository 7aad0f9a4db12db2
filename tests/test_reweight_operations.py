"""ICLR paper, Corollary 3.1.1, Section 3.5.1; theory.md A.7: scan, count, mark, select on keys."""

import math
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import exact_level
from strategies import DTYPES, float_losses

from rrm_theory.reweight import Reweighter, compiled, order, plain
from rrm_theory.reweight import reweighter as module
from rrm_theory.reweight.parts import Cuts, Part

BACKENDS = (plain, compiled)


def floats(losses):
    """Return a tensor's numbers as Python floats, -0.0 as 0.0."""
    return [float(x) + 0.0 for x in losses.double()]


@given(float_losses())
def test_keys_are_ordered_as_losses_are(losses):
    """Pairwise, but for -0.0, which is one key below 0.0; and back."""
    keys = plain.keys(order.bits(losses)).tolist()
    numbers = losses.double().tolist()
    assert [order.key(x, losses.dtype) for x in numbers] == keys
    assert [order.value(k, losses.dtype) for k in keys] == floats(losses)
    for x, k in zip(numbers, keys, strict=True):
        for y, other in zip(numbers, keys, strict=True):
            if x < y:
                assert k < other
            if x == y:
                assert abs(k - other) == (math.copysign(1, x) != math.copysign(1, y))


@given(st.sampled_from(DTYPES), st.floats(-(2.0**960), 2.0**960))
@example(torch.bfloat16, -0.0)
@example(torch.float16, 1e300)
@example(torch.float32, 1.0 + 2.0**-30)
def test_the_largest_key_at_most_a_limit(dtype, limit):
    """Its float is at most the limit, the next one is not."""
    k = order.largest_key(limit, dtype)
    assert order.value(k, dtype) <= limit
    assert order.value(k + 1, dtype) > limit


def test_infinities_bound_the_numbers_and_nan_lies_beyond():
    """Of both signs."""
    for dtype in DTYPES:
        infinite = order.key(math.inf, dtype)
        assert order.key(-math.inf, dtype) == -1 - infinite
        nan = torch.tensor([math.nan, -math.nan], dtype=dtype)
        nan[1] = torch.copysign(nan[1], torch.tensor(-1.0, dtype=dtype))
        above, below = plain.keys(order.bits(nan)).tolist()
        assert above > infinite
        assert below < -1 - infinite


@pytest.mark.parametrize("do", BACKENDS, ids=lambda do: do.__name__.rpartition(".")[2])
@given(losses=float_losses(), data=st.data())
def test_operations_against_their_definitions(do, losses, data):
    """Integers in Python: smallest, largest, counts, the K-th largest, the largest below."""
    bits = order.bits(losses)
    keys = plain.keys(bits).tolist()
    assert do.scan(bits) == (min(keys), max(keys))
    some_key = st.sampled_from(keys)
    limit, cut = data.draw(some_key), data.draw(some_key)
    assert do.count(bits, limit, cut) == (sum(k <= limit for k in keys), sum(k > cut for k in keys))
    rank = data.draw(st.integers(1, len(keys)))
    assert do.kth_largest(bits, rank) == sorted(keys, reverse=True)[rank - 1]
    numbers = floats(losses)
    smaller = [k for k, x in zip(keys, numbers, strict=True) if x < sorted(numbers)[-rank]]
    assert do.level(bits, rank) == (max(smaller) if smaller else None)
    below = [k for k in keys if k < limit]
    assert do.largest_below(bits, limit) == (max(below) if below else None)


def part_of(key, cuts):
    """Return a sample's part, by its definition."""
    if key <= cuts.full:
        return Part.FULL
    if key <= cuts.raised:
        return Part.RAISED
    if key <= cuts.kept:
        return Part.UNTOUCHED
    return Part.THINNED if key <= cuts.pruned else Part.PRUNED


@pytest.mark.parametrize("do", BACKENDS, ids=lambda do: do.__name__.rpartition(".")[2])
@given(losses=float_losses(), data=st.data())
def test_marking_against_its_definition(do, losses, data):
    """Every sample's part, and the parts' sizes; parts may be empty."""
    bits = order.bits(losses)
    keys = plain.keys(bits).tolist()
    cuts = Cuts(*sorted(data.draw(st.sampled_from([*keys, min(keys) - 1])) for _ in range(4)))
    parts = torch.full((len(keys),), 7, dtype=torch.uint8)
    sizes = do.mark(bits, min(keys), cuts, parts)
    expected = [part_of(k, cuts) for k in keys]
    assert parts.tolist() == expected
    order_of_sizes = (Part.FULL, Part.RAISED, Part.THINNED, Part.PRUNED)
    assert sizes == [expected.count(part) for part in order_of_sizes]


@pytest.mark.parametrize("do", BACKENDS, ids=lambda do: do.__name__.rpartition(".")[2])
@given(
    losses=float_losses(),
    shift=st.sampled_from([0, 3, 11, 16, 42, 44]),
    digit=st.integers(1, 22),
    data=st.data(),
)
def test_histograms_against_their_definition(do, losses, shift, digit, data):
    """Digits of key - lowest, as Python's integers have them."""
    bits = order.bits(losses)
    keys = plain.keys(bits).tolist()
    shift = min(shift, order.width(losses.dtype) - 1)
    ranks = [k - min(keys) for k in keys]
    prefix = data.draw(st.sampled_from(ranks)) >> (shift + digit)
    counts = do.histogram(bits, min(keys), shift, digit, prefix)
    expected = Counter(
        (rank >> shift) % 2**digit for rank in ranks if rank >> (shift + digit) == prefix
    )
    assert len(counts) == 2**digit
    assert {i: int(counts[i]) for i in counts.nonzero().flatten().tolist()} == expected


@given(float_losses(), st.data())
def test_selection_by_histograms(losses, data):
    """At most three of them, however far the keys are apart; two for 32 bits, one for 16."""
    bits = order.bits(losses)
    keys = plain.keys(bits).tolist()
    rank = data.draw(st.integers(1, len(keys)))
    asked = []

    def histogram(shift, digit, prefix):
        asked.append(digit)
        return plain.histogram(bits, min(keys), shift, digit, prefix)

    found = order.kth_largest(histogram, min(keys), max(keys), rank)
    assert found == sorted(keys, reverse=True)[rank - 1]
    width = order.width(losses.dtype)
    assert len(asked) <= {16: 1, 32: 2, 64: 3}[width]
    assert all(digit <= {16: 16, 32: 16, 64: 22}[width] for digit in asked)


@given(float_losses(), st.sampled_from([torch.float32, torch.float64]), st.floats(0.01, 1))
def test_a_damped_step_has_the_same_bits_in_both(losses, dtype, step):
    """w + step (share - w), each operation rounded."""
    parts = torch.arange(len(losses), dtype=torch.uint8) % len(Part)
    shares = torch.tensor([0.0, 0.3, 1.0, 1.7, 2.0], dtype=dtype)
    answers = []
    for do in BACKENDS:
        weights = torch.linspace(0, 3, len(losses), dtype=dtype)
        do.blend(parts, shares, step, weights)
        answers.append(weights)
    assert torch.equal(*answers)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_blocks_and_a_rest(dtype):
    """Losses beyond one block; the smallest in the last, shorter one."""
    n = 3 * compiled.BLOCK + 17
    losses = torch.randn(n, generator=torch.Generator().manual_seed(0)).to(dtype)
    losses[-1] = -30.0
    bits = order.bits(losses)
    lowest, highest = compiled.scan(bits)
    assert (lowest, highest) == plain.scan(bits)
    assert compiled.count(bits, lowest, lowest) == (1, n - 1)
    for rank in (1, n // 3, n):
        assert compiled.kth_largest(bits, rank) == plain.kth_largest(bits, rank)
    cuts = Cuts(lowest, 0, 0, highest - 1)
    answers = [(torch.empty(n, dtype=torch.uint8), do) for do in BACKENDS]
    sizes = [do.mark(bits, lowest, cuts, parts) for parts, do in answers]
    assert sizes[0] == sizes[1]
    assert torch.equal(answers[0][0], answers[1][0])


@pytest.mark.parametrize("do", BACKENDS, ids=lambda do: do.__name__.rpartition(".")[2])
@given(losses=float_losses(), gamma=st.integers(1, 32).map(lambda k: k / 8))
def test_an_update_prunes_what_fractions_say(do, losses, gamma):
    """In every type: pruned set, counts, minimum and weights by rational arithmetic."""
    rw = Reweighter(len(losses), gamma=gamma)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_operations", lambda _: do)
        update = rw.update(losses)
    numbers = floats(losses)
    minimum = min(numbers)
    pruned = [x == math.inf or Fraction(x) > Fraction(minimum) + Fraction(gamma) for x in numbers]
    cheapest = [x == minimum for x in numbers]
    assert rw.pruned.tolist() == pruned
    assert (update.minimum, update.n_minimum, update.n_pruned) == (
        minimum,
        sum(cheapest),
        sum(pruned),
    )
    heavy = np.float32(Fraction(sum(cheapest) + sum(pruned), sum(cheapest)))
    expected = [
        float(heavy) if low else float(not gone) for low, gone in zip(cheapest, pruned, strict=True)
    ]
    assert rw.scaled_weights.tolist() == expected


@pytest.mark.parametrize("do", BACKENDS, ids=lambda do: do.__name__.rpartition(".")[2])
@given(losses=float_losses(), hundredths=st.integers(0, 99))
def test_an_update_finds_the_level(do, losses, hundredths):
    """Section 3.5.1's, by trying all losses; with K from fractions."""
    contamination = Fraction(hundredths, 100)
    rw = Reweighter(len(losses), contamination=contamination)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_operations", lambda _: do)
        update = rw.update(losses)
    numbers = floats(losses)
    level = exact_level(numbers, contamination)
    if level is None:
        assert math.isnan(update.threshold)
        assert rw.scaled_weights.tolist() == [1.0] * len(numbers)
    else:
        assert update.threshold == level
        assert rw.pruned.tolist() == [x > level for x in numbers]


def test_without_numba_the_plain_operations_serve(monkeypatch):
    """Where it cannot be imported, and on every other device."""
    monkeypatch.setitem(sys.modules, "rrm_theory.reweight.compiled", None)
    module._operations.cache_clear()
    try:
        assert module._operations("cpu") is plain
        assert module._operations("cuda") is plain
    finally:
        module._operations.cache_clear()
    monkeypatch.undo()
    assert module._operations("cpu") is compiled


@pytest.mark.parametrize("low", [-3, -1, 3, 6])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bracket_against_its_definition(dtype, low):
    """How many keys are above it, all that are in it; also in the last, shorter block."""
    n = 3 * compiled.BLOCK + 100
    c = torch.randint(-8, 8, (n,), generator=torch.Generator().manual_seed(0)).to(dtype)
    c = torch.where((c == 0) & (torch.arange(n) % 2 == 0), -0.0, c)
    c[::50] = math.inf
    if low == 6:  # all that is inside is in the last block
        c[:-100].clamp_(max=5)
    keys = plain.keys(order.bits(c)).numpy()
    low, high = (order.key(x, dtype) for x in (low, low + 2))
    inside = keys[(low <= keys) & (keys <= high)]

    def bracket(room):
        integers, to = compiled._view(order.bits(c))
        ends = np.array([low, high], keys.dtype).view(f"u{keys.dtype.name}")
        collected = np.empty(room, keys.dtype)
        return (*compiled._bracket(integers, *to, ends, collected), collected)

    above, found, collected = bracket(n)
    assert (above, found) == ((keys > high).sum(), len(inside))
    assert Counter(collected[:found].tolist()) == Counter(inside.tolist())
    *_, too_many, _ = bracket(len(inside) - 1)
    assert too_many > len(inside) - 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "family", ["untied", "signed", "levels", "equal", "outlier", "periodic", "sorted"]
)
@pytest.mark.parametrize("sample", [64, 2048])
def test_selection_among_many(sample, family, dtype, monkeypatch):
    """Brackets that hold, that miss, that hold everything; short types tie a lot."""
    monkeypatch.setattr(compiled, "SAMPLE", sample)
    n = 3 * compiled.BLOCK + 5
    generator = torch.Generator().manual_seed(0)
    c = torch.empty(n).exponential_(generator=generator) ** 3
    if family == "signed":
        c -= 1
    elif family == "levels":
        c = (c * 2).floor().clamp(max=9)
    elif family == "equal":
        c = torch.where(torch.arange(n) % 100 == 0, c, 1.0)
    elif family == "outlier":
        c[7] = 1e4
    elif family == "periodic":
        # What a sample with a stride sees is not what there is.
        c[:: n // 64] = -5.0
    elif family == "sorted":
        c = c.sort().values
    bits = order.bits(c.to(dtype))
    for rank in (1, 2, n // 5, n // 2, n - 1, n):
        assert compiled.kth_largest(bits, rank) == plain.kth_largest(bits, rank)
        assert compiled.level(bits, rank) == plain.level(bits, rank)


def test_losses_that_are_not_contiguous():
    """A column of a matrix."""
    matrix = torch.tensor([[0.0, 9.0], [1.0, 9.0], [10.0, 9.0]])
    rw = Reweighter(3, gamma=2.0)
    rw.update(matrix[:, 0])
    assert rw[[0, 1, 2]].tolist() == [2, 1, 0]
