"""Problems that are valid by construction, in numbers exact in binary, so ties are real."""

import math
from fractions import Fraction

import numpy as np
import torch
from hypothesis import strategies as st

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# Multiples of 1/8 of a small range: equal losses, and losses exactly at the cut, do occur.
eighths = st.integers(-64, 64).map(lambda k: k / 8)
gammas = st.integers(1, 64).map(lambda k: k / 8)
losses = st.lists(eighths, min_size=1, max_size=12).map(np.array)

# Contaminations in hundredths, as people write them.
contaminations = st.integers(0, 99).map(lambda k: k / 100)


@st.composite
def losses_with_infinities(draw):
    """Losses of which some, not all, are +inf."""
    c = draw(losses)
    gone = draw(st.lists(st.booleans(), min_size=len(c), max_size=len(c)))
    gone[draw(st.integers(0, len(c) - 1))] = False
    return np.where(gone, np.inf, c)


@st.composite
def losses_next_to_the_cut(draw):
    """(losses, gamma) in arbitrary floats, with losses within two floats of c_min + gamma."""
    minimum = draw(st.floats(-1e6, 1e6))
    gamma = draw(st.floats(1e-12, 1e6))
    near = minimum + gamma
    steps = draw(st.lists(st.integers(-2, 2), min_size=1, max_size=6))
    c = [minimum]
    for step in steps:
        value = near
        for _ in range(abs(step)):
            value = math.nextafter(value, math.copysign(math.inf, step))
        c.append(max(value, minimum))
    return np.array(c), gamma


@st.composite
def distributions(draw, n):
    """A probability vector of n multiples of 1/64, some of them 0."""
    cuts = sorted(draw(st.lists(st.integers(0, 64), min_size=n - 1, max_size=n - 1)))
    return np.diff([0, *cuts, 64]) / 64


@st.composite
def losses_and_nominal(draw):
    """Losses and a nominal distribution of the same length."""
    c = draw(losses)
    return c, draw(distributions(len(c)))


@st.composite
def losses_and_weights(draw):
    """Losses and any point of the simplex, as integers to be divided by their sum."""
    c = draw(losses)
    mass = draw(st.lists(st.integers(0, 9), min_size=len(c), max_size=len(c)))
    mass[draw(st.integers(0, len(c) - 1))] += 1
    return c, mass


@st.composite
def tied_problems(draw, *, infinities=True):
    """(losses, gamma), up to 8 samples; each is cheapest, between, exactly at the cut, or above."""
    gamma = draw(gammas)
    minimum = draw(eighths)
    between = st.integers(1, max(1, int(8 * gamma) - 1)).map(lambda k: minimum + k / 8)
    above = st.integers(1, 16).map(lambda k: minimum + gamma + k / 8)
    kinds = [st.just(minimum), between, st.just(minimum + gamma), above]
    others = draw(st.lists(st.one_of(kinds + [st.just(np.inf)] * infinities), max_size=7))
    return np.array(draw(st.permutations([minimum, *others]))), gamma


@st.composite
def tied_problems_and_nominal(draw):
    """(losses, gamma, nominal), up to 8 samples, some of them without mass."""
    c, gamma = draw(tied_problems())
    return c, gamma, draw(distributions(len(c)))


@st.composite
def displacements(draw, q):
    """A feasible u in fractions: the difference of a random distribution and q."""
    mass = draw(st.lists(st.integers(0, 9), min_size=len(q), max_size=len(q)))
    mass[draw(st.integers(0, len(q) - 1))] += 1
    return [Fraction(k, sum(mass)) - x for k, x in zip(mass, q, strict=True)]


@st.composite
def float_losses(draw, *, most=40):
    """Losses of any float type: ties, signed zeros, subnormals, huge ones, +inf, never all +inf."""
    dtype = draw(st.sampled_from(DTYPES))
    info = torch.finfo(dtype)
    special = [0.0, -0.0, info.tiny, -info.tiny, info.smallest_normal / 2, math.inf, info.max / 4]
    if dtype == torch.float64:
        special[-1] = 2.0**960
    number = st.integers(-8, 8).map(lambda k: k / 8) | st.sampled_from(special)
    values = draw(st.lists(number, min_size=1, max_size=most))
    if all(value == math.inf for value in values):
        values[0] = 0.0
    return torch.tensor(values, dtype=dtype)
