"""Rockafellian relaxation: the weight problem in closed form, exactly.

The public names of the theory. The solvers are `rrm_theory.linear_program` and the torch part is
`rrm_theory.reweight`; each is imported on its own.
"""

from rrm_theory.capped import (
    CappedOutcome,
    CappedRelaxation,
    TrimmedOutcome,
    TrimmedRisk,
    capped_relax,
    trimmed_risk,
)
from rrm_theory.certificate import Certificate, certify
from rrm_theory.optimal_face import (
    LinearSystem,
    OptimalFace,
    Piece,
    TheoremVersion,
    optimal_face,
)
from rrm_theory.relaxation import (
    ContaminationGamma,
    ContaminationOutcome,
    GammaPath,
    Relaxation,
    RelaxationOutcome,
    contamination_gamma,
    gamma_from_l1_penalty,
    gamma_path,
    relax,
    relaxed_risk,
)

__all__ = [
    "CappedOutcome",
    "CappedRelaxation",
    "Certificate",
    "ContaminationGamma",
    "ContaminationOutcome",
    "GammaPath",
    "LinearSystem",
    "OptimalFace",
    "Piece",
    "Relaxation",
    "RelaxationOutcome",
    "TheoremVersion",
    "TrimmedOutcome",
    "TrimmedRisk",
    "capped_relax",
    "certify",
    "contamination_gamma",
    "gamma_from_l1_penalty",
    "gamma_path",
    "optimal_face",
    "relax",
    "relaxed_risk",
    "trimmed_risk",
]
