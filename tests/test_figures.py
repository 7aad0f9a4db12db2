"""Figures: drawn from stored files alone, showing what the arrays hold."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from experiments.catalogue import DEMO_RRM
from experiments.demo import demo_store
from figures import face
from figures.__main__ import main
from figures.demo import DemoRun
from figures.face import corners
from figures.trajectories import chosen
from figures.weights import counts, draw

mpl.use("agg")

# Six samples, three re-weightings; N p. The first three labels are wrong.
WEIGHTS = np.array(
    [
        [0.0, 1.0, 1.0, 1.0, 0.0, 4.0],
        [0.0, 0.0, 1.0, 1.0, 1.0, 3.0],
        [0.0, 0.0, 1.0, 1.0, 1.0, 3.0],
    ]
)
WRONG = np.array([True, True, True, False, False, False])


@pytest.fixture
def folder(tmp_path):
    """A folder with the main job's result and trajectory, in small."""
    store = demo_store(tmp_path, tmp_path)
    store.prepare()
    entries = [{"epoch": epoch} for epoch in (5, 10, 15)]
    store.save_result(DEMO_RRM, {"key": DEMO_RRM.key, "reweightings": entries})
    store.save_trajectory(DEMO_RRM, u=(WEIGHTS - 1) / 6, contaminated=WRONG)
    return tmp_path


def test_all_pictures_are_written_as_png_and_pdf(folder, capsys):
    """One command draws all; the paths are printed."""
    code = main(["--results", str(folder), "--work", str(folder), "--output", str(folder / "out")])
    assert code == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in printed] == [
        "demo_trajectories.png",
        "demo_trajectories.pdf",
        "demo_weights.png",
        "demo_weights.pdf",
        "optimal_face.png",
        "optimal_face.pdf",
    ]
    for path in printed:
        magic = path.read_bytes()[:4]
        assert magic == (b"\x89PNG" if path.suffix == ".png" else b"%PDF")


def test_the_bars_count_the_final_weights(folder):
    """Removed, damped, untouched, heavier: wrong (2, 0, 1, 0), right (0, 0, 2, 1)."""
    axis = draw(demo_store(folder, folder)).axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == [2, 0, 1, 0, 0, 0, 2, 1]
    assert counts(np.array([0.0, 0.5, 1.0, 1.5, 0.25])) == [1, 2, 1, 1]


def test_samples_are_chosen_by_rule():
    """Wrong: always out, changed most and out, kept. Right: untouched, came back, heaviest."""
    run = DemoRun(scaled_weights=WEIGHTS, epochs=[5, 10, 15], contaminated=WRONG)
    left, right = chosen(run)
    assert left == [0, 1, 2]
    assert right == [3, 4, 5]


def test_without_results_the_error_says_how_to_get_them(tmp_path, capsys):
    """Exit code 2, and the command to run."""
    assert main(["weights", "--results", str(tmp_path), "--work", str(tmp_path)]) == 2
    assert "run python -m experiments demo first" in capsys.readouterr().err


def test_the_face_is_drawn_with_its_corners():
    """A polygon in (u_1, u_3) with the four vertices of losses 0, 0, 1, 3, around its middle."""
    axis = face.draw().axes[0]
    assert axis.patches[0].get_xy()[:4].tolist() == corners()[:, [0, 2]].tolist()
    assert corners()[:, [0, 2]].tolist() == [[0, -0.25], [0.5, -0.25], [0.25, 0], [0, 0]]
    labels = {text.get_text() for text in axis.texts}
    assert "p = (0.75, 0.25, 0, 0)" in labels
    assert len(labels) == 4


def test_an_unknown_figure_lists_the_known_ones(capsys):
    """Exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        main(["pie"])
    assert "unknown figure 'pie'; known: trajectories, weights, face" in capsys.readouterr().err
