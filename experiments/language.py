"""Table 12 at full scale: DistilBERT on IMDb's reviews, fine-tuned by low-rank adaptation.

It needs what ``pip install -c constraints.txt -e '.[text]'`` adds, and DistilBERT's weights: the
folder ``distilbert-base-uncased`` in RRM_DATA, else what transformers has in its cache or fetches.
"""

from __future__ import annotations

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
    """Return the first tokens of every text, (N, TOKENS), padded, and how many there may be."""
    tokenizer = _loaded("AutoTokenizer")
    found = tokenizer(
        texts, truncation=True, max_length=TOKENS, padding="max_length", return_tensors="np"
    )
    return found["input_ids"].astype(np.float32), len(tokenizer)


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


def _loaded(what: str, **settings: Any) -> Any:
    """Return a part of DistilBERT by the name of transformers' class for it.

    Raises
    ------
    ModuleNotFoundError
        If the optional packages are not installed.
    FileNotFoundError
        If the weights are nowhere to be had.

    """
    try:
        import peft  # noqa: F401
        import transformers
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
    except (OSError, ValueError) as error:
        msg = (
            f"DistilBERT's weights are not available: {looked_for(f'{NAME}/config.json')}, and "
            f"transformers said: {str(error).splitlines()[0]}"
        )
        raise FileNotFoundError(msg) from error
