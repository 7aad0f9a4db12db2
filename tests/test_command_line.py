"""python -m experiments: what is asked is done, what cannot be is an error that says why."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.data import load

ROOT = Path(__file__).parent.parent
PATIENCE = 120


@pytest.fixture
def smoke(mnist_folder, tmp_path, monkeypatch):
    """Arguments that put a smoke sweep of Table 8 on the stand-in data into a folder."""
    monkeypatch.setenv("RRM_DATA", str(mnist_folder))
    load.cache_clear()
    yield ["--scale", "smoke", "--results", str(tmp_path / "results"), "--work", str(tmp_path)]
    load.cache_clear()


def started(arguments):
    """Start the command line as a process group, as a terminal does; its output is read later."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_run_then_report(smoke, tmp_path, capsys):
    """Settings first, place of the results last; the report finds every cell."""
    assert main(["run", "table8", "--preset", "paper", "--jobs", "2", *smoke]) == 0
    printed = capsys.readouterr().out
    assert printed.index("probability_clip") < printed.index("24 runs finished now")
    assert printed.splitlines()[-1] == f"Results: {tmp_path / 'results' / 'table8'}"
    files = list((tmp_path / "results" / "table8").glob("*.json"))
    assert len(files) == 24

    report = ["report", "table8", "--preset", "paper", *smoke]
    assert main([*report, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert len(one["cells"]) == 24
    assert one["missing_cells"] == 0
    assert main([*report, "--markdown"]) == 0
    assert "Preset `paper`:" in capsys.readouterr().out
    assert main(report) == 0
    assert "paper, smoke: RRM ends above" in capsys.readouterr().out


def test_shards_make_up_the_whole(smoke, capsys):
    """Two halves of the cells of one loss are all of them."""
    only = ["--only", "loss=mse", "--preset", "paper"]
    for shard in ("1/2", "2/2"):
        assert main(["run", "table8", *only, "--shard", shard, *smoke]) == 0
        assert "3 runs finished now, 0 were there" in capsys.readouterr().out
    assert main(["run", "table8", *only, *smoke]) == 0
    assert "0 runs finished now, 6 were there" in capsys.readouterr().out


def test_set_changes_a_setting_and_keeps_the_results_apart(smoke, capsys):
    """The preset's cells stay missing; the report with the same --set finds the others."""
    change = ["--only", "loss=mae", "--set", "class_reduction=mean", "--preset", "paper"]
    assert main(["run", "table8", *change, *smoke]) == 0
    capsys.readouterr()
    report = ["report", "table8", "--json", *smoke]
    main([*report, *change])
    assert len(json.loads(capsys.readouterr().out)[0]["cells"]) == 6
    main([*report, "--preset", "paper"])
    assert json.loads(capsys.readouterr().out)[0]["cells"] == []


@pytest.mark.parametrize(("columns", "whole"), [(None, True), ("60", False)])
def test_a_piped_table_is_wider_than_80_columns(columns, whole, monkeypatch, capsys):
    """Unless COLUMNS says how wide it may be."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert main(["bench", "--stored"]) == 0
    printed = capsys.readouterr().out
    assert ("One re-weighting, N = 50,000: milliseconds" in printed) == whole
    assert (max(map(len, printed.splitlines()[:-1])) <= 60) != whole


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(smoke, tmp_path, times):
    """Exit code 130, also for the impatient; every result on disk is whole; no traceback."""
    arguments = ["run", "table8", "--seeds", "40", *smoke]
    process = started(arguments)
    results = tmp_path / "results" / "table8"
    deadline = time.monotonic() + PATIENCE
    while not list(results.glob("*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline, "no result in time"
        time.sleep(0.05)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.1)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "To go on: python -m experiments run table8 --seeds 40 --scale smoke" in output
    finished = int(output.split(" runs finished now")[0].split()[-1])
    assert 0 < finished == len(list(results.glob("*.json")))
    assert all(json.loads(path.read_text()) for path in results.glob("*.json"))


def test_a_budget_ends_with_its_own_exit_code(smoke, capsys):
    """Exit code 3: nothing failed, and there is more to do."""
    assert main(["run", "table8", "--seeds", "40", "--budget", "1s", *smoke]) == 3
    assert "To go on: python -m experiments run table8" in capsys.readouterr().out


def test_a_failed_run_is_exit_code_1(smoke, capsys):
    """And the reason is printed."""
    diverging = ["--only", "loss=cce", "--only", "noise_rate=0.6", "--set", "learning_rate=1e10"]
    assert main(["run", "table8", "--preset", "paper", *diverging, *smoke]) == 1
    assert "diverged in epoch 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table9"], "unknown table 'table9'; known: table4, table7"),
        (["run", "table8", "--preset", "mine"], "unknown preset 'mine'; known: authors_program, p"),
        (["run", "table8", "--scale", "huge"], "unknown scale 'huge'; known: paper, smoke"),
        (["report", "table9"], "unknown table 'table9'; known: table4, table7"),
        (["report", "table8", "--preset", "x"], "unknown preset 'x'; known: authors_program, pap"),
        (
            ["run", "table8", "--only", "loss=cce", "--set", "model=vit"],
            "model must be one of linear",
        ),
        (["run", "table8", "--set", "dataset=svhn"], "dataset must be one of digits, mnist3, mn"),
        (["run", "table8", "--only", "seed=5"], "no run of table8 is left after --only"),
        (["report", "table8", "--only", "loss=gce"], "no cell of table8 is left after --only"),
        (["run", "table8", "--set", "noise_rate=0.5"], "would make one cell another; use --only"),
        (["report", "table8", "--set", "seed=0"], "--set seed=0 would make one cell another"),
        (["run", "table8", "--set", "step=abc"], "step must be a number, got 'abc'"),
        (["run", "table8", "--set", "elr_decay=null"], "elr_decay must be a number, got None"),
    ],
)
def test_wrong_names_list_the_known_ones(arguments, message, capsys):
    """Exit code 2 and one line, no traceback."""
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table8", "--jobs", "0"], "must be a positive integer, got '0'"),
        (["run", "table8", "--budget", "9"], "must be a number with s, m or h, such as 9m; got"),
        (["run", "table8", "--budget", "-1s"], "expected one argument"),
        (["run", "table8", "--shard", "4/3"], "must be I/K with 1 <= I <= K, such as 3/8; got"),
        (["run", "table8", "--set", "colour=red"], "must be FIELD=VALUE with a field of a run"),
        (["fly"], "invalid choice: 'fly'"),
    ],
)
def test_wrong_usage_is_explained(arguments, message, capsys):
    """Exit code 2, the option and the value named."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_an_unwritable_folder_fails_before_training(tmp_path, capsys, mnist_folder, monkeypatch):
    """Exit code 2; the folder is named."""
    monkeypatch.setenv("RRM_DATA", str(mnist_folder))
    (tmp_path / "file").write_text("in the way")
    arguments = ["run", "table8", "--results", str(tmp_path / "file"), "--work", str(tmp_path)]
    assert main(arguments) == 2
    assert f"cannot write to {tmp_path / 'file' / 'table8'}" in capsys.readouterr().err


def test_list_names_everything(capsys):
    """Tables, presets, scales, data sets."""
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in ("table8", "authors_program", "smoke", "mnist3", "Table 8: MNIST-3"):
        assert name in printed


@pytest.mark.parametrize("command", ["demo", "list", "run", "report", "bench"])
def test_every_command_has_an_example_in_its_help(command, capsys):
    """--help ends with a line to copy."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"example: python -m experiments {command}" in capsys.readouterr().out


def test_the_demo(tmp_path):
    """One command: a table, two pictures, and RRM far above plain training."""
    process = started(["demo", "--results", str(tmp_path), "--work", str(tmp_path)])
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "of 384" in output
    for name in ("demo_trajectories.png", "demo_weights.png"):
        assert os.path.getsize(tmp_path / "demo" / name) > 10_000  # noqa: PTH202
    last = {}
    for path in (tmp_path / "demo").glob("*.json"):
        result = json.loads(path.read_text())
        last[result["run"]["contamination"]] = result["accuracy"]["last"]
    assert last[0.4] >= last[None] + 20
