"""Rockafellian relaxation: the weight problem in closed form, exactly.

The public names of the theory. The torch part is `rrm_theory.reweight`, imported on its own.
"""

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
    "ContaminationGamma",
    "ContaminationOutcome",
    "GammaPath",
    "Relaxation",
    "RelaxationOutcome",
    "contamination_gamma",
    "gamma_from_l1_penalty",
    "gamma_path",
    "relax",
    "relaxed_risk",
]
