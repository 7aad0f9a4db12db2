"""ICLR paper, Table 8: the catalogue, the report, and what the committed results show."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import report as reporting
from experiments.catalogue import TABLES, table
from experiments.catalogue.cell import PRESETS
from experiments.store import RESULTS, Store

TABLE = table("table8")
COMMITTED = Store(experiment="table8", results=RESULTS)
SEEDS = 3


def test_24_cells_with_appendix_c_s_settings():
    """Four losses, three noise rates, plain and RRM; lr 0.1, 10 x 10 epochs, mu 0.5."""
    cells = TABLE.cells("paper", "paper", 0)
    assert len(cells) == len({cell.run.key for cell in cells}) == 24
    for cell in cells:
        run = cell.run
        assert (run.dataset, run.model, run.batch_size) == ("mnist3", "mlp", 100)
        assert (run.loss, run.noise_rate) == (cell.row, cell.noise_rate)
        assert (run.learning_rate, run.epochs, run.epochs_per_iteration) == (0.1, 100, 10)
        assert run.reduction == "batch_sum"
        assert run.reweights == cell.rrm
        if cell.rrm:
            assert (run.penalty, run.step) == (0.4, 0.5)


def test_published_numbers():
    """The rows as printed: 55, 60, 65 %, base then RRM."""
    printed = {
        "elr": [98, 99, 97, 98, 82, 87],
        "cce": [90, 98, 77, 96, 46, 67],
        "mae": [98, 98, 96, 98, 62, 68],
        "mse": [90, 98, 74, 97, 45, 87],
    }
    cells = TABLE.cells("paper", "paper", 0)
    for loss, numbers in printed.items():
        assert [cell.published for cell in cells if cell.row == loss] == [(x,) for x in numbers]


def test_the_presets_read_the_price_differently():
    """0.4 is gamma = 0.4 in the text and 0.8 in the program; what does not matter is shared."""
    runs = {
        preset: {(c.row, c.noise_rate, c.rrm): c.run for c in TABLE.cells(preset, "paper", 0)}
        for preset in PRESETS
    }
    for where, run in runs["paper"].items():
        program = runs["authors_program"][where]
        assert run.gamma == (0.4 if where[2] else None)
        assert program.gamma == (0.8 if where[2] else None)
        clipped = where[0] in ("cce", "elr")
        assert program.probability_clip == (1e-7 if clipped else 0.0)
        assert run.probability_clip == 0.0
        assert (run == program) == (not where[2] and not clipped)


def test_an_unknown_table_lists_the_known_ones():
    """The error is the way to find out what there is."""
    with pytest.raises(ValueError, match=f"unknown table 'table9'; known: {', '.join(TABLES)}"):
        table("table9")


def fake_result(run, last):
    """Return the part of a result that a report reads."""
    return {
        "key": run.key,
        "accuracy": {"last": last, "selected": last - 1, "oracle": last + 1},
        "seconds": {"train": 30.0, "reweighting": 0.3, "reweighting losses": 1.2}
        if run.reweights
        else {"train": 20.0},
    }


@pytest.fixture
def store(tmp_path):
    """A store with two seeds of two cells: ELR at 55 %, plain (published 98) and RRM (99)."""
    made = Store(experiment="table8", results=tmp_path, work=tmp_path)
    made.prepare()
    for seed, values in ((0, (90.0, 99.0)), (1, (92.0, 97.0))):
        for cell, value in zip(TABLE.cells("paper", "paper", seed)[:2], values, strict=True):
            made.save_result(cell.run, fake_result(cell.run, value))
    return made


def test_the_report_compares_the_last_epoch_and_marks_differences(store):
    """Mean, spread over seeds, difference, and a mark beyond five points."""
    report = reporting.report(TABLE, store, preset="paper", scale="paper")
    assert report.missing == 22
    plain, rrm = report.lines
    assert plain.seeds == 2
    assert plain.mean == {"last": 91.0, "selected": 90.0, "oracle": 92.0}
    assert plain.spread["last"] == pytest.approx(2**0.5)
    assert plain.difference == -7.0
    assert plain.disagrees
    assert not rrm.disagrees
    assert report.agreeing == 1
    assert report.mean_absolute_difference == 4.0
    assert reporting.rows(report)[0] == (
        "ELR", "55 %", "plain", "98", "91.0 ± 1.4", "90.0 ± 1.4", "92.0 ± 1.4", "-7.0 !", "2",
    )  # fmt: skip
    assert "1 of 2 cells within 5 points" in reporting.verdict([report])[0]
    assert reporting.cost([report]) == [
        "Plain runs took 20 to 20 s a cell (median 20); RRM runs took 32 to 32 s a cell "
        "(median 32); re-weighting itself at most 0.95 % of a run, and computing the losses for it "
        "3.8 %."
    ]
    assert reporting.cost([]) == []


def test_the_report_names_the_better_reading_on_equal_cells_only(store):
    """With the program's cells present too, the smaller mean difference wins."""
    paper = reporting.report(TABLE, store, preset="paper", scale="paper")
    nothing = reporting.report(TABLE, store, preset="authors_program", scale="paper")
    assert nothing.lines == ()
    assert len(reporting.verdict([paper, nothing])) == 1
    for cell in TABLE.cells("authors_program", "paper", 0)[:2]:
        store.save_result(cell.run, fake_result(cell.run, cell.published[0] - 1.0))
    program = reporting.report(TABLE, store, preset="authors_program", scale="paper")
    assert reporting.verdict([paper, program])[-1].endswith("better: authors_program.")


def test_markdown_and_json_say_the_same(store):
    """One row a cell in both."""
    report = reporting.report(TABLE, store, preset="paper", scale="paper")
    text = reporting.markdown(reporting.sections([report]), reporting.verdict([report]))
    assert "| ELR | 55 % | plain | 98 | 91.0 ± 1.4 |" in text
    data = json.loads(json.dumps(report.as_json()))
    assert [cell["mean"]["last"] for cell in data["cells"]] == [91.0, 98.0]
    assert data["missing_cells"] == 22


def committed(preset, seeds):
    """Return {(loss, rate, rrm): [results]} from the repository."""
    found = {}
    for seed in range(seeds):
        for cell in TABLE.cells(preset, "paper", seed):
            result = COMMITTED.load_result(cell.run)
            assert result is not None, f"{preset}, seed {seed}: no result for {cell.run}"
            found.setdefault((cell.row, cell.noise_rate, cell.rrm), []).append(result)
    return found


def last(results):
    """Return the mean accuracy after the last epoch."""
    return float(np.mean([one["accuracy"]["last"] for one in results]))


def test_the_committed_results_are_complete():
    """24 cells x 3 seeds as the program has it, one seed as the text has it; clean commits."""
    assert len(committed("authors_program", SEEDS)) == len(committed("paper", 1)) == 24
    for path in (RESULTS / "table8").glob("*.json"):
        record = json.loads(path.read_text())["environment"]
        assert not record["dirty"], path.name
        assert len(record["commit"]) == 40, path.name


def test_rrm_rescues_cross_entropy_as_published():
    """At 60 %: RRM >= 93 and >= 15 points above plain. At 65 %: RRM >= 60. Means of 3 seeds."""
    results = committed("authors_program", SEEDS)
    assert last(results["cce", 0.60, True]) >= 93
    assert last(results["cce", 0.60, True]) - last(results["cce", 0.60, False]) >= 15
    assert last(results["cce", 0.65, True]) >= 60


def test_the_log_explains_every_marked_cell():
    """Each cell that differs by more than five points is named in LOG.md."""
    log = (Path(reporting.__file__).parent / "LOG.md").read_text()
    report = reporting.report(TABLE, COMMITTED, preset="authors_program", scale="paper")
    for line in report.lines:
        if line.disagrees:
            kind = "+ RRM" if line.cell.rrm else "plain"
            name = f"{line.cell.row.upper()} {kind} at {100 * line.cell.noise_rate:.0f} %"
            assert name in log, f"LOG.md does not explain {name}"
