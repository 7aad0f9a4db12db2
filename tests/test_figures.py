"""Figures: drawn from stored files alone, showing what the arrays hold."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fixtures import as_trajectory, attacked_result

from experiments.catalogue import TABLES
from experiments.catalogue.own import DEMO_RRM
from experiments.demo import demo_store
from experiments.problem import noise_matrix
from experiments.spec import META_METHODS
from experiments.store import Store
from figures import (
    ablation,
    accuracy_grid,
    bounds,
    close_calls,
    face,
    gamma_path,
    gap,
    methods,
    simplex,
    theory,
    u_bins,
)
from figures.__main__ import main
from figures.adversarial import weights_run
from figures.demo import DemoRun
from figures.face import corners
from figures.pictures import PICTURES
from figures.trajectories import chosen
from figures.weights import counts, draw
from rrm_theory.wasserstein import weight_budget_value

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


@pytest.fixture(autouse=True)
def closed():
    """Figures do not outlive their test."""
    yield
    plt.close("all")


@pytest.fixture
def folder(tmp_path):
    """A folder with the main job's result and trajectory, in small."""
    store = demo_store(tmp_path, tmp_path)
    store.prepare()
    store.save_result(DEMO_RRM, {"key": DEMO_RRM.key})
    store.save_trajectory(DEMO_RRM, as_trajectory(WEIGHTS, WRONG))
    return tmp_path


@pytest.fixture
def adversarial(folder):
    """And Table 5 and its ablation at reduced scale, one seed; half of the weights separate."""
    weights = np.ones((50, 6))
    weights[20:, :2], weights[20:, 5] = 0, 3
    weights[25:40, 4], weights[30:45, 3] = 0, 0
    for name, preset in (("table5", "paper"), ("ablation5", "paper")):
        store = Store(experiment=name, results=folder, work=folder)
        store.prepare()
        for cell in TABLES[name].cells(preset, "reduced", 0):
            accuracy = (90, 80, 70, 60, 50) if cell.rrm else (40, 50, 60, 70, 80)
            store.save_result(cell.run, attacked_result(cell.run, accuracy, pruned=(2, 1)))
            if cell.rrm:
                store.save_trajectory(cell.run, as_trajectory(weights, WRONG))
    return folder


@pytest.fixture
def side_by_side(folder):
    """And the table of methods, two seeds: AUC .5 and then .75, or 1 with the second seed."""
    store = Store(experiment="methods", results=folder, work=folder)
    store.prepare()
    for seed in (0, 1):
        for cell in TABLES["methods"].cells("paper", "reduced", seed):
            run, method = cell.run, {}
            if run.method in META_METHODS:
                method = {"losses": [0.0, 5.0, 10.0], "factors": [0.75, 0.5, 0.25]}
            if run.method == "flywheel":
                matrix = noise_matrix(run, 10)
                matrix[0, :2] += (-0.125, 0.125)
                method = {"matrix": matrix.tolist()}
            store.save_result(
                run,
                {
                    "key": run.key,
                    "run": run.settings(),
                    "cleanness_auc": [0.5, 0.75 + 0.25 * seed],
                    "method": method,
                    "reweightings": [{"threshold": 2.5 + seed}] if cell.rrm else [],
                },
            )
            if cell.rrm:
                store.save_trajectory(run, as_trajectory(WEIGHTS, WRONG))
    return folder


@pytest.mark.usefixtures("adversarial")
def test_all_pictures_are_written_as_png_and_pdf(side_by_side, capsys):
    """One command draws all; the paths are printed."""
    folder = str(side_by_side)
    code = main(["--results", folder, "--work", folder, "--output", f"{folder}/out"])
    assert code == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in printed] == [
        f"{one.file}.{suffix}" for one in PICTURES for suffix in ("png", "pdf")
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


def lines(axis):
    """Return {label: (x, y)} of an axis."""
    return {line.get_label(): line.get_data() for line in axis.get_lines()}


def test_the_simplex_shows_point_triangle_and_segment():
    """As gamma falls past the tie; the star is the even split."""
    figure = simplex.draw()
    counts = [len(lines(axis)["optimal face, vertices"][0]) - 1 for axis in figure.axes]
    assert counts == [1, 3, 2]
    (x,), (y,) = lines(figure.axes[2])["Corollary 3.1.1"]
    assert (x, y) == pytest.approx((0.5, 0.0))


def test_the_path_has_its_breaks():
    """c_i - c_min for 0.5, 0.5, 1.5, 3.5, 3.5, 6.5, and the values there."""
    figure = gamma_path.draw()
    x, y = lines(figure.axes[0])["breaks $c_i - c_{min}$"]
    assert list(x) == [1, 3, 6]
    # (0.5 + 0.5 + 4 * 1.5) / 6, (2 * 0.5 + 1.5 + 3 * 3.5) / 6, the mean
    assert list(y) == pytest.approx([7 / 6, 13 / 6, 16 / 6])


def test_the_bounds_meet_left_and_part_right():
    """Left V_eps = v_N = one move; right v_N is far below. R is above V iff the price says so."""
    near, far = bounds.draw().axes[::-1]
    for axis in (far, near):
        drawn = {name: np.asarray(y, dtype=float) for name, (_, y) in lines(axis).items()}
        risk, priced = (
            drawn[r"$R_\gamma$, $\gamma$ = 2"][0],
            drawn[r"$V(\gamma_\theta)$, as printed"],
        )
        budget, exact = drawn[r"$V_\epsilon$"], drawn["$v_N$, exact"]
        moved = drawn["one move a sample"]
        prices = [
            weight_budget_value(bounds.LOSSES, radius=eps).multiplier_interval[0]
            for eps in bounds.RADII
        ]
        cut = bounds.LOSSES.min() + bounds.GAMMA
        assert ((risk >= priced - 1e-12) == (cut >= np.array(prices))).all()
        assert (risk < exact).any()
        assert (priced >= budget - 1e-12).all()
        assert (moved >= exact - 1e-6).all()
        assert (moved - exact <= bounds.LOSSES.max() / len(bounds.LOSSES) + 1e-6).all()
        if axis is far:
            np.testing.assert_allclose(exact, budget, atol=1e-9)
            np.testing.assert_allclose(moved, budget, atol=1e-6)
        else:
            assert (budget - exact).max() > 1


def test_the_gap_is_within_its_bound_and_beyond_half_of_it():
    """For all random instances, and for the worst family."""
    (axis,) = gap.draw().axes
    found = lines(axis)
    sizes, worst = found["near the bound: one move short"]
    limit = np.array(found["max J / N"][1])
    assert (worst <= limit + 1e-9).all()
    assert (worst >= limit / 2).all()
    assert list(sizes) == list(gap.SIZES)
    points = [
        line.get_data()
        for line in axis.get_lines()
        if line.get_marker() == "." and len(line.get_xdata())
    ]
    assert points
    for n, gaps in points:
        assert (np.array(gaps) <= 1 / np.array(n) + 1e-6).all()


def test_pictures_of_the_page_are_the_same_bytes_every_time():
    """Self-contained SVG."""
    (first, *_), (again, *_) = theory.pictures(), theory.pictures()
    assert first == again
    assert first.data_uri.startswith("data:image/svg+xml;base64,")


def test_the_run_of_the_weights_is_chosen_by_rule(adversarial):
    """Table 5 before the ablation; one that found no wrong label is passed over."""
    store = demo_store(adversarial, adversarial)
    assert weights_run(store).label == "paper, reduced, seed 0"
    chosen_run = weights_run(store).run
    blind = as_trajectory(np.ones((50, 6)), WRONG)
    Store(experiment="table5", results=adversarial, work=adversarial).save_trajectory(
        chosen_run, blind
    )
    passed = "1 runs before it pruned less than half"
    assert weights_run(store).label == f"ablation, reduced, seed 0; {passed}"


def test_without_a_run_that_separated_the_error_says_how_to_get_one(folder, capsys):
    """Exit code 2, and the command."""
    for name, command in (
        ("separation", "run ablation5"),
        ("grid", "run table5"),
        ("factors", "run methods"),
        ("corruption", "run methods"),
        ("auc", "run methods"),
    ):
        arguments = [name, "--results", str(folder), "--output", str(folder / "out")]
        assert main(arguments) == 2
        assert f"{command} first" in capsys.readouterr().err


def test_the_grid_shows_every_number(adversarial):
    """AT above A-RRM; published beside ours by two selections, the darker ones in white."""
    figure = accuracy_grid.draw(demo_store(adversarial, adversarial))
    maps = figure.axes[:6]
    titles = ["published", "selected, attacked", "selected"]
    assert [axis.get_title() for axis in maps[:3]] == [f"AT, {title}" for title in titles]
    assert [text.get_text() for text in maps[0].texts][:5] == ["97", "95", "93", "91", "86"]
    assert [text.get_text() for text in maps[4].texts][:5] == ["90", "80", "70", "60", "50"]
    rows = [[tick.get_text() for tick in maps[place].get_yticklabels()] for place in (0, 3)]
    assert rows == [["0 %", "5 %", "10 %", "20 %", "30 %"]] * 2
    assert [text.get_text() for text in maps[2].texts][:5] == ["40", "50", "60", "70", "80"]
    colours = {text.get_text(): text.get_color() for text in maps[4].texts}
    assert (colours["90"], colours["50"]) == ("black", "white")


def test_a_partial_grid_keeps_its_rows(adversarial):
    """Cells without a run stay empty, and the others where they belong."""
    store = Store(experiment="table5", results=adversarial, work=adversarial)
    for cell in TABLES["table5"].cells("paper", "reduced", 0):
        if cell.rrm or cell.noise_rate != 0.2:
            store.result_path(cell.run).unlink()
    maps = accuracy_grid.draw(demo_store(adversarial, adversarial)).axes[:6]
    assert [text.get_position()[1] for text in maps[1].texts] == [3] * 5
    assert [len(axis.texts) for axis in maps] == [25, 5, 5, 25, 0, 0]


def test_the_ablation_has_a_mark_for_every_seed_and_method(adversarial):
    """Three panels: by noisy validation, without and with an attack, and in the end."""
    figure = ablation.draw(demo_store(adversarial, adversarial))
    cells = TABLES["ablation5"].cells("paper", "reduced", 0)
    for axis, shift in zip(figure.axes, (0, 0, -5), strict=True):
        assert len(axis.lines) == len(cells)
        assert sorted({float(x) for line in axis.lines for x in line.get_xdata()}) == [
            40 + shift, 90 + shift,
        ]  # fmt: skip


def test_close_calls_are_drawn_from_weight_1(adversarial):
    """One that was away long and is back for long, and mean and deviation of both."""
    figure = close_calls.draw(demo_store(adversarial, adversarial))
    one, both = (axis.lines[0].get_ydata() for axis in figure.axes)
    assert figure.axes[0].get_title() == "Sample 4: gone, and back"
    assert figure.axes[1].get_title() == "All 2 close calls: mean ± sd"
    # By re-weighting, from the start: both are away from the 31st to the 40th, and each for
    # fifteen in all; sample 4 is back for ten, sample 3 for five.
    assert (one[0], one[25], one[26], one[41]) == (1, 1, 0, 1)
    assert (both[0], both[26], both[31], both[41], both[50]) == (1, 0.5, 0, 0.5, 1)


def test_bins_are_shares_of_a_kind(adversarial):
    """After 1, 10 and 49 re-weightings, ours beside published."""
    figure = u_bins.draw(demo_store(adversarial, adversarial))
    heights = [bar.get_height() for bar in figure.axes[2].patches]
    assert heights[:6] == pytest.approx([0, 100 / 3, 0, 0, 0, 200 / 3])
    assert heights[6:] == pytest.approx([100 * x / 9600 for x in (0, 91, 146, 43, 34, 9286)])


def test_learnt_factors_stand_beside_rrm_s_step(side_by_side):
    """A line a method and seed, one name a method; RRM falls at its last threshold."""
    (axis,) = methods.draw_factors(demo_store(side_by_side, side_by_side)).axes
    learnt, steps = axis.lines[:6], axis.lines[6:]
    assert all(list(line.get_ydata()) == [0.75, 0.5, 0.25] for line in learnt)
    assert [list(line.get_xdata())[1:3] for line in steps] == [[2.5, 2.5], [3.5, 3.5]]
    names = [text.get_text() for text in axis.figure.legends[0].get_texts()]
    assert names == ["MW-Net*", "MNW-Net", "RMNW-Net", "RRM, cheapest sample aside"]


def test_the_estimated_matrix_stands_beside_the_true_one(side_by_side):
    """Seed 0's; the title says how far off it is."""
    figure = methods.draw_corruption(demo_store(side_by_side, side_by_side))
    true, estimated = (axis.images[0].get_array() for axis in figure.axes[:2])
    assert np.abs(estimated - true).max() == pytest.approx(0.125)
    assert figure.axes[1].get_title() == "estimated: off by at most 0.12"


def test_a_flywheel_is_needed_for_its_matrix(side_by_side):
    """Other methods on flips do not make one; the command is named."""
    store = Store(experiment="methods", results=side_by_side, work=side_by_side)
    for seed in (0, 1):
        for cell in TABLES["methods"].cells("paper", "reduced", seed):
            if cell.run.method == "flywheel":
                store.result_path(cell.run).unlink()
    with pytest.raises(FileNotFoundError, match="run methods first"):
        methods.draw_corruption(demo_store(side_by_side, side_by_side))


def test_the_auc_is_the_mean_of_seeds(side_by_side):
    """Of every method at every epoch, and of RRM's weights at every re-weighting."""
    figure = methods.draw_auc(demo_store(side_by_side, side_by_side))
    axis = figure.axes[0]
    *curves, weights, chance = axis.lines
    assert [list(line.get_ydata()) for line in curves] == [[0.5, 0.875]] * 6
    assert list(weights.get_xdata()) == [2, 4, 6]
    # Of nine pairs of a wrong and a right label 5 1/2, 8 and 8 are in order, ties counting half.
    assert list(weights.get_ydata()) == pytest.approx([5.5 / 9, 8 / 9, 8 / 9])
    assert list(chance.get_ydata()) == [0.5, 0.5]
