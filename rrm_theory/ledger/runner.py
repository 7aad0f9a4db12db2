"""Check claims: search for counterexamples, make them small, and say where a verdict is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from rrm_theory.ledger.claim import (
    Check,
    Claim,
    Comparison,
    Counterexample,
    Finding,
    Instance,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What `verify` found, claim by claim.

    Attributes
    ----------
    findings
        In the order of the claims.
    budget, seed
        As given.

    """

    findings: tuple[Finding, ...]
    budget: int
    seed: int

    def __iter__(self) -> Iterator[Finding]:
        """Go through the findings."""
        return iter(self.findings)

    @property
    def discrepancies(self) -> tuple[Finding, ...]:
        """Return the findings that are not as declared."""
        return tuple(finding for finding in self if not finding.as_declared)

    def count(self, verdict: Verdict) -> int:
        """Return how many claims got that verdict."""
        return sum(finding.verdict is verdict for finding in self)


def verify(
    claims: Iterable[Claim],
    *,
    budget: int = 200,
    seed: int = 0,
    progress: Callable[[Claim], None] | None = None,
) -> Findings:
    r"""Return for every claim the verdict that up to ``budget`` instances give it.

    A counterexample is made small by hypothesis, which removes entries and simplifies numbers as
    long as the statement stays false.

    Parameters
    ----------
    claims
        What to check, such as `CLAIMS`.
    budget
        Instances a claim at least 1, fewer where a claim's effort says so; making a counterexample
        small is not counted.
    seed
        Of the instances. The same seed and budget try the same ones.
    progress
        Called with each claim before it is checked.

    Returns
    -------
    Findings
        One finding a claim; a difference from the declared verdict is a discrepancy.

    Raises
    ------
    ValueError
        If ``budget`` is not positive.

    Notes
    -----
    Source: theory.md D. A refutation is a proof; a statement that holds has withstood the
    instances, no more.

    Examples
    --------
    >>> from rrm_theory.ledger import CLAIMS
    >>> (finding,) = verify([c for c in CLAIMS if c.id == "B.5.order"], budget=200)
    >>> finding.verdict.value
    'holds with a correction'
    >>> print(finding.counterexample)
    c = (0, 2), gamma = 1, gamma_theta = 2: V(gamma_theta) ≤ R_gamma(c): 1 ≤ 1/2 is false

    """
    if budget < 1:
        msg = f"budget must be a positive number of instances, got {budget!r}."
        raise ValueError(msg)
    findings = []
    for one in claims:
        if progress is not None:
            progress(one)
        findings.append(_decide(one, budget=max(1, budget // one.effort), seed=seed))
    return Findings(findings=tuple(findings), budget=budget, seed=seed)


def _decide(claim: Claim, *, budget: int, seed: int) -> Finding:
    """Return the finding of one claim."""
    started = time.perf_counter()
    printed = _search(claim.check, claim, budget=budget, seed=seed)
    corrected = None
    if claim.corrected is not None:
        corrected = _search(claim.corrected, claim, budget=budget, seed=seed)
    if printed.counterexample is None:
        verdict = Verdict.HOLDS
    elif corrected is not None and corrected.counterexample is None:
        verdict = Verdict.CORRECTED
    else:
        verdict = Verdict.REFUTED
    decisive = printed if corrected is None else corrected
    return Finding(
        claim=claim,
        verdict=verdict,
        instances=decisive.instances,
        residual=decisive.residual,
        counterexample=printed.counterexample,
        correction_counterexample=None if corrected is None else corrected.counterexample,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, kw_only=True)
class _Search:
    """What a search gave: instances up to the first counterexample, the worst residual of them."""

    instances: int
    residual: float
    counterexample: Counterexample | None


def _search(check: Check, claim: Claim, *, budget: int, seed: int) -> _Search:
    """Try the known instances and up to ``budget`` others."""
    tried, worst = 0, 0.0
    found: list[Instance] = []

    def refutes(instance: Instance) -> bool:
        nonlocal tried, worst
        comparison, residual = _first_false(check, instance)
        # What follows the first counterexample only makes it smaller; what says nothing is no try.
        if not found and residual is not None:
            tried, worst = tried + 1, max(worst, residual)
        if comparison is not None:
            found.append(instance)
        return comparison is not None

    for instance in claim.known:
        if refutes(instance):
            break
    with suppress(NoSuchExample):
        find(
            claim.instances,
            refutes,
            settings=settings(
                max_examples=budget,
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
            random=Random(seed),
        )
    if not found:
        return _Search(instances=tried, residual=worst, counterexample=None)
    smallest = min(found, key=_size)
    comparison, _ = _first_false(check, smallest)
    assert comparison is not None
    return _Search(
        instances=tried,
        residual=worst,
        counterexample=Counterexample(instance=smallest, comparison=comparison),
    )


def _first_false(check: Check, instance: Instance) -> tuple[Comparison | None, float | None]:
    """Return the first comparison that is false, and the largest residual of those before it.

    The residual is None if the instance does not fulfil the hypotheses: it yields no comparison.
    """
    worst = None
    for comparison in check(**instance):
        if not comparison.holds:
            return comparison, worst or 0.0
        worst = max(worst or 0.0, comparison.residual)
    return None, worst


def _size(value: Any) -> tuple[int, int]:
    """Return how much there is to read: the count of numbers, then their digits' worth."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        parts = [_size(part) for part in value]
        return sum(n for n, _ in parts), sum(worth for _, worth in parts)
    if value in (inf, None):
        return 1, 1
    number = Fraction(value)
    # A sign is worth a digit.
    return 1, abs(number.numerator) + number.denominator + (number < 0)
