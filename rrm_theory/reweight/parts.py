"""The parts of a data set that the weights distinguish, and where in the order of losses they end.

Without a cap, mass leaves the largest losses for the smallest, I_min. With a cap it fills the small
losses one after the other; the last that receives, and the last that gives, may do so in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple


class Part(IntEnum):
    """What happened to a sample's mass, from the largest losses down."""

    PRUNED = 0
    THINNED = 1
    UNTOUCHED = 2
    RAISED = 3
    FULL = 4


class Cuts(NamedTuple):
    """Keys that divide the samples.

    Up to `full` they are full, from there to `raised` they are raised, to `kept` untouched, to
    `pruned` thinned, and pruned beyond.
    """

    full: int
    raised: int
    kept: int
    pruned: int


def as_sizes(full: int, raised: int, thinned: int, pruned: int) -> list[int]:
    """Return the sizes of all parts but the untouched, from full to pruned.

    The given `raised` counts the full ones too, and `thinned` the pruned ones.

    Examples
    --------
    >>> as_sizes(1, 3, 4, 4)
    [1, 2, 0, 4]

    """
    return [full, raised - full, thinned - pruned, pruned]


def shares(sizes: Sequence[int], moved: Fraction, room: Fraction) -> list[Fraction]:
    """Return N p on every part, in the order of `Part`, exact.

    Parameters
    ----------
    sizes
        How many samples are full, raised, thinned, pruned.
    moved
        The mass that moves, in samples.
    room
        What a full sample holds beyond 1: the cap less 1.

    Examples
    --------
    Two samples are pruned, and their mass goes to the cheapest one.

    >>> [str(share) for share in shares([0, 1, 0, 2], Fraction(2), Fraction(0))]
    ['0', '1', '1', '3', '1']

    """
    full, raised, thinned, pruned = sizes
    given = Fraction(moved - pruned, thinned) if thinned else Fraction(0)
    received = Fraction(moved - room * full, raised) if raised else Fraction(0)
    held = 1 + room if full else Fraction(1)
    return [Fraction(0), 1 - given, Fraction(1), 1 + received, held]
