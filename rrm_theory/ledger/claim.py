"""What the ledger is made of: a claim, the comparisons that decide it, what was found.

A claim is checked on instances, which are dictionaries of rational numbers. Its check yields
comparisons of two sides that were computed on their own; one that is false refutes the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Instance = Mapping[str, Any]
Check = Callable[..., Iterable["Comparison"]]


class Verdict(Enum):
    """What becomes of a printed statement."""

    HOLDS = "holds"
    CORRECTED = "holds with a correction"
    REFUTED = "refuted"


class Origin(Enum):
    """Who says it."""

    PRINTED = "printed"
    READING = "our reading"
    OURS = "ours"


class Relation(Enum):
    """How two sides are compared; the value is its sign."""

    EQUAL = "="
    AT_MOST = "≤"
    LESS = "<"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``left RELATION right`` for two sides that were computed each on its own.

    Attributes
    ----------
    left_name, right_name
        What the sides are, in symbols; the right one is empty if it is a plain value.
    left, right
        Their values: numbers (fractions where they are exact), truth values, or tuples.
    relation
        What is claimed of them.
    tolerance
        What a solver or rounding may add, times the larger of 1 and the sides; 0 is exact.

    """

    left_name: str
    left: Any
    relation: Relation
    right_name: str
    right: Any
    tolerance: float = 0.0

    @property
    def residual(self) -> float:
        """By how much the comparison fails, relative to the larger of 1 and the sides."""
        a, b = self.left, self.right
        if not (_is_number(a) and _is_number(b)):
            return float(a != b)
        if self._true_of(a, b):
            return 0.0
        if a == b or not (isfinite(a) and isfinite(b)):
            return inf
        return float(abs(a - b) / max(1, abs(a), abs(b)))

    def _true_of(self, a: Any, b: Any) -> bool:
        """Whether the relation is true of two numbers, exactly."""
        if self.relation is Relation.LESS:
            return bool(a < b)
        return bool(a == b or (self.relation is Relation.AT_MOST and a < b))

    @property
    def holds(self) -> bool:
        """Whether the residual is within the tolerance; NaN never is."""
        return self.residual <= self.tolerance

    def __str__(self) -> str:
        """Spell out both sides and whether the claim holds of them."""
        claimed = f"{self.left_name} {self.relation.value} {self.right_name or spell(self.right)}"
        found = f"{spell(self.left)} {self.relation.value} {spell(self.right)}"
        return f"{claimed}: {found} is {'true' if self.holds else 'false'}"


def equal(
    left_name: str, left: Any, right_name: str, right: Any, *, tolerance: float = 0.0
) -> Comparison:
    """Return the comparison ``left = right``."""
    return _compare(Relation.EQUAL, left_name, left, right_name, right, tolerance)


def at_most(
    left_name: str, left: Any, right_name: str, right: Any, *, tolerance: float = 0.0
) -> Comparison:
    """Return the comparison ``left <= right``."""
    return _compare(Relation.AT_MOST, left_name, left, right_name, right, tolerance)


def less(left_name: str, left: Any, right_name: str, right: Any) -> Comparison:
    """Return the comparison ``left < right``, which is exact."""
    return _compare(Relation.LESS, left_name, left, right_name, right, 0.0)


def _compare(
    relation: Relation, left_name: str, left: Any, right_name: str, right: Any, tolerance: float
) -> Comparison:
    """Return a comparison."""
    return Comparison(
        left_name=left_name,
        left=left,
        relation=relation,
        right_name=right_name,
        right=right,
        tolerance=tolerance,
    )


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One printed statement, or one of ours, with what decides it.

    Attributes
    ----------
    id
        Its number in theory.md and a word.
    source
        Where it is printed, or what it is about.
    origin
        Whether the papers print it, or we read it into what they print or do, or it is ours.
    statement, hypotheses
        What is claimed, in words and symbols, and of what.
    verdict
        What we declare. `verify` finds its own and says where the two differ.
    method
        How both sides are computed.
    instances
        Instances to search: random ones with ties, structured ones.
    known
        Instances that are always tried: the worst that we know.
    check
        Keyword arguments are an instance's entries; yields comparisons.
    correction, corrected
        The corrected statement and its check, of a claim that holds with a correction.
    by_hand
        What a reader does to check a counterexample.
    effort
        How many times fewer instances than the budget are tried, as each takes longer.

    """

    id: str
    source: str
    statement: str
    hypotheses: str
    verdict: Verdict
    method: str
    instances: SearchStrategy[Instance]
    check: Check
    known: tuple[Instance, ...] = ()
    correction: str = ""
    corrected: Check | None = None
    by_hand: str = ""
    origin: Origin = Origin.PRINTED
    effort: int = 1

    def __post_init__(self) -> None:
        """Refuse a claim that could not be decided or would not be understood."""
        if (self.verdict is Verdict.CORRECTED) != bool(self.correction and self.corrected):
            msg = f"claim {self.id} must have a correction with its check iff it is corrected."
            raise ValueError(msg)
        if (self.verdict is Verdict.HOLDS) == bool(self.by_hand):
            msg = f"claim {self.id} must say how to check a counterexample iff it is false."
            raise ValueError(msg)


def claim(**fields: Any) -> Callable[[Check], Claim]:
    """Return a decorator that makes a claim of its check."""
    return lambda check: Claim(check=check, **fields)


@dataclass(frozen=True, kw_only=True)
class Counterexample:
    """An instance for which a statement is false, and the comparison that shows it."""

    instance: Instance
    comparison: Comparison

    def __str__(self) -> str:
        """Spell out the instance and both sides."""
        given = ", ".join(f"{name} = {spell(value)}" for name, value in self.instance.items())
        return f"{given}: {self.comparison}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What checking one claim gave.

    Attributes
    ----------
    claim
        The claim.
    verdict
        What was found, whatever the claim declares.
    instances
        How many were tried that fulfil the hypotheses.
    residual
        The largest residual of a comparison that held, relative; 0 where all were exact.
    counterexample
        The smallest found to the statement as printed; None if it holds.
    correction_counterexample
        The smallest found to the correction; None if it holds or there is none.
    seconds
        Wall time.

    """

    claim: Claim
    verdict: Verdict
    instances: int
    residual: float
    counterexample: Counterexample | None
    correction_counterexample: Counterexample | None
    seconds: float

    @property
    def as_declared(self) -> bool:
        """Whether the verdict found is the verdict declared, on at least one instance."""
        return self.verdict is self.claim.verdict and self.instances > 0


def spell(value: Any) -> str:
    """Return a value as one writes it: fractions with a stroke, tuples in brackets.

    Examples
    --------
    >>> spell((Fraction(3, 2), inf, True))
    '(3/2, ∞, yes)'

    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(spell, value))})"
    if isinstance(value, float):
        return {inf: "∞", -inf: "-∞"}.get(value, f"{value:.12g}")
    if isinstance(value, Fraction) and value.numerator == 1 and value.denominator > 10**6:
        exponent = value.denominator.bit_length() - 1
        return f"2^-{exponent}" if value.denominator == 2**exponent else str(value)
    return str(value)


def _is_number(value: Any) -> bool:
    """Whether arithmetic makes sense."""
    return isinstance(value, int | float | Fraction) and not isinstance(value, bool)
