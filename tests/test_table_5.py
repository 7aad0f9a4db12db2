"""ICLR paper, Tables 5, 6 and 10 and our ablation of Table 5: the cells, and what a report says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fixtures import as_trajectory, attacked_result

from experiments.__main__ import main
from experiments.catalogue import TABLES
from experiments.catalogue.adversarial import ABLATION, ADVERSARIAL_NOISE
from experiments.catalogue.cell import PRESETS
from experiments.report import Selection
from experiments.report_attacked import (
    attacked_report,
    attacked_rows,
    attacked_summary,
    attacked_verdict,
)
from experiments.report_weights import weights_reports, weights_rows, weights_verdict
from experiments.spec import TEST_EPS
from experiments.store import Store

TABLE_5, TABLE_6, TABLE_10 = (TABLES[name] for name in ("table5", "table6", "table10"))


@pytest.mark.parametrize("table", [TABLE_5, TABLE_10])
@pytest.mark.parametrize("preset", PRESETS)
def test_ten_cells_with_section_4_2_2_s_settings(table, preset):
    """Five noise rates, AT and A-RRM; lr 0.1, 50 x 10 epochs, mu 0.5, penalty 2, FGSM 1."""
    cells = table.cells(preset, "paper", 0)
    assert [(c.noise_rate, c.rrm) for c in cells] == [
        (rate, rrm) for rate in ADVERSARIAL_NOISE for rrm in (False, True)
    ]
    for cell in cells:
        run = cell.run
        assert (run.dataset, run.model, run.loss, run.train_eps) == ("mnist", "cnn", "cce", 1.0)
        assert (run.iterations, run.epochs_per_iteration) == (50, 10)
        assert (run.learning_rate, run.validation, run.reduction) == (0.1, 0.2, "batch_sum")
        assert run.noise == ("table9" if table is TABLE_10 and run.noise_rate else "symmetric")
        assert run.noise_rate == cell.noise_rate
        assert run.reweights == cell.rrm
        if cell.rrm:
            assert (run.penalty, run.step) == (2.0, 0.5)


def test_published_numbers():
    """A few of each table by hand, at the corners of the printed ones."""
    by_cell = {(c.noise_rate, c.rrm): c.published for c in TABLE_5.cells("paper", "paper", 0)}
    assert by_cell[0.0, False] == (97, 95, 93, 91, 86)
    assert by_cell[0.2, False] == (58, 61, 84, 90, 88)
    assert by_cell[0.2, True] == (96, 93, 90, 88, 83)
    assert by_cell[0.3, True] == (86, 82, 81, 80, 77)
    by_cell = {(c.noise_rate, c.rrm): c.published for c in TABLE_10.cells("paper", "paper", 0)}
    assert by_cell[0.0, False] == (96.5, 93.4, 92.4, 92.0, 89.4)
    assert by_cell[0.3, True] == (89.2, 81.7, 79.8, 81.6, 77.8)
    assert len(TEST_EPS) == len(by_cell[0.3, True])


def test_sums_of_the_published_numbers():
    """By rows and columns of the printed tables: no two numbers have changed places."""
    sums = {
        (id(TABLE_5), False): ([301, 311, 422, 466, 461], [462, 399, 404, 381, 315]),
        (id(TABLE_5), True): ([470, 454, 444, 437, 419], [450, 459, 459, 450, 406]),
        (id(TABLE_10), False): (
            [341.0, 344.5, 416.8, 454.8, 450.3], [463.7, 451.4, 399.8, 342.1, 350.4],
        ),
        (id(TABLE_10), True): (
            [462.3, 443.5, 439.1, 442.7, 429.3], [462.0, 455.2, 442.6, 447.0, 410.1],
        ),
    }  # fmt: skip
    for table in (TABLE_5, TABLE_10):
        for rrm in (False, True):
            cells = [c.published for c in table.cells("paper", "paper", 0) if c.rrm == rrm]
            grid = np.array(cells).T
            rows, columns = sums[id(table), rrm]
            assert grid.sum(axis=1) == pytest.approx(rows, abs=1e-9)
            assert grid.sum(axis=0) == pytest.approx(columns, abs=1e-9)


def test_the_presets_are_two_readings():
    """Units of eps, inputs of the re-weighting losses, test attacks, price and clipping."""
    for rrm in (False, True):
        text, program = (
            next(
                c.run for c in TABLE_5.cells(p, "paper", 0) if c.rrm == rrm and c.noise_rate == 0.2
            )
            for p in ("paper", "authors_program")
        )
        assert (text.eps_unit, program.eps_unit) == ("pixel", "normalised")
        assert (text.test_attack, program.test_attack) == ("alone", "accumulating")
        assert (text.probability_clip, program.probability_clip) == (0.0, 1e-7)
        if rrm:
            assert (text.gamma, program.gamma) == (2.0, 4.0)
            assert (text.reweight_inputs, program.reweight_inputs) == ("clean", "perturbed")


@pytest.mark.parametrize("name", ["table5", "table10", "ablation5"])
def test_reduced_keeps_learning_rate_times_epochs_and_the_reweightings(name):
    """50, as 0.1 x 500; 3,000 samples train. The ablation's own changes are apart."""
    for cell in TABLES[name].cells(TABLES[name].presets[0], "reduced", 0):
        run = cell.run
        assert run.train_samples * (1 - run.validation) == 3000
        if cell.row != "batch mean, lr 0.1":
            assert run.learning_rate * run.epochs == 50
        if cell.row != "4 epochs a re-weighting":
            assert run.iterations == 50


def test_tables_5_and_10_share_the_runs_without_wrong_labels():
    """The same files."""
    five, ten = (table.cells("paper", "paper", 0) for table in (TABLE_5, TABLE_10))
    assert [c.run for c in five][:2] == [c.run for c in ten][:2]
    assert not {c.run for c in five[2:]} & {c.run for c in ten[2:]}
    assert TABLE_5.experiment == TABLE_10.experiment


def test_table_6_is_a_run_of_table_5():
    """A-RRM at 20 %, in the same folder."""
    (cell,) = TABLE_6.cells("paper", "paper", 3)
    assert cell.run in [c.run for c in TABLE_5.cells("paper", "paper", 3)]
    assert (cell.rrm, cell.noise_rate) == (True, 0.2)
    assert TABLE_6.experiment == TABLE_5.experiment


def test_the_ablation_changes_one_thing_at_a_time():
    """From its base; only decisive changes have more than one seed."""
    table = TABLES["ablation5"]
    cells = table.cells("paper", "reduced", 0)
    base = {c.rrm: c.run for c in cells if c.row == "base"}
    for cell in cells:
        variant = ABLATION[cell.row]
        assert cell.run == replace(base[cell.rrm], **variant.changes)
        assert (cell.run == base[cell.rrm]) == (cell.row == "base")
    assert base[True].gamma == 2.0
    assert base[True].reweight_inputs == "perturbed"
    second = {c.row for c in table.cells("paper", "reduced", 1)}
    assert second == {name for name, variant in ABLATION.items() if variant.decisive}


@pytest.fixture
def store(tmp_path):
    """AT that collapses at 20 % and A-RRM that does not, two seeds; nothing else."""
    store = Store(experiment="table5", results=tmp_path, work=tmp_path / "work")
    store.prepare()
    numbers = {
        (0.0, False): 97, (0.0, True): 96, (0.2, False): 40, (0.2, True): 90,
    }  # fmt: skip
    for seed in (0, 1):
        for cell in TABLE_5.cells("paper", "reduced", seed):
            mean = numbers.get((cell.noise_rate, cell.rrm))
            if mean is not None:
                first = mean - 1 + 2 * seed
                accuracy = (first, first - 1, first - 2, first - 3, 50)
                store.save_result(cell.run, attacked_result(cell.run, accuracy, pruned=(19, 4)))
    (cell,) = TABLE_6.cells("paper", "reduced", 0)
    weights = np.ones((50, 4))
    weights[1:, 0], weights[1:, 3] = 0, 2
    weights[1:3, 1] = 0
    store.save_trajectory(cell.run, as_trajectory(weights, [True, False, False, False]))
    return store


def test_the_grid_has_published_and_five_selections(store):
    """Mean and sample standard deviation over seeds."""
    report = attacked_report(TABLE_5, store, preset="paper", scale="reduced")
    assert report.missing == 6
    rows = [row for row in attacked_rows(report) if row[:2] == ("20 %", "AT")]
    assert rows[0][2:] == ("published", "58", "61", "84", "90", "88", "")
    assert [row[2] for row in rows[1:]] == [
        "last", "selected", "selected, clean", "selected, attacked", "oracle",
    ]  # fmt: skip
    assert rows[1][3] == "35.0 ± 1.4"
    assert rows[2][3:] == (
        "40.0 ± 1.4",
        "39.0 ± 1.4",
        "38.0 ± 1.4",
        "37.0 ± 1.4",
        "50.0 ± 0.0",
        "2",
    )


def test_the_summary_marks_a_collapse_and_says_what_is_pruned(store):
    """Published and ours, by noise rate; AT at 20 % is more than 20 points below AT at 0 %."""
    report = attacked_report(TABLE_5, store, preset="paper", scale="reduced")
    (summary,) = attacked_summary([report])
    assert summary.header == ("", "", "eps", "0 %", "20 %")
    assert summary.body == [
        ("AT", "published", "0", "97", "58 !"),
        ("A-RRM", "published", "0", "96", "96"),
        ("AT", "last epoch", "0", "92.0", "35.0 !"),
        ("A-RRM", "last epoch", "0", "91.0", "85.0"),
        ("AT", "by noisy validation", "0", "97.0", "40.0 !"),
        ("A-RRM", "by noisy validation", "0", "96.0", "90.0"),
        ("AT", "by noisy validation, attacked", "0", "97.0", "40.0 !"),
        ("A-RRM", "by noisy validation, attacked", "0", "96.0", "90.0"),
        ("AT", "published", "1", "86", "88"),
        ("A-RRM", "published", "1", "83", "83"),
        *[
            (name, how, "1", number, number)
            for how, number in (
                ("last epoch", "45.0"),
                ("by noisy validation", "50.0"),
                ("by noisy validation, attacked", "50.0"),
            )
            for name in ("AT", "A-RRM")
        ],
        ("A-RRM", "wrong labels pruned, %", "", "-", "95"),
        ("A-RRM", "right labels pruned, %", "", "4", "5"),
        ("AT", "seeds", "", "2", "2"),
        ("A-RRM", "seeds", "", "2", "2"),
    ]
    assert summary.title.endswith("more than 20 points below the row's own 0 %)")
    assert attacked_summary([]) == []


def test_without_a_run_at_0_percent_no_collapse_is_claimed(store):
    """Nothing is marked, and the title does not say how it would be."""
    noisy = Selection(keep=lambda run: run.noise_rate == 0.2)
    report = attacked_report(TABLE_5, store, preset="paper", scale="reduced", selection=noisy)
    (summary,) = attacked_summary([report])
    assert summary.header[3:] == ("20 %",)
    assert summary.title.endswith("by share of wrong labels")
    assert not any("!" in cell for row in summary.body for cell in row)


def test_the_verdict_names_overfitting(store):
    """The most that PGD leaves in a cell, and all runs."""
    report = attacked_report(TABLE_5, store, preset="paper", scale="reduced")
    assert attacked_verdict(report) == [
        "paper, reduced: PGD of the training size leaves at most 10.0 % right in the end; 8 of 8 "
        "runs are overfitted to FGSM."
    ]


def test_without_results_there_is_nothing_to_say(tmp_path):
    """And the report counts what is missing."""
    empty = Store(experiment="table5", results=tmp_path, work=tmp_path)
    report = attacked_report(TABLE_5, empty, preset="paper", scale="reduced")
    assert (report.lines, report.missing, attacked_verdict(report)) == ((), 10, [])
    with pytest.raises(ValueError, match="no cell of table5 is left after --only"):
        attacked_report(
            TABLE_5,
            empty,
            preset="paper",
            scale="reduced",
            selection=Selection(keep=lambda _: False),
        )


def test_table_6_beside_the_published_one(store):
    """After the first re-weighting nothing moved; after the tenth the wrong label is gone."""
    (report,) = weights_reports(TABLE_6, store, preset="paper", scale="reduced")
    rows = weights_rows(report)
    assert rows[0] == ("1", "contaminated", "ours", "0.0 %", "100.0 %", *["0.0 %"] * 4, "1")
    assert rows[1][3:] == ("0.0 %", "92.1 %", "0.0 %", "0.0 %", "7.9 %", "0.0 %", "9600")
    assert rows[4] == ("10", "contaminated", "ours", *["0.0 %"] * 5, "100.0 %", "1")
    text = " ".join(weights_verdict(report))
    assert "of the pruned samples 100 % are wrong, of the wrong ones 100 % are pruned" in text
    assert "close calls 1 (33.3 %; published 1.9 %)" in text


@pytest.mark.parametrize("output", [[], ["--json"], ["--markdown"]])
@pytest.mark.parametrize("name", ["table5", "table6"])
def test_reports_from_the_command_line(store, name, output, capsys, monkeypatch):
    """Tables, JSON and Markdown of what is stored."""
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["report", name, "--scale", "reduced", "--results", str(store.results), *output]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    if output == ["--json"]:
        reports = json.loads(printed)
        assert [one["preset"] for one in reports][-1] == "paper"
        if name == "table5":
            mean = {(c["noise_rate"], c["rrm"]): c["mean"] for c in reports[-1]["cells"]}
            assert mean[0.2, True]["selected"][0] == 90.0
        else:
            assert reports[0]["close_calls"] == {
                "never_zero": 2, "type_1": 0, "close_calls": 1, "in_between": 0,
            }  # fmt: skip
            assert sum(reports[0]["counts"]["10"]["clean"]) == 3
    else:
        assert "Preset `paper`, scale `reduced`" in printed
        assert ("seed 0" in printed) == (name == "table6")
        assert ("| --- |" in printed) == (output == ["--markdown"])


def test_a_report_shows_the_first_scale_with_results(store, capsys, monkeypatch):
    """Here the reduced one; without any, the table's first is reported as missing."""
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["report", "table5", "--results", str(store.results)]) == 0
    assert "Preset `paper`, scale `reduced`" in capsys.readouterr().out
    assert main(["report", "ablation5", "--results", str(store.results)]) == 0
    assert "14 cells of paper, reduced have no result." in capsys.readouterr().out


def test_a_device_that_is_not_there_is_refused(tmp_path, capsys, monkeypatch):
    """Before anything is trained, and by name."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    places = ["--results", str(tmp_path), "--work", str(tmp_path)]
    assert main(["run", "table8", "--scale", "smoke", "--device", "cuda", *places]) == 2
    assert "device must be cpu, or cuda where there is a GPU; got 'cuda'" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json"))


def test_a_report_without_trajectories_says_so(tmp_path, capsys):
    """Table 6 needs them."""
    assert main(["report", "table6", "--scale", "smoke", "--results", str(tmp_path)]) == 0
    assert "no run of table6 at scale smoke has a trajectory" in capsys.readouterr().out
