"""design: python -m rrm_theory verify and solve, as people type them."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import rrm_theory.ledger as ledger
from rrm_theory.__main__ import main

ROOT = Path(__file__).parent.parent

LOSSES = [0.0, 1.0, 10.0, 20.0]


@pytest.fixture
def losses(tmp_path):
    """A file of losses."""
    path = tmp_path / "losses.npy"
    np.save(path, np.array(LOSSES))
    return path


def run(capsys, *arguments):
    """Return exit code, output and error text."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def shown(text, name):
    """Return what a table of the output says about a name."""
    rows = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    (value,) = [row[2] for row in rows if len(row) > 2 and row[1] == name]
    return value


def test_solve_prints_partition_value_and_certificate(losses, capsys):
    """Losses 0, 1, 10, 20 at gamma = 2: two go to the first; (0 + 1 + 2 + 2) / 4."""
    code, out, _ = run(capsys, "solve", losses, "--gamma", 2)
    assert code == 0
    expected = {
        "N": "4",
        "cut c_min + gamma": "2.0",
        "I_min, receives": "1",
        "I_mid, unchanged": "1",
        "I_big, at the cut": "0",
        "chi, pruned": "2",
        "value R_gamma(c)": "1.25",
        "multiplier": "1.0",
        "dimension of the optimal face": "0",
        "its vertices": "1",
        "certificate: lower": "1.25",
        "certificate: gap, exact": "0",
    }
    assert {name: shown(out, name) for name in expected} == expected


def test_solve_for_a_contamination(losses, capsys):
    """A quarter: the largest goes, gamma is read off the next one."""
    code, out, _ = run(capsys, "solve", losses, "--contamination", 0.25)
    assert code == 0
    assert shown(out, "gamma") == "10.0"
    assert shown(out, "chi, pruned") == "1"


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_weights_go_to_a_file(losses, tmp_path, capsys, suffix):
    """Every float as it is."""
    path = tmp_path / "deep" / f"weights.{suffix}"
    code, out, _ = run(capsys, "solve", losses, "--gamma", 2, "--weights", path)
    assert code == 0
    assert str(path) in out.replace("\n", "")
    weights = np.load(path) if suffix == "npy" else np.loadtxt(path)
    assert weights.tolist() == [0.75, 0.25, 0.0, 0.0]


@pytest.mark.parametrize(
    "text", ["0\n1\n10\n20\n", "0,1,10,20\n", "loss\n0\n1\n10\n20\n", "0\n\n1\n10\n20"]
)
def test_losses_from_csv_and_standard_input(text, tmp_path, capsys, monkeypatch):
    """A row, a column, a line with a name, an empty line."""
    path = tmp_path / "losses.csv"
    path.write_text(text)
    answers = [run(capsys, "solve", path, "--gamma", 2)]
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    answers.append(run(capsys, "solve", "-", "--gamma", 2))
    for code, out, _ in answers:
        assert code == 0
        assert shown(out, "value R_gamma(c)") == "1.25"


def test_many_vertices_are_a_power(tmp_path, capsys):
    """100 samples at the cut: 2^100 vertices with mass freed, less the one where none is."""
    path = tmp_path / "tied.csv"
    path.write_text("0\n" + "1\n" * 100)
    _, out, _ = run(capsys, "solve", path, "--gamma", 1)
    assert shown(out, "its vertices") == "at least 2^100"


def test_no_level_is_an_answer_of_its_own(tmp_path, capsys):
    """Exit code 1 and what to do; nothing is written."""
    path, weights = tmp_path / "tied.csv", tmp_path / "weights.csv"
    path.write_text("0\n0\n0\n1\n")
    code, out, _ = run(capsys, "solve", path, "--contamination", 0.5, "--weights", weights)
    assert code == 1
    assert "No level exists" in out
    assert not weights.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("0\nx\n", "must hold numbers, got 'x'"),
        ("0.1x\n2\n5\n", "must hold numbers, got '0.1x'"),
        ("1 2 3\n", "must hold numbers, got '1 2 3'"),
        ("1_000\n2\n", "must hold numbers, got '1_000'"),
        ("loss\n", "must hold numbers, got 'loss'"),
        ("0,1\n2,3\n", "must hold one row or one column of losses, got 2 columns"),
        ("", "losses must be a non-empty vector"),
        ("0\nnan\n", "losses must not be NaN, got nan at index 1"),
    ],
)
def test_a_bad_file_is_named(content, match, tmp_path, capsys):
    """Exit code 2 and one line."""
    path = tmp_path / "losses.csv"
    path.write_text(content)
    code, _, err = run(capsys, "solve", path, "--gamma", 1)
    assert code == 2
    assert err.startswith("error: ")
    assert match in err


def test_a_mark_of_the_byte_order_is_no_loss(tmp_path, capsys):
    """Files of spreadsheets begin with one."""
    path = tmp_path / "losses.csv"
    path.write_bytes(b"\xef\xbb\xbf0\n1\n10\n20\n")
    code, out, _ = run(capsys, "solve", path, "--gamma", 2)
    assert code == 0
    assert shown(out, "N") == "4"


def test_a_line_of_names_is_said_to_be_skipped(tmp_path, capsys):
    """Nothing is dropped in silence."""
    path = tmp_path / "losses.csv"
    path.write_text("my loss\n0\n1\n")
    _, out, _ = run(capsys, "solve", path, "--gamma", 2)
    assert "took the first line for names: my loss" in out


def test_a_binary_file_is_named(tmp_path, capsys):
    """With its path, not only the codec's complaint."""
    path = tmp_path / "losses.csv"
    path.write_bytes(b"\xff\xfe\x00")
    code, _, err = run(capsys, "solve", path, "--gamma", 2)
    assert code == 2
    assert "losses.csv holds no losses" in err


def test_folders_are_refused_before_any_work(losses, tmp_path, capsys, monkeypatch):
    """As input and as target; exit code 2."""
    folder = tmp_path / "folder.npy"
    folder.mkdir()
    monkeypatch.setattr("rrm_theory.ledger.verify", lambda *_, **__: pytest.fail("work was done"))
    for arguments in (
        ("solve", folder, "--gamma", 1),
        ("solve", losses, "--gamma", 1, "-o", folder),
        ("verify", "--quick", "--json", folder),
        ("verify", "--quick", "--report", tmp_path),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert str(tmp_path) in err


def test_json_and_page_need_two_files(tmp_path, capsys):
    """One would overwrite the other."""
    path = tmp_path / "found"
    code, _, err = run(capsys, "verify", "--quick", "--json", path, "--report", path)
    assert code == 2
    assert "must be two files" in err


def test_a_claim_named_twice_is_checked_once(capsys):
    """In the order given."""
    code, out, _ = run(capsys, "verify", "--quick", "--claim", "C.4.share", "C.4.share")
    assert code == 0
    assert out.startswith("1 claims")


def test_brackets_are_no_markup(capsys, monkeypatch):
    """A source may quote with them."""
    share = next(one for one in ledger.CLAIMS if one.id == "C.4.share")
    monkeypatch.setattr(ledger, "CLAIMS", (replace(share, source="not as [bold] as that"),))
    _, out, _ = run(capsys, "verify", "--quick")
    assert "not as [bold] as that" in out


def test_a_reader_who_leaves_early_is_no_error():
    """Piped into head: no traceback; the shell's code for a closed pipe."""
    command = f"{sys.executable} -m rrm_theory verify --quick --claim C.4.share | head -1"
    answer = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode in (0, 141)
    assert answer.stderr == ""


def test_a_missing_or_foreign_file_is_named(tmp_path, capsys):
    """With its path."""
    code, _, err = run(capsys, "solve", tmp_path / "none.npy", "--gamma", 1)
    assert code == 2
    assert "none.npy" in err
    foreign = tmp_path / "foreign.npy"
    foreign.write_bytes(b"no array")
    code, _, err = run(capsys, "solve", foreign, "--gamma", 1)
    assert code == 2
    assert "foreign.npy holds no losses" in err
    np.savez(tmp_path / "many.npz", a=np.zeros(2))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    code, _, err = run(capsys, "solve", tmp_path / "many.npy", "--gamma", 1)
    assert code == 2
    assert "many.npy holds no array but an archive" in err


def test_weights_need_a_known_suffix(losses, tmp_path, capsys):
    """Before anything is solved."""
    code, out, err = run(capsys, "solve", losses, "--gamma", 1, "-o", tmp_path / "weights.txt")
    assert code == 2
    assert "weights must go to a .npy or .csv file" in err
    assert out == ""


def test_verify_writes_json_and_page(tmp_path, capsys):
    """Both, with pictures; the table and the counterexample are printed."""
    record, page = tmp_path / "a" / "found.json", tmp_path / "b" / "page.html"
    code, out, _ = run(
        capsys, "verify", "--quick", "--claim", "A.1.value", "B.3.constant",
        "--json", record, "--report", page,
    )  # fmt: skip
    assert code == 0
    assert "2 claims: 1 hold, 1 hold with a correction, 0 are refuted; all as declared." in out
    assert "counterexample: J = (1), eps = 1/2: V(gamma_theta) = V_eps: 1 = 1/2 is false" in out
    found = json.loads(record.read_text())
    assert [one["id"] for one in found["claims"]] == ["A.1.value", "B.3.constant"]
    assert found["budget"] == 200
    assert {"python", "numpy", "commit", "dirty", "device"} <= found["environment"].keys()
    text = page.read_text()
    assert text.count("data:image/svg+xml;base64,") == 4
    assert Fraction(found["claims"][1]["counterexample"]["left"]) == 1


def test_an_unknown_claim_gets_a_hint(capsys):
    """The nearest one."""
    code, _, err = run(capsys, "verify", "--claim", "A.1.valeu")
    assert code == 2
    assert "unknown claim 'A.1.valeu'; did you mean A.1.value" in err


def test_an_interrupted_check_writes_nothing(tmp_path, capsys, monkeypatch):
    """Exit code 130."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rrm_theory.ledger.verify", stopped)
    path = tmp_path / "found.json"
    code, _, err = run(capsys, "verify", "--quick", "--json", path)
    assert code == 130
    assert "nothing was written" in err
    assert not path.exists()


@pytest.mark.parametrize("command", ["verify", "solve"])
def test_help_has_an_example(command, capsys):
    """On every command."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"example: python -m rrm_theory {command}" in " ".join(capsys.readouterr().out.split())
