"""ICLR paper, Table 12 at full scale: DistilBERT with a low-rank part, in small and untrained."""

import gzip
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments import language, reviews
from experiments.attacks import in_evaluation_mode
from experiments.catalogue import TABLES
from experiments.catalogue.text import TABLE_12
from experiments.data import load
from experiments.models import build
from experiments.own import origin
from experiments.problem import _to_tensor, problem
from experiments.train import train

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
# peft asks transformers under a name that is to go.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "fine", "bad", "dull", "film"]
PAPER = TABLES["table12"].cells("paper", "paper", 0)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Nothing is asked of a hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def distilbert(tmp_path, monkeypatch):
    """RRM_DATA with a DistilBERT of ten tokens and one layer, and eighty short reviews a split."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    folder = tmp_path / language.NAME
    folder.mkdir()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n")
    tokenizer = transformers.DistilBertTokenizerFast(str(vocabulary))
    tokenizer.save_pretrained(folder)
    # Untrained weights of the usual size would say the same of all texts.
    config = transformers.DistilBertConfig(
        vocab_size=len(WORDS), dim=32, hidden_dim=64, n_layers=1, n_heads=2, initializer_range=0.3
    )
    torch.manual_seed(0)
    transformers.DistilBertModel(config).save_pretrained(folder)
    sizes = dict.fromkeys(reviews.BYTES, 0)
    with gzip.open(tmp_path / reviews.FILE, "wt", encoding="utf-8") as file:
        for split in sizes:
            for place in range(80):
                kind = place // 40
                text = f"{('bad dull', 'good fine')[kind]} " * (1 + place % 3) + "film"
                sizes[split] += len(text)
                line = {"text": text, "label": kind, "split": split}
                file.write(json.dumps(line) + "\n")
    monkeypatch.setattr(reviews, "BYTES", sizes)
    monkeypatch.setattr(reviews, "REVIEWS", 40)
    monkeypatch.setattr(language, "TOKENS", 8)
    load.cache_clear()
    yield folder
    load.cache_clear()


def small(cell, **changes):
    """Return a cell's run, short."""
    return replace(
        cell.run, iterations=3, epochs_per_iteration=12, learning_rate=0.05, batch_size=8, **changes
    )


def test_full_scale_is_as_published():
    """The four rates; sgd at 0.001, 30 iterations of 10 epochs, a fifth held out, 0.4 and 0.5."""
    assert {cell.noise_rate for cell in PAPER} == set(TABLE_12)
    for cell in PAPER:
        run = cell.run
        assert (run.dataset, run.model) == ("imdb_tokens", "distilbert")
        assert (run.learning_rate, run.iterations, run.epochs_per_iteration) == (1e-3, 30, 10)
        assert (run.validation, run.momentum) == (0.2, 0.0)
    printed = [cell.run for cell in PAPER if cell.rrm and cell.published]
    assert [(run.penalty, run.step) for run in printed] == [(0.4, 0.5)] * 4


def test_as_many_parameters_train_as_published():
    """628,994 of 67,584,004 (paper, Appendix E.2): matrices of low rank, and two layers on top."""
    network = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig())
    parameters = dict(language.adapted(network).named_parameters())
    assert sum(one.numel() for one in parameters.values()) == 67_584_004
    trained = {name: one for name, one in parameters.items() if one.requires_grad}
    assert sum(one.numel() for one in trained.values()) == 628_994
    assert all("lora_" in name or "classifier" in name for name in trained)


@pytest.mark.usefixtures("distilbert")
def test_reviews_become_tokens():
    """Begin, words, end, padding: by hand; in the order of the other form of these reviews."""
    data = load("imdb_tokens")
    assert data.x_train.shape == (80, 8)
    assert data.ink == (0, len(WORDS))
    texts, labels = reviews._read()
    order = np.random.default_rng(reviews.SHUFFLE_SEED).permutation(80)
    for row, place in zip(data.x_train, order, strict=True):
        # Two of the eight say where it begins and ends.
        ids = [2, *(WORDS.index(word) for word in texts["train"][place].split()[:6]), 3]
        assert row.tolist() == ids + [0] * (8 - len(ids))
    assert np.array_equal(data.y_train, labels["train"][order])


@pytest.mark.usefixtures("distilbert")
def test_scaled_numbers_are_the_tokens_again():
    """What the network gets of a problem's samples, and where it looks."""
    run = small(PAPER[0])
    data = load("imdb_tokens")
    samples = problem(run, data)
    model = build(run, shape=samples.shape, n_classes=2)
    seen = {}
    model.network.register_forward_pre_hook(
        lambda _, __, given: seen.update(given), with_kwargs=True
    )
    model(samples.x)
    ids = data.x_train[: len(samples.x)].astype(np.int64)
    assert np.array_equal(seen["input_ids"].numpy(), ids)
    assert np.array_equal(seen["attention_mask"].numpy(), ids != 0)


def test_every_token_survives_the_scaling(monkeypatch):
    """Of 30,522, through float32 in [0, 1]."""
    config = SimpleNamespace(vocab_size=30_522, pad_token_id=0)
    seen = {}

    class Stub(torch.nn.Module):
        def forward(self, **given):
            seen.update(given)
            return SimpleNamespace(logits=None)

    monkeypatch.setattr(language, "_loaded", lambda *_, **__: SimpleNamespace(config=config))
    monkeypatch.setattr(language, "adapted", lambda _: Stub())
    ids = np.arange(30_522, dtype=np.float32)[None]
    language.DistilBert(2)(_to_tensor(ids, (0.0, 30_522.0)))
    assert np.array_equal(seen["input_ids"].numpy(), ids.astype(np.int64))


@pytest.mark.usefixtures("distilbert")
def test_it_is_drawn_from_the_seed_alone():
    """Whatever was drawn before; what was learnt before is the same for every seed."""
    run = small(PAPER[0])
    states = []
    for seed in (0, 0, 1):
        torch.rand(1)
        states.append(build(replace(run, seed=seed), shape=(8,), n_classes=2).state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    differ = {name for name in first if not torch.equal(first[name], other[name])}
    assert all("lora_A" in name or "classifier" in name for name in differ)
    assert {"lora_A" in name for name in differ} == {True, False}


@pytest.mark.usefixtures("distilbert")
def test_it_is_trained_with_dropout_and_evaluated_without():
    """It comes from its package as for evaluation."""
    model = build(small(PAPER[0]), shape=(8,), n_classes=2)
    x = torch.full((1, 8), 0.5)
    assert not torch.equal(model(x), model(x))
    with in_evaluation_mode(model):
        assert torch.equal(model(x), model(x))
    assert not torch.equal(model(x), model(x))


@pytest.mark.usefixtures("distilbert")
@pytest.mark.parametrize("rrm", [False, True])
def test_it_learns_in_the_loop(rrm):
    """Reviews of two kinds of words, an eighth of their labels wrong, told to RRM."""
    cell = next(cell for cell in PAPER if cell.rrm == rrm)
    told = {"penalty": None, "contamination": 0.125, "step": 1.0} if rrm else {}
    run = small(cell, **{"noise_rate": 0.125, **told})
    log = train(run, problem(run, load(run.dataset)))
    assert log.test_correct[-1] == [80]
    if rrm:
        last = log.reweightings[-1]
        assert (last["pruned_contaminated"], last["pruned_clean"]) == (8, 0)


def test_without_weights_the_error_says_where_it_looked(tmp_path, monkeypatch):
    """No folder, and a hub that cannot be reached."""
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    monkeypatch.setattr(language, "NAME", "no-such-model")
    with pytest.raises(FileNotFoundError, match=r"is not available: no file .*no-such-model"):
        language.token_ids(["a film"])


def test_damaged_weights_are_named(distilbert):
    """Half of the file, and none of it; the folder is in the message."""
    path = distilbert / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FileNotFoundError, match=rf"\(AutoModelFor.*not available: {distilbert}"):
        language.DistilBert(2)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"\(AutoModelFor.*not available: {distilbert}"):
        language.DistilBert(2)


def test_a_folder_without_its_tokenizer_is_refused(distilbert):
    """One of five tokens would be made up instead."""
    for path in distilbert.glob("*token*"):
        path.unlink()
    (distilbert / "vocab.txt").unlink()
    with pytest.raises(ValueError, match="must know the 10 tokens of its network, got 5"):
        language.token_ids(["a film"])


def test_other_weights_are_another_origin(distilbert):
    """A checkpoint of theirs is not gone on with."""
    run, data = small(PAPER[0]), load("imdb_tokens")
    before = origin(run, data)
    assert before == origin(run, data)
    config = transformers.DistilBertConfig.from_pretrained(distilbert)
    torch.manual_seed(1)
    transformers.DistilBertModel(config).save_pretrained(distilbert)
    assert origin(run, data)["model"] != before["model"]


@pytest.mark.parametrize("package", ["transformers", "peft"])
def test_without_the_packages_the_error_says_what_to_install(monkeypatch, package):
    """Either of them."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"needs the package {package}: pip install .*text"
    ):
        language.token_ids(["a film"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "imdb"),
        ("normalisation", "scalar"),
        ("initialisation", "glorot"),
        ("train_eps", 0.1),
        ("method", "small_loss"),
    ],
)
def test_what_it_is_not_made_for_is_refused(field, value):
    """Inputs that are no tokens, what cannot be done to tokens, and to undo what was learnt."""
    run = replace(PAPER[0].run, **{field: value})
    with pytest.raises(ValueError, match=rf"model='distilbert' needs {field}=.*, got {value!r}"):
        build(run, shape=(8,), n_classes=2)
