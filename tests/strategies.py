"""Problems that are valid by construction, in numbers exact in binary, so ties are real."""

import math

import numpy as np
from hypothesis import strategies as st

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
