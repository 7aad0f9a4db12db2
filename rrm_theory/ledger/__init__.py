"""The ledger: every statement of the papers, checked, with a counterexample where it is false."""

from rrm_theory.ledger import (
    lnl_flywheel,
    rmnw_net,
    section_3_2,
    section_3_3,
    section_3_4,
    section_3_5,
)
from rrm_theory.ledger.claim import Claim, Comparison, Counterexample, Finding, Verdict
from rrm_theory.ledger.runner import Findings, verify

CLAIMS: tuple[Claim, ...] = (
    *section_3_2.CLAIMS,
    *section_3_3.CLAIMS,
    *section_3_4.CLAIMS,
    *section_3_5.CLAIMS,
    *rmnw_net.CLAIMS,
    *lnl_flywheel.CLAIMS,
)

__all__ = [
    "CLAIMS",
    "Claim",
    "Comparison",
    "Counterexample",
    "Finding",
    "Findings",
    "Verdict",
    "verify",
]
