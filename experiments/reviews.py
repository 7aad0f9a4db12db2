"""IMDb's 50,000 labelled film reviews, positive or negative: weights of their words, or tokens.

Maas et al. 2011. The file `imdb.jsonl.gz` is looked for in RRM_DATA: a review a line, as JSON with
`text`, `label` (0 or 1) and `split` ("train" or "test").
"""

from __future__ import annotations

import gzip
import json
import zlib

import numpy as np
from numpy.typing import NDArray

from experiments.arrays import Data, Samples
from experiments.noise import Labels
from experiments.sources import in_folder, looked_for

FILE = "imdb.jsonl.gz"
# Of each split: reviews of each kind, and bytes of text in all.
REVIEWS = 12_500
BYTES = {"train": 33_132_823, "test": 32_350_685}
# The file is sorted by label; held-out samples are the last.
SHUFFLE_SEED = 0
# Words that a review is described by: the most frequent ones of the training reviews.
WORDS = 2000


def imdb() -> Data:
    """Return x (25,000, WORDS) float32 in [0, 1], rows of length 1, for training and for test.

    ``x = (1 + log count) (1 + log((1 + N) / (1 + n_word)))``, normalised, by scikit-learn's
    TfidfVectorizer; words and n_word, the number of reviews with a word, are the training reviews'.
    Cost: ten seconds.

    Raises
    ------
    FileNotFoundError
        If RRM_DATA has no such file.
    ValueError
        If the file is damaged, or does not hold these reviews.

    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, labels = _read()
    vectorizer = TfidfVectorizer(max_features=WORDS, sublinear_tf=True, dtype=np.float32)
    rows = {
        "train": vectorizer.fit_transform(texts["train"]),
        "test": vectorizer.transform(texts["test"]),
    }
    return _shuffled("imdb", {split: x.toarray() for split, x in rows.items()}, labels, (0.0, 1.0))


def imdb_tokens() -> Data:
    """Return x (25,000, 512) float32, DistilBERT's numbers of the first tokens of a review.

    Order and labels are those of `imdb`.

    Raises
    ------
    FileNotFoundError
        If RRM_DATA has no such file, or DistilBERT is not to be had.
    ModuleNotFoundError
        If the optional packages are not installed.
    ValueError
        If the file is damaged, or does not hold these reviews.

    """
    from experiments.language import token_ids

    texts, labels = _read()
    x = {}
    for split, some in texts.items():
        x[split], n_tokens = token_ids(some)
    return _shuffled("imdb_tokens", x, labels, (0.0, float(n_tokens)))


def _shuffled(
    name: str,
    x: dict[str, Samples],
    labels: dict[str, NDArray[np.int64]],
    ink: tuple[float, float],
) -> Data:
    """Return the data, every split in an order of its own."""
    shuffled: dict[str, tuple[Samples, Labels]] = {}
    for split, rows in x.items():
        order = np.random.default_rng(SHUFFLE_SEED).permutation(len(rows))
        shuffled[split] = rows[order], labels[split][order]
    return Data(
        name=name,
        x_train=shuffled["train"][0],
        y_train=shuffled["train"][1],
        x_test=shuffled["test"][0],
        y_test=shuffled["test"][1],
        n_classes=2,
        ink=ink,
    )


def _read() -> tuple[dict[str, list[str]], dict[str, NDArray[np.int64]]]:
    """Return texts and labels by split, after their counts and sizes have been found right."""
    path = in_folder(FILE)
    if path is None:
        msg = f"IMDb not found: {looked_for(FILE)}. Set RRM_DATA to a folder with {FILE}."
        raise FileNotFoundError(msg)
    texts: dict[str, list[str]] = {split: [] for split in BYTES}
    labels: dict[str, list[int]] = {split: [] for split in BYTES}
    try:
        # Only this ends a line: reviews hold other characters that str.splitlines would take.
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                review = json.loads(line)
                texts[review["split"]].append(review["text"])
                labels[review["split"]].append(int(review["label"]))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is damaged or not a file of reviews: {type(error).__name__}: {error}."
        raise ValueError(msg) from error
    for split, size in BYTES.items():
        found = sum(len(text.encode()) for text in texts[split])
        counts = np.bincount(labels[split], minlength=2).tolist()
        if counts != [REVIEWS, REVIEWS] or found != size:
            msg = (
                f"{split} reviews of {path} are not IMDb's: labels {counts}, {found:,} bytes of "
                f"text, not [{REVIEWS}, {REVIEWS}] and {size:,}."
            )
            raise ValueError(msg)
    return texts, {split: np.array(given, dtype=np.int64) for split, given in labels.items()}
