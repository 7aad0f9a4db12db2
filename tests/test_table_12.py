"""ICLR paper, Table 12: IMDb's reviews, read and checked; settings; what is published."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import reviews
from experiments.bench import reviews as bench
from experiments.bench.show import print_benchmark
from experiments.catalogue import TABLES
from experiments.catalogue.text import TABLE_12
from experiments.data import load
from experiments.models import build
from experiments.problem import problem
from experiments.report import report, sections, verdict
from experiments.reviews import imdb
from experiments.store import Store
from experiments.train import train

GOOD, BAD = ["lovely", "great", "moving"], ["awful", "boring", "stupid"]


def review(rng, label):
    """Return a text of ten words, seven of its kind."""
    kinds = (BAD, GOOD)
    words = [*rng.choice(kinds[label], 7), *rng.choice(kinds[1 - label], 3)]
    return " ".join(rng.permutation(words))


def written(folder, *, per_kind=40, change=lambda line: line):
    """Write a file like IMDb's, sorted by label, and return the bytes of text of each split."""
    rng = np.random.default_rng(0)
    sizes = {"train": 0, "test": 0}
    with gzip.open(folder / reviews.FILE, "wt", encoding="utf-8", newline="\n") as file:
        for split in sizes:
            for label in (0, 1):
                for _ in range(per_kind):
                    # A line separator of Unicode's does not end a line of the file.
                    text = f"{review(rng, label)}\u2028ü"
                    sizes[split] += len(text.encode())
                    line = {"text": text, "label": label, "split": split, "rating": 1, "id": 0}
                    file.write(change(json.dumps(line, ensure_ascii=False)) + "\n")
    return sizes


@pytest.fixture
def small(tmp_path, monkeypatch):
    """RRM_DATA with eighty reviews a split, which are taken for IMDb's."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    monkeypatch.setattr(reviews, "BYTES", written(tmp_path))
    monkeypatch.setattr(reviews, "REVIEWS", 40)
    load.cache_clear()
    yield tmp_path
    load.cache_clear()


@pytest.mark.usefixtures("small")
def test_reviews_become_words():
    """Rows of length one in [0, 1], shuffled, the same every time; test words are training's."""
    data = imdb()
    assert data.x_train.shape == data.x_test.shape == (80, 6)
    assert data.x_train.dtype == np.float32
    assert np.linalg.norm(data.x_train, axis=1) == pytest.approx(np.ones(80), rel=1e-6)
    assert data.x_train.min() >= 0
    assert 0 < data.y_train[:40].sum() < 40
    assert np.array_equal(imdb().x_train, data.x_train)
    # Alphabetically the bad words have places 0, 1, 5: their weight tells the labels.
    bad = data.x_test[:, [0, 1, 5]].sum(axis=1) > data.x_test[:, 2:5].sum(axis=1)
    assert (bad == (data.y_test == 0)).mean() > 0.9


@pytest.mark.usefixtures("small")
def test_a_weight_is_the_formula():
    """Counts, training frequencies and lengths by hand, of a row and word by word."""
    texts, _ = reviews._read()
    words = sorted(GOOD + BAD)
    counts = np.array([[text.split().count(word) for word in words] for text in texts["train"]])
    frequency = (counts > 0).sum(axis=0)
    x = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    x = x * (1 + np.log((1 + 80) / (1 + frequency)))
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    order = np.random.default_rng(reviews.SHUFFLE_SEED).permutation(80)
    assert imdb().x_train == pytest.approx(x[order], abs=1e-6)


@pytest.mark.usefixtures("small")
def test_a_file_of_other_reviews_is_refused(monkeypatch):
    """Counts and sizes are shown beside the right ones."""
    monkeypatch.setattr(reviews, "REVIEWS", 41)
    with pytest.raises(ValueError, match=r"train reviews of .* labels \[40, 40\].*not \[41, 41\]"):
        imdb()


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:-5],
        lambda line: line.replace('"label"', '"lable"'),
        lambda line: line.replace("train", "dev"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, monkeypatch, change):
    """Broken JSON, a missing field, an unknown split: the path is named."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    written(tmp_path, per_kind=2, change=change)
    with pytest.raises(ValueError, match=r"imdb\.jsonl\.gz is damaged or not a file of reviews"):
        imdb()


def test_a_file_that_ends_early_is_refused(tmp_path, monkeypatch):
    """Half of it."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    written(tmp_path)
    path = tmp_path / reviews.FILE
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="is damaged"):
        imdb()


def test_without_the_file_the_error_says_what_to_do(tmp_path, monkeypatch):
    """With and without a folder to look in."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no file .*imdb\.jsonl\.gz"):
        imdb()
    monkeypatch.delenv("RRM_DATA")
    with pytest.raises(FileNotFoundError, match="RRM_DATA is not set"):
        imdb()


def test_the_table_s_settings():
    """Four rates; plain, as printed (gamma 0.4, mu 0.5), and told the rate; a linear network."""
    cells = TABLES["table12"].cells("paper", "reduced", 0)
    assert len(cells) == 16
    assert {cell.noise_rate for cell in cells} == {0.25, 0.3, 0.4, 0.45}
    assert {(c.noise_rate, c.rrm): c.published for c in cells if c.published} == {
        (0.25, False): (90.2, 90.2), (0.25, True): (90.1, 90.4),
        (0.3, False): (89.5, 89.6), (0.3, True): (90.2, 90.4),
        (0.4, False): (86.4, 86.6), (0.4, True): (88.4, 88.7),
        (0.45, False): (80.7, 81.1), (0.45, True): (76.9, 82.6),
    }  # fmt: skip
    printed = [cell.run for cell in cells if cell.rrm and cell.published]
    assert {(run.penalty, run.step, run.gamma) for run in printed} == {(0.4, 0.5, 0.4)}
    told = [cell.run for cell in cells if cell.rrm and not cell.published]
    assert all(run.contamination == run.noise_rate for run in told)
    assert {run.cap for run in told} == {None, 2.0}
    model = build(cells[0].run, shape=(2000,), n_classes=2)
    assert sum(parameter.numel() for parameter in model.parameters()) == 2 * 2000 + 2


def test_published_numbers_are_compared_with_our_selected_ones(tmp_path):
    """Where validation accuracy peaks; the differences in model are said."""
    store = Store(experiment="table12", results=tmp_path, work=tmp_path)
    store.prepare()
    for cell in TABLES["table12"].cells("paper", "reduced", 0):
        gain = 1.0 if cell.rrm else 0.0
        store.save_result(
            cell.run,
            {
                "key": cell.run.key,
                "run": cell.run.settings(),
                "accuracy": {"last": 50.0, "selected": 80.0 + gain, "oracle": 85.0},
                "seconds": {"train": 1.0},
                "detection": None,
            },
        )
    one = report(TABLES["table12"], store, preset="paper", scale="reduced")
    (section,) = sections([one])
    assert "selected - published" in section.header
    assert section.body[0][3:8] == ["90.2", "50.0", "80.0", "85.0", "-10.2"]
    gained, differ = verdict([one])
    assert "RRM is above plain training in 12 of 12 cells, by +1.0 points" in gained
    assert differ.startswith("Published runs differ in more than scale: DistilBERT")


@pytest.mark.usefixtures("small")
def test_the_smoke_scale_trains():
    """Every cell at one rate; the words tell the labels, so plain training learns them."""
    for cell in TABLES["table12"].cells("paper", "smoke", 0)[:4]:
        run = replace(
            cell.run,
            train_samples=80,
            test_samples=80,
            batch_size=16,
            learning_rate=2.0,
            iterations=10,
        )
        samples = problem(run, load("imdb"))
        right = train(run, samples).test_correct[-1][0]
        assert cell.rrm or right > 60, right


@pytest.mark.usefixtures("small")
def test_the_suite_runs_and_prints(monkeypatch, capsys):
    """Plain, RRM, RRM with a cap; published numbers where there are some."""
    from rich.console import Console

    monkeypatch.setattr(bench, "SEEDS", 2)
    monkeypatch.setattr(bench, "TABLE_12", {0.25: TABLE_12[0.25]})
    outcome = bench.reviews()
    assert [one["published"] for one in outcome["rows"]] == [90.2, 90.1, None] * 2
    assert [one["C"] for one in outcome["rows"]] == [1.0] * 3 + [0.1] * 3
    assert outcome["rows"][0]["pruned_clean"] is None
    assert 0 <= outcome["rows"][1]["pruned_clean"] <= 1
    print_benchmark("imdb", outcome, Console(width=200))
    assert "IMDb, logistic regression on words, 2 seeds" in capsys.readouterr().out
