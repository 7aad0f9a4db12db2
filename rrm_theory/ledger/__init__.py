"""The ledger: every statement of the papers, checked, with a counterexample where it is false."""

from rrm_theory.ledger import (
    lnl_flywheel,
    rmnw_net,
    section_3_2,
    section_3_3,
    section_3_4,
    section_3_5,
)
from rrm_theory.ledger.claim import (
    Claim,
    Comparison,
    Counterexample,
    Finding,
    Origin,
    Verdict,
)
from rrm_theory.ledger.runner import Findings, verify


def _place(claim: Claim) -> tuple[str, int]:
    """Return the number that a claim's id starts with."""
    letter, number, *_ = claim.id.split(".")
    return letter, int(number) if number.isdigit() else 0


CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (
            *section_3_2.CLAIMS,
            *section_3_3.CLAIMS,
            *section_3_4.CLAIMS,
            *section_3_5.CLAIMS,
            *rmnw_net.CLAIMS,
            *lnl_flywheel.CLAIMS,
        ),
        key=_place,
    )
)

__all__ = [
    "CLAIMS",
    "Claim",
    "Comparison",
    "Counterexample",
    "Finding",
    "Findings",
    "Origin",
    "Verdict",
    "verify",
]
