"""Table 12 at full scale: DistilBERT on IMDb's reviews, fine-tuned by low-rank adaptation.

It needs what ``pip install -c constraints.txt -e '.[text]'`` adds, and DistilBERT's weights: the
folder ``distilbert-base-uncased`` in RRM_DATA, else what transformers has in its cache or fetches.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.sources import in_folder, looked_for

NAME = "distilbert-base-uncased"
# The longest text that it takes; the paper does not say where it cuts a review.
TOKENS = 512
# 628,994 parameters train, as published: matrices of rank 4 beside every layer's query projection,
# and the two layers on top. Rank 2 beside two projections has as many; the paper prints no more.
RANK = 4
ADAPTED = ("q_lin",)


def token_ids(texts: list[str]) -> tuple[NDArray[np.float32], int]:
    """Return the first tokens of every text, (N, TOKENS), padded, and how many there may be.

    Raises
    ------
    FileNotFoundError
        If DistilBERT is nowhere to be had, or damaged.
    ModuleNotFoundError
        If the optional packages are not installed.
    ValueError
        If the tokenizer does not belong to the network.

    """
    tokenizer = _loaded("AutoTokenizer")
    n_tokens = _loaded("AutoConfig").vocab_size
    if len(tokenizer) != n_tokens:
        msg = (
            f"DistilBERT's tokenizer must know the {n_tokens} tokens of its network, got "
            f"{len(tokenizer)}: are all its files there?"
        )
        raise ValueError(msg)
    found = tokenizer(
        texts, truncation=True, max_length=TOKENS, padding="max_length", return_tensors="np"
    )
    return found["input_ids"].astype(np.float32), n_tokens


class DistilBert(nn.Module):
    """DistilBERT with a trainable low-rank part: token ids / number of tokens -> logits (B, K).

    The inputs are what `token_ids` gives, scaled to [0, 1].
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        network = _loaded("AutoModelForSequenceClassification", num_labels=n_classes)
        self.n_tokens: int = network.config.vocab_size
        self.padding: int = network.config.pad_token_id
        self.network: Any = adapted(network)
        # It comes as one evaluates it, without dropout.
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        ids = (x * self.n_tokens).round().long()
        logits: Tensor = self.network(
            input_ids=ids, attention_mask=(ids != self.padding).long()
        ).logits
        return logits


def adapted(network: nn.Module) -> nn.Module:
    """Return DistilBERT frozen but for matrices of low rank beside it, and the layers on top."""
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=RANK, target_modules=list(ADAPTED))
    wrapped: nn.Module = get_peft_model(network, config)
    return wrapped


def digest() -> str:
    """Return a digest of DistilBERT's weights, which a name does not tell."""
    found = hashlib.sha256()
    for name, weights in _loaded("AutoModel").state_dict().items():
        found.update(name.encode())
        found.update(weights.numpy().tobytes())
    return found.hexdigest()


def _loaded(what: str, **settings: Any) -> Any:
    """Return a part of DistilBERT by the name of transformers' class for it.

    Raises
    ------
    ModuleNotFoundError
        If the optional packages are not installed.
    FileNotFoundError
        If the part is nowhere to be had, or damaged.

    """
    try:
        import peft  # noqa: F401
        import transformers
        from safetensors import SafetensorError
    except ModuleNotFoundError as error:
        msg = (
            f"DistilBERT needs the package {error.name}: "
            "pip install -c constraints.txt -e '.[text]'."
        )
        raise ModuleNotFoundError(msg, name=error.name) from error
    config = in_folder(f"{NAME}/config.json")
    source = NAME if config is None else str(config.parent)
    try:
        return getattr(transformers, what).from_pretrained(source, **settings)
    except (OSError, ValueError, SafetensorError) as error:
        where = looked_for(f"{NAME}/config.json") if config is None else source
        msg = f"DistilBERT ({what}) is not available: {where}; transformers said: {error}"
        raise FileNotFoundError(msg) from error
