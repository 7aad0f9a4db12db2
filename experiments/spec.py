"""What a run is: every choice that changes its result and nothing else, frozen and hashed.

Symbols: the price gamma is always that of Eq. (2); `penalty` is the number a table prints and
`gamma_convention` says what it multiplies. `contamination` is C', the estimate that RRM is given;
`noise_rate` is C, the fraction of labels that really are wrong.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rrm_theory import gamma_from_l1_penalty
from rrm_theory._checks import at_least_one, fraction_of_samples, positive

# Names, beside which a data set may be a user's file, and a model whatever an import path names.
DATASETS = (
    "digits",
    "mnist3",
    "mnist",
    "cifar10",
    "cifar10n_aggre",
    "cifar10n_random1",
    "cifar10n_worse",
    "imdb",
    "imdb_tokens",
)
LANGUAGE_MODEL = "distilbert"
MODELS = ("linear", "mlp", "cnn", "resnet8", "resnet18", "resnet34", LANGUAGE_MODEL)
OWN_DATA = ".npz"
OWN_MODEL = ":"
Noise = Literal["symmetric", "table9", "uniform_or_kept", "flip", "flip2"]
MethodName = Literal["none", "small_loss", "mw_net", "mnw_net", "rmnw_net", "flywheel"]
# Methods that need held-out samples.
META_METHODS = ("mw_net", "mnw_net", "rmnw_net")
LossName = Literal["cce", "mae", "mse", "gce", "elr"]
GammaConvention = Literal["eq2", "l1"]
EpsUnit = Literal["pixel", "normalised"]
TestAttack = Literal["none", "alone", "accumulating"]

# Sizes of the attacks on test images in the ICLR paper's Tables 5 and 10, in a run's `eps_unit`.
TEST_EPS = (0.0, 0.1, 0.25, 0.5, 1.0)
# Fields that count something, and must be positive where they are given.
_COUNTS = (
    "batch_size",
    "iterations",
    "epochs_per_iteration",
    "meta_every",
    "train_samples",
    "test_samples",
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run.

    Fields with a default are left out of :attr:`key` while they have it, so a field added later
    does not rename the results that exist.
    """

    # The task.
    dataset: str  # one of DATASETS, or the path of an npz file
    model: str  # one of MODELS, or "package.module:name" of what returns a network when called
    loss: LossName
    noise_rate: float  # C, fraction of training labels drawn by the noise, in [0, 1)
    seed: int

    # Re-weighting; neither penalty nor contamination is plain training.
    penalty: float | None = None  # as printed, loss units, in the unit that gamma_convention says
    gamma_convention: GammaConvention = "eq2"  # "eq2": (penalty/2) ||u||_1; "l1": penalty ||u||_1
    contamination: float | None = None  # C' in [0, 1)
    step: float = 1.0  # mu
    cap: float | None = None  # no N p_i beyond this, at least 1
    # Of the re-weighting losses: as they are, attacked, or moved as in training.
    reweight_inputs: Literal["clean", "perturbed", "augmented"] = "clean"
    weighted_term: Literal["supervised", "total"] = "supervised"  # what the weights multiply

    # Adversarial training and evaluation; see `experiments.attacks`.
    train_eps: float = 0.0  # size of FGSM on every training batch, in eps_unit; 0: none
    eps_unit: EpsUnit = "pixel"  # 1 is the whole range of ink, or one unit of what the network sees
    clamp: bool = False  # move perturbed images back into the range of ink
    test_attack: TestAttack = "none"  # FGSM of each of TEST_EPS alone, or each on top of the last

    # Optimisation: SGD.
    learning_rate: float = 0.1
    momentum: float = 0.0  # Nesterov's
    weight_decay: float = 0.0  # of the objective whose gradient the learning rate multiplies
    augment: Literal["none", "crop_and_flip"] = "none"  # of training images
    batch_size: int = 100
    iterations: int = 10  # of Algorithm 1: this many times the epochs below, then a re-weighting
    epochs_per_iteration: int = 10  # sigma
    reduction: Literal["batch_sum", "batch_mean"] = "batch_sum"  # sum times 1/N, or batch mean

    # What a method adds to the weighted losses, see `experiments.methods`; ELR is a loss, above.
    method: MethodName = "none"
    meta_every: int = 1  # steps between two updates of a weighting network
    meta_learning_rate: float = 1e-3  # of its Adam
    warm_up: int = 10  # epochs before the flywheel turns
    confidence_strength: float = 3.0  # lambda of the flywheel
    contrastive_strength: float = 0.0  # alpha of the flywheel, the paper's 0.025; 0: no such term

    # What the literature leaves unsaid.
    normalisation: Literal["scalar", "unit"] = "scalar"  # by two scalars: mean and std, or range
    initialisation: Literal["glorot", "torch"] = "glorot"  # Glorot uniform, zero bias; torch's own
    probability_clip: float = 0.0  # softmax clipped to [clip, 1 - clip] in cce and elr; 0: logits
    class_reduction: Literal["sum", "mean"] = "sum"  # of mae and mse over the classes
    gce_q: float = 0.7  # Zhang & Sabuncu 2018's default
    elr_decay: float = 0.7  # beta, Liu et al. 2020's CIFAR-10 default
    elr_strength: float = 3.0  # lambda, likewise
    precision: Literal["float32", "bfloat16"] = "float32"  # of the network's products; losses: 32

    # Samples. validation = 0 cross-fits the selection over the two halves of the test set.
    # A uniform other class; by Table 9's kernel; a uniform class, which may be its own; one or two
    # other classes that a class always moves to.
    noise: Noise = "symmetric"
    validation: float = 0.0  # fraction of the training samples held out, contaminated alike
    meta_samples: int = 0  # held out for a weighting network, contaminated alike
    train_samples: int | None = None  # use this many only, the first; others are parts of them
    test_samples: int | None = None  # use this many only, the first

    def __post_init__(self) -> None:
        """Refuse a run that cannot be trained, before any run starts; make 1 and 1.0 one run."""
        for name, hint in _type_hints().items():
            self._settle(name, hint)
        for name, known, also, what in (
            ("dataset", DATASETS, self.dataset.endswith(OWN_DATA), f"a file *{OWN_DATA}"),
            ("model", MODELS, OWN_MODEL in self.model, f"package.module{OWN_MODEL}name"),
        ):
            value = getattr(self, name)
            if value not in known and not also:
                msg = f"{name} must be one of {', '.join(known)}, or {what}; got {value!r}."
                raise ValueError(msg)
        if self.model not in MODELS and self.initialisation != "torch":
            msg = (
                f"initialisation must be 'torch' with model={self.model!r}, which initialises "
                f"itself; got {self.initialisation!r}."
            )
            raise ValueError(msg)
        for name in ("noise_rate", "validation"):
            fraction_of_samples(getattr(self, name), name)
        for name in ("learning_rate", "meta_learning_rate", "elr_strength", "gce_q"):
            positive(getattr(self, name), name)
        if self.penalty is not None and self.contamination is not None:
            msg = (
                "give penalty or contamination, not both: "
                f"got penalty={self.penalty!r}, contamination={self.contamination!r}."
            )
            raise ValueError(msg)
        if self.penalty is not None:
            positive(self.penalty, "penalty")
        if self.cap is not None:
            at_least_one(self.cap, "cap")
            if not self.reweights:
                msg = f"cap needs penalty or contamination, got cap={self.cap!r} alone."
                raise ValueError(msg)
        if not 0 <= self.train_eps < float("inf"):
            msg = f"train_eps must be finite and at least 0, got {self.train_eps!r}."
            raise ValueError(msg)
        if self.reweight_inputs == "perturbed" and not self.train_eps:
            msg = "reweight_inputs='perturbed' needs train_eps > 0, got 0.0."
            raise ValueError(msg)
        if self.reweight_inputs == "augmented" and self.augment == "none":
            msg = "reweight_inputs='augmented' needs augment='crop_and_flip', got 'none'."
            raise ValueError(msg)
        if not 0 <= self.weight_decay < float("inf"):
            msg = f"weight_decay must be finite and at least 0, got {self.weight_decay!r}."
            raise ValueError(msg)
        if not 0 < self.step <= 1:
            msg = f"step must lie in (0, 1], got {self.step!r}."
            raise ValueError(msg)
        if self.contamination is not None:
            fraction_of_samples(self.contamination, "contamination")
            if self.step != 1:
                msg = f"step must be 1 with contamination (Algorithm 1), got {self.step!r}."
                raise ValueError(msg)
        for name, limit in (("probability_clip", 0.5), ("elr_decay", 1.0), ("momentum", 1.0)):
            if not 0 <= getattr(self, name) < limit:
                msg = f"{name} must lie in [0, {limit}), got {getattr(self, name)!r}."
                raise ValueError(msg)
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"{name} must be a positive integer, got {value!r}."
                raise ValueError(msg)
        strengths = ("confidence_strength", "contrastive_strength")
        for name in ("meta_samples", "warm_up", *strengths):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                msg = f"{name} must be finite and at least 0, got {value!r}."
                raise ValueError(msg)
        if self.method in META_METHODS and not self.meta_samples:
            msg = f"method={self.method!r} needs meta_samples > 0, got 0."
            raise ValueError(msg)
        if self.contrastive_strength and self.method != "flywheel":
            msg = (
                "contrastive_strength needs method='flywheel', "
                f"got {self.contrastive_strength!r} with method={self.method!r}."
            )
            raise ValueError(msg)
        if self.method != "none" and self.loss == "elr":
            msg = f"loss='elr' is a method of its own, got method={self.method!r} beside it."
            raise ValueError(msg)
        # numpy's seed sequences read larger seeds as two words, the second of which names a stream.
        if not 0 <= self.seed < 2**32:
            msg = f"seed must lie in [0, 2^32), got {self.seed!r}."
            raise ValueError(msg)

    def _settle(self, name: str, hint: Any) -> None:
        """Give the field its declared type, or raise a ValueError that names it."""
        value, choices = getattr(self, name), get_args(hint)
        if get_origin(hint) is Literal:
            if value not in choices:
                msg = f"{name} must be one of {', '.join(choices)}; got {value!r}."
                raise ValueError(msg)
            return
        if hint is str:
            if not isinstance(value, str):
                msg = f"{name} must be a name, got {value!r}."
                raise ValueError(msg)
            return
        optional = type(None) in choices
        if value is None and optional:
            return
        if hint is bool:
            if not isinstance(value, bool):
                msg = f"{name} must be true or false, got {value!r}."
                raise ValueError(msg)
            return
        kind, expected = (int, Integral) if int in (hint, *choices) else (float, Real)
        if isinstance(value, bool) or not isinstance(value, expected):
            what = "an integer" if kind is int else "a number"
            msg = f"{name} must be {what}{' or null' if optional else ''}, got {value!r}."
            raise ValueError(msg)
        object.__setattr__(self, name, kind(value))  # type: ignore[call-overload]

    @property
    def gamma(self) -> float | None:
        """Price in the convention of Eq. (2), loss units; None without a fixed price."""
        if self.penalty is None or self.gamma_convention == "eq2":
            return self.penalty
        return gamma_from_l1_penalty(self.penalty)

    @property
    def reweights(self) -> bool:
        """Whether the run is RRM; if not, every weight stays at 1."""
        return self.penalty is not None or self.contamination is not None

    @property
    def evaluations(self) -> tuple[int, ...]:
        """Numbers of finished epochs at which accuracy is counted: all, or once an iteration.

        With an attack on the test images only once, since attacks cost several passes.
        """
        every = 1 if self.test_attack == "none" else self.epochs_per_iteration
        return tuple(range(every, self.epochs + 1, every))

    @property
    def epochs(self) -> int:
        """Number of passes over the training samples."""
        return self.iterations * self.epochs_per_iteration

    @property
    def key(self) -> str:
        """Name of the run's files: 12 hex digits of its choices."""
        chosen = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        canonical = json.dumps(chosen, sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def settings(self) -> dict[str, Any]:
        """Return every field, and the price they resolve to, for printing and storing."""
        return asdict(self) | {"gamma": self.gamma, "epochs": self.epochs}


@cache
def _type_hints() -> dict[str, Any]:
    """Return the declared type of every field of a run."""
    hints = get_type_hints(Run)
    return {field.name: hints[field.name] for field in fields(Run)}
