"""The page to play with, in a headless Chromium: what it shows is what rrm_theory computes."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from browser import CHROMIUM, DRIVER, END, HOME, LEFT, RIGHT, chromium
from fixtures import as_trajectory

from experiments.catalogue.own import DEMO_RRM
from experiments.demo import demo_store
from experiments.store import RESULTS
from experiments.trajectory import Trajectory
from figures import explore
from figures.__main__ import GALLERY, main
from rrm_theory import capped_relax, contamination_gamma, optimal_face, relax

# Ties at the minimum and elsewhere; multiples of 1/8, and the largest is 10 = 1000/100.
LOSSES = np.array([0.25, 0.25, 0.5, 0.5, 0.75, 1, 1, 1.5, 2, 3, 4, 5.25, 5.25, 6, 8, 8, 9, 10.25])
WRONG = np.arange(18) % 3 == 2


def trajectory(losses):
    """Return a trajectory of one re-weighting that saw these losses."""
    plain = as_trajectory(np.ones((1, 18)), WRONG)
    arrays = plain.arrays()
    if losses is not None:
        # Not in order: the page sorts them.
        arrays |= {"losses": np.float32(losses)[::-1].copy()}
    return Trajectory.from_arrays(arrays | {"contaminated": WRONG[::-1].copy()})


@pytest.fixture
def store(tmp_path):
    """The demo's store, with a trajectory in it."""
    store = demo_store(tmp_path, tmp_path)
    store.prepare()
    store.save_trajectory(DEMO_RRM, trajectory(LOSSES))
    return store


@pytest.mark.usefixtures("store")
def test_the_page_is_one_file_that_needs_nothing(tmp_path, capsys):
    """No address of another file in it; the losses are the run's, to the bit."""
    assert main(["explore", "--results", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    path = tmp_path / "out" / "explore.html"
    assert capsys.readouterr().out.split() == [str(path)]
    text = path.read_text()
    assert not re.search(r"https?://|src=|href=|import\s|@import|url\(", text)
    assert explore.PLACE not in text
    assert f"[{', '.join(map(str, LOSSES[::-1].tolist()))}]" in text
    assert "18 losses" in text
    assert "6 of them with a wrong label" in text


def test_the_gallery_s_page_is_of_the_committed_run():
    """To the character, as python -m figures explore writes it."""
    store = demo_store(RESULTS, RESULTS)
    assert (GALLERY / "explore.html").read_text() == explore.page(store)


@pytest.mark.parametrize("losses", ["none", "no file"])
def test_without_losses_the_error_says_how_to_get_them(tmp_path, capsys, losses):
    """No trajectory, or one from before losses were kept."""
    store = demo_store(tmp_path, tmp_path)
    store.prepare()
    if losses == "none":
        store.save_trajectory(DEMO_RRM, trajectory(None))
    assert main(["explore", "--results", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "python -m experiments demo" in capsys.readouterr().err


IN_A_BROWSER = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no chromium and chromedriver"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser, with the page open."""
    folder = tmp_path_factory.mktemp("explore")
    store = demo_store(folder, folder)
    store.prepare()
    store.save_trajectory(DEMO_RRM, trajectory(LOSSES))
    path = explore.write(store, folder)
    with chromium(folder / "profile") as browser:
        browser.open(path.as_uri())
        yield browser


def again(browser):
    """Load the page anew, as it is at first."""
    browser.ask("POST", "/refresh", {})


def shown(browser):
    """Return what stands in the page's table and outputs, by id."""
    return browser.run(
        "return Object.fromEntries([...document.querySelectorAll('td[id], output')]"
        ".map(one => [one.id, one.textContent]))"
    )


def counts(browser):
    """Return how many samples are in each part, and how many of these are wrong."""
    table = shown(browser)
    return {
        name: tuple(map(int, re.findall(r"(\d+), of which (\d+)", table[name])[0]))
        for name in ("minimum", "middle", "boundary", "pruned")
    }


def agrees(browser, weights, value, heaviest):
    """Say whether the page's weights, by sample, heaviest weight and value are these."""
    drawn = browser.run(
        "const one = solve(); return order.map((sample, place) => {"
        "const k = levels.findIndex(l => place >= l.first && place < l.first + l.count);"
        "return [sample, one.weight[k] / one.unit / levels[k].count]; })"
    )
    by_sample = np.empty(18)
    for sample, weight in drawn:
        by_sample[sample] = weight
    table = shown(browser)
    return (
        np.allclose(by_sample[::-1], 18 * weights, rtol=1e-14, atol=0)
        and float(table["value"]) == pytest.approx(value, rel=1e-11)
        and float(table["heaviest"]) == pytest.approx(heaviest, rel=1e-5)
    )


@IN_A_BROWSER
@pytest.mark.parametrize("steps", [-499, -400, -325, -1, 0, 37, 75, 499, 500])
def test_the_price_is_moved_by_keys(browser, steps):
    """Partition, weights, value and the face's dimension, also where losses are at the cut."""
    again(browser)
    key = RIGHT if steps > 0 else LEFT
    browser.press("#gamma", key * abs(steps))
    gamma = 10.0 * (500 + steps) / 1000
    face, best = optimal_face(LOSSES, gamma=gamma), relax(LOSSES, gamma=gamma)
    sets = {
        "minimum": face.minimum, "middle": face.middle,
        "boundary": face.boundary, "pruned": face.pruned,
    }  # fmt: skip
    assert counts(browser) == {
        name: (len(places), int(WRONG[places].sum())) for name, places in sets.items()
    }
    assert agrees(browser, best.weights, best.value, 18 * best.weights.max())
    assert shown(browser)["dimension"] == str(face.dimension)
    assert float(shown(browser)["price"]) == pytest.approx(gamma, rel=1e-5)


@IN_A_BROWSER
@pytest.mark.parametrize("thousandths", [0, 1, 56, 200, 400, 700, 889, 999])
def test_the_estimate_is_moved_by_keys(browser, thousandths):
    """The price is that of contamination_gamma; where it has none, nothing moves."""
    again(browser)
    browser.press("[value=contamination]", " ")
    browser.press("#contamination", HOME + RIGHT * thousandths)
    found = contamination_gamma(LOSSES, thousandths / 1000)
    table = shown(browser)
    assert table["contamination-value"] == f"{thousandths / 10:g} %"
    if not found.gamma > 0:
        assert table["price"] == "-"
        assert counts(browser)["pruned"] == (0, 0)
        assert agrees(browser, np.full(18, 1 / 18), LOSSES.mean(), 1)
        return
    best = relax(LOSSES, gamma=found.gamma)
    assert counts(browser)["pruned"][0] == int(best.pruned.sum())
    assert agrees(browser, best.weights, best.value, 18 * best.weights.max())


@IN_A_BROWSER
@pytest.mark.parametrize(("steps", "cap"), [(-10, 1.0), (0, 2.0), (7, 2.7), (80, 10.0)])
def test_the_cap_is_moved_by_keys(browser, steps, cap):
    """At the price in the middle, 5; and the face's dimension is not claimed."""
    again(browser)
    browser.press("#capped", " ")
    browser.press("#cap", (RIGHT if steps > 0 else LEFT) * abs(steps))
    best = capped_relax(LOSSES, gamma=5.0, cap=cap)
    assert shown(browser)["cap-value"] == f"{cap:g}"
    assert agrees(browser, best.weights, best.value, 18 * best.weights.max())
    assert counts(browser)["pruned"][0] == int((best.weights == 0).sum())
    assert shown(browser)["dimension"].startswith("-")


@IN_A_BROWSER
def test_everything_is_reached_by_keys(browser):
    """What can be set can have the focus, has a name, and says what it is set to."""
    again(browser)
    named = browser.run(
        "return [...document.querySelectorAll('input')].map(one => "
        "[one.tabIndex, one.labels.length > 0 || one.hasAttribute('aria-label')])"
    )
    assert named == [[0, True]] * 6
    browser.press("#gamma", END)
    assert shown(browser)["gamma-value"] == "10"
    label = browser.run("return document.getElementById('picture').getAttribute('aria-label')")
    assert label == "Losses and weights of 18 samples: 0 pruned, heaviest weight 1."


@IN_A_BROWSER
def test_a_cut_between_two_floats_is_compared_exactly(browser):
    """The floats around the rounded sum c_min + gamma, on which naive sums are often wrong."""
    rng = np.random.default_rng(0)
    base, gamma = rng.random(200), rng.random(200) * 10.0 ** rng.integers(-9, 3, 200)
    cases = []
    for b, g in zip(base.tolist(), gamma.tolist(), strict=True):
        near = b + g
        cases += [(c, b, g) for c in (near, np.nextafter(near, 9e9), np.nextafter(near, -9e9))]
    found = browser.run(
        f"return {json.dumps([list(map(float, case)) for case in cases])}"
        ".map(([c, base, gamma]) => compare(c, base, gamma))"
    )
    exact = [Fraction(c) - Fraction(b) - Fraction(g) for c, b, g in cases]
    assert [int(np.sign(x)) for x in found] == [(x > 0) - (x < 0) for x in exact]
