"""theory.md D: the ledger finds what is false, keeps what is true, and says so everywhere."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import strategies as st

import rrm_theory.ledger as ledger
from rrm_theory.__main__ import main
from rrm_theory.ledger import CLAIMS, Verdict, verify
from rrm_theory.ledger.claim import at_most, claim, equal, less, spell
from rrm_theory.ledger.definitions import minimum, one_move, rank, transport, weight_budget
from rrm_theory.ledger.report import _math, as_json, html, markdown, summary
from rrm_theory.ledger.runner import _size

ROOT = Path(__file__).parent.parent
BUDGET = 30
F = Fraction


@pytest.fixture(scope="module")
def findings():
    """All claims, a few instances each."""
    return verify(CLAIMS, budget=BUDGET)


def by_id(name):
    """Return a claim."""
    return next(one for one in CLAIMS if one.id == name)


def test_every_verdict_is_as_declared(findings):
    """With few instances already, and each claim found an instance that fulfils its hypotheses."""
    assert findings.discrepancies == ()
    assert all(finding.instances > 0 for finding in findings)


def test_there_are_enough_claims(findings):
    """At least 26, of which at least 6 are false as printed and have a counterexample."""
    false = [finding for finding in findings if finding.verdict is not Verdict.HOLDS]
    assert len(CLAIMS) >= 26
    assert len(false) >= 6
    assert all(finding.counterexample is not None for finding in false)


def test_ids_are_unique():
    """They name claims on the command line."""
    assert len({one.id for one in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.id)
def test_a_counterexample_is_exact(one, findings):
    """Both sides are rational numbers, truth values or tuples of them, and the relation fails."""
    found = next(finding for finding in findings if finding.claim is one).counterexample
    if one.verdict is Verdict.HOLDS:
        assert found is None
        return
    sides = [found.comparison.left, found.comparison.right]
    while sides:
        side = sides.pop()
        if isinstance(side, tuple):
            sides.extend(side)
        else:
            assert isinstance(side, int | Fraction), f"{side!r} is not exact"
    assert not found.comparison.holds
    assert found.comparison.tolerance == 0


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.id)
def test_a_claim_says_what_a_reader_needs(one):
    """Where, what, for what, how; false ones also how to check by hand and what is true instead."""
    for text in (one.source, one.statement, one.hypotheses, one.method):
        assert text
    assert bool(one.by_hand) == (one.verdict is not Verdict.HOLDS)
    assert bool(one.correction) == (one.verdict is Verdict.CORRECTED)


def never(**_):
    """Yield a false comparison."""
    yield equal("one", 1, "two", 2)


def always(**_):
    """Yield a true comparison."""
    yield equal("one", 1, "one", 1)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("A.1.value", {"check": never}),  # declared to hold, and false
        ("C.3.three", {"check": always}),  # declared refuted, and true
        ("B.5.order", {"check": always}),  # declared false as printed, and true
        ("B.5.order", {"corrected": never}),  # the correction is false
    ],
)
def test_a_wrong_verdict_is_a_discrepancy(name, changes, monkeypatch, capsys):
    """Exit code 1, and the claim is named."""
    planted = replace(by_id(name), known=(), **changes)
    monkeypatch.setattr(ledger, "CLAIMS", (planted,))
    assert main(["verify", "--quick"]) == 1
    assert f"NOT as declared: {name}." in capsys.readouterr().out


def test_a_planted_verdict_exits_1_in_the_shell(tmp_path):
    """The process, not only the function; its JSON says what was found."""
    script = (
        "import dataclasses, sys, rrm_theory.ledger as ledger\n"
        "from rrm_theory.__main__ import main\n"
        "one = next(c for c in ledger.CLAIMS if c.id == 'C.3.three')\n"
        "planted = dataclasses.replace(one, verdict=ledger.Verdict.HOLDS, by_hand='')\n"
        "ledger.CLAIMS = (planted,)\n"
        "sys.exit(main(['verify', '--quick', '--json', sys.argv[1]]))\n"
    )
    path = tmp_path / "found.json"
    answer = subprocess.run(
        [sys.executable, "-c", script, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1, answer.stderr
    (record,) = json.loads(path.read_text())["claims"]
    assert (record["declared"], record["verdict"]) == ("holds", "refuted")
    assert not record["as_declared"]


def double_cut(c, gamma):
    """Claim that Eq. (2) cuts at c_min + 2 gamma."""
    value, _ = minimum(c, gamma)
    clipped = sum(min(x, min(c) + 2 * gamma) for x in c) / len(c)
    yield equal("min over U", value, "(1/N) sum min(c_i, c_min + 2 gamma)", clipped)


def test_counterexamples_are_made_small():
    """Of a claim that is false: two samples, whole numbers."""
    wrong = replace(
        by_id("A.1.value"), check=double_cut, known=(), verdict=Verdict.REFUTED, by_hand="-"
    )
    (finding,) = verify([wrong], budget=200)
    assert finding.verdict is Verdict.REFUTED
    assert finding.counterexample.instance == {"c": (0, 2), "gamma": 1}


def test_a_smaller_known_instance_is_kept():
    """The search may find a larger one, or none."""
    known = {"c": (F(0), F(2)), "gamma": F(1)}
    wrong = replace(
        by_id("A.1.value"),
        check=double_cut,
        instances=st.just({"c": (F(0), F(1), F(7)), "gamma": F(1)}),
        known=(known,),
        verdict=Verdict.REFUTED,
        by_hand="-",
    )
    (finding,) = verify([wrong], budget=5)
    assert finding.counterexample.instance == known
    assert finding.instances == 1


def test_the_same_seed_tries_the_same():
    """And another seed others."""
    tried = []

    def record(c, gamma):
        tried.append((c, gamma))
        yield equal("one", 1, "one", 1)

    one = replace(by_id("A.1.value"), check=record, known=())
    runs = []
    for seed in (0, 0, 1):
        tried.clear()
        verify([one], budget=40, seed=seed)
        runs.append(list(tried))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_check_that_says_nothing_is_a_discrepancy():
    """Instances that yield no comparison are no tries, and no try is no verdict."""
    one = replace(by_id("A.1.value"), check=lambda **_: iter(()), known=())
    found = verify([one], budget=20)
    (finding,) = found
    assert finding.instances == 0
    assert found.discrepancies == (finding,)
    assert "NOT as declared: A.1.value." in summary(found)


def sharper_one_move(J, d, eps):
    """Claim max J / (N + 1) for one move a sample."""
    gap = one_move(J, d, eps) - transport(J, d, eps)
    yield at_most("gap", gap, "max J / (N + 1)", max(J) / (len(d) + 1))


def twice_the_radius(c, gamma, eps):
    """Claim that removing twice the radius is optimistic enough."""
    if sum(x > min(c) + gamma for x in c) <= 2 * eps * len(c):
        yield at_most("V_eps", weight_budget(c, eps), "R_gamma(c)", minimum(c, gamma)[0])


def interval_without_minimum(c, gamma, **_):
    """Claim A.2's interval of multipliers for c_min = 0 only."""
    value = minimum(c, gamma)[0]
    high = gamma / 2
    dual = sum(min(x, high + gamma / 2) for x in c) / len(c)
    yield equal("dual at gamma/2", dual if high <= min(c) + gamma / 2 else -inf, "R", value)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("B.4.one-move", sharper_one_move),
        ("B.5.optimism", twice_the_radius),
        ("A.2.dual", interval_without_minimum),
    ],
)
def test_a_slightly_wrong_formula_is_found(name, check):
    """By the claim's own instances, a few of them."""
    plain = {"corrected": None, "correction": "", "by_hand": "-", "verdict": Verdict.REFUTED}
    one = replace(by_id(name), check=check, **plain)
    (finding,) = verify([one], budget=100)
    assert finding.verdict is Verdict.REFUTED


def test_effort_divides_the_budget():
    """A claim whose instances take longer gets fewer."""
    one = replace(by_id("A.1.value"), check=always, known=(), effort=10)
    (finding,) = verify([one], budget=100)
    assert finding.instances == 10


def test_the_worst_residual_is_reported():
    """Of comparisons that hold within their tolerance."""

    def rounded(**_):
        yield equal("a", 1.0, "b", 1.0)
        yield equal("a", 4.0, "b", 4.0 + 1e-12, tolerance=1e-9)

    one = replace(by_id("A.1.value"), check=rounded, known=())
    (finding,) = verify([one], budget=3)
    assert finding.residual == pytest.approx(2.5e-13, rel=1e-3)


def test_a_budget_must_be_positive():
    """The value is shown."""
    with pytest.raises(ValueError, match=r"budget must be a positive number of instances, got 0"):
        verify(CLAIMS, budget=0)


@pytest.mark.parametrize(
    ("comparison", "holds", "residual"),
    [
        (equal("a", F(1, 3), "b", F(1, 3)), True, 0),
        (equal("a", F(1, 3), "b", F(1, 2)), False, 1 / 6),
        (equal("a", 10, "b", 20), False, 0.5),
        (equal("a", inf, "b", inf), True, 0),
        (equal("a", inf, "b", 1), False, inf),
        (equal("a", nan, "b", nan), False, inf),
        (equal("a", 1.0, "b", 1.0 + 1e-12, tolerance=1e-9), True, 1e-12),
        (equal("a", (1, 2), "b", (1, 2)), True, 0),
        (equal("a", (1, 2), "b", (2, 1)), False, 1),
        (equal("a", True, "b", False), False, 1),
        (equal("a", None, "b", 1), False, 1),
        (at_most("a", 1, "b", 2), True, 0),
        (at_most("a", 2, "b", 2), True, 0),
        (at_most("a", F(5, 2), "b", 2), False, 0.2),
        (at_most("a", -inf, "b", 2), True, 0),
        (less("a", 1, "b", 2), True, 0),
        (less("a", 2, "b", 2), False, inf),
        (less("a", 4, "b", 3), False, 0.25),
    ],
)
def test_comparisons(comparison, holds, residual):
    """Exact where they are exact; NaN never holds."""
    assert comparison.holds is holds
    assert comparison.residual == pytest.approx(residual, rel=1e-3)


def test_a_comparison_spells_itself_out():
    """Names, values, and what is true of them."""
    comparison = at_most("v", F(5, 2), "R", 1)
    assert str(comparison) == "v ≤ R: 5/2 ≤ 1 is false"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (F(3, 2), "3/2"),
        (F(1, 2**53), "2^-53"),
        (F(1, 3**20), "1/3486784401"),
        (-inf, "-∞"),
        ((F(0), (True, 2)), "(0, (yes, 2))"),
        (0.1, "0.1"),
    ],
)
def test_values_are_written_as_people_do(value, text):
    """Fractions with a stroke."""
    assert spell(value) == text


def test_size_prefers_fewer_then_simpler_numbers():
    """What a reader has to check."""
    sizes = [
        _size(instance)
        for instance in (
            {"c": (F(0), F(1))},
            {"c": (F(0), F(-1))},
            {"c": (F(0), F(3, 2))},
            {"c": (F(0), F(0), F(0))},
        )
    ]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (
            {"verdict": Verdict.CORRECTED, "by_hand": "-"},
            r"x must have a correction with its check",
        ),
        ({"verdict": Verdict.HOLDS, "correction": "-", "corrected": always}, r"x must have a corr"),
        ({"verdict": Verdict.REFUTED}, r"x must say how to check a counterexample iff it is false"),
        ({"verdict": Verdict.HOLDS, "by_hand": "-"}, r"x must say how to check"),
    ],
)
def test_half_a_claim_is_refused(fields, match):
    """Each says what it lacks."""
    common = {name: "-" for name in ("source", "statement", "hypotheses", "method")}
    with pytest.raises(ValueError, match=match):
        claim(id="x", instances=st.just({}), **common, **fields)(always)


def test_definitions_by_hand():
    """The oracles, on problems that one can do in one's head."""
    assert minimum((F(0), F(1), F(3)), F(1))[0] == F(2, 3)
    assert minimum((F(0), F(2)), F(1))[1] == [(F(1, 2), F(-1, 2))]
    assert weight_budget((F(1), F(2), F(5), F(8)), F(3, 8)) == F(11, 8)
    near = ((F(0), F(1, 10)),)
    assert transport((F(1), F(0)), near, F(1, 20)) == F(1, 2)
    assert one_move((F(1), F(0)), near, F(1, 20)) == F(19, 20)
    assert rank([(F(1), F(2)), (F(2), F(4)), (F(0), F(1))]) == 2
    assert rank([]) == 0


class Page(HTMLParser):
    """The verdicts of a page's sections, its images and everything it would load."""

    def __init__(self):
        super().__init__()
        self.verdicts, self.shown, self.loads, self.open = {}, {}, [], []

    def handle_starttag(self, tag, attributes):
        """Note sections, images and links."""
        attributes = dict(attributes)
        if tag not in ("meta", "img", "br", "link"):
            self.open.append((tag, attributes))
        if tag == "section":
            self.verdicts[attributes["id"]] = attributes["data-verdict"]
        self.loads += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_endtag(self, tag):
        """Every element is closed in its order."""
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        """Note the first badge of every section."""
        section = next((a["id"] for tag, a in self.open if tag == "section"), None)
        if self.open and "verdict" in self.open[-1][1].get("class", "") and section:
            self.shown.setdefault(section, data)


def test_the_page_has_every_verdict(findings):
    """In every section, in words, and nothing is loaded from anywhere."""
    page = Page()
    page.feed(html(findings, {"python": "3"}, ()))
    assert page.open == []
    expected = {finding.claim.id: finding.verdict.value for finding in findings}
    assert page.verdicts == expected
    assert page.shown == expected
    assert all(target.startswith(("#", "data:")) for target in page.loads)


def test_the_page_spells_out_counterexamples(findings):
    """Greek letters, subscripts, both sides and what to do by hand."""
    page = html(findings, {}, ())
    assert "V(γ<sub>θ</sub>)" in page
    for finding in findings:
        if finding.counterexample is not None:
            assert spell(finding.counterexample.comparison.left) in page
    assert "R<sub>γ</sub>(c) = (1/N) Σ<sub>i</sub> min(c<sub>i</sub>, c<sub>min</sub> + γ)" in page


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.id)
def test_formulas_are_converted_and_sentences_are_not(one):
    """No Greek name, underscore or power is left, and no English sum is a sign."""
    for text in (
        one.source,
        one.statement,
        one.hypotheses,
        one.method,
        one.by_hand,
        one.correction,
    ):
        shown = re.sub(r"</?su[bp]>", "", _math(text))
        assert not re.search(
            r"\b(gamma|theta|lambda|kappa|rho|eta|sigma|alpha|eps|chi|phi)\b", shown
        )
        assert "_" not in re.sub(r"\b[a-z]{4,}_\w+", "", shown), shown
        assert "^" not in shown
        assert not re.search(r"Σ (to|of|is)\b|[Tt]he Σ|\ba Σ", shown)


def test_json_holds_everything(findings):
    """Plain types, one record a claim, fractions as text."""
    record = json.loads(json.dumps(as_json(findings, {"python": "3"}), allow_nan=False))
    assert [one["id"] for one in record["claims"]] == [one.id for one in CLAIMS]
    body = next(one for one in record["claims"] if one["id"] == "B.3.constant")
    assert body["verdict"] == "holds with a correction"
    assert body["counterexample"]["instance"] == {"J": ["1"], "eps": "1/2"}
    assert (body["counterexample"]["left"], body["counterexample"]["right"]) == ("1", "1/2")


def test_the_summary_counts(findings):
    """One sentence."""
    text = summary(findings)
    assert text.startswith(f"{len(CLAIMS)} claims: ")
    assert text.endswith("all as declared.")


def committed():
    """Return the findings in the repository."""
    return json.loads((ROOT / "experiments" / "results" / "ledger.json").read_text())


def test_the_committed_ledger_is_this_one():
    """Every claim as it is declared now, from a clean tree, with the deep budget."""
    record = committed()
    assert not record["environment"]["dirty"]
    assert record["budget"] == 4000
    declared = {one.id: (one.statement, one.verdict.value) for one in CLAIMS}
    assert {one["id"]: (one["statement"], one["verdict"]) for one in record["claims"]} == declared


def test_the_readme_shows_the_committed_ledger():
    """To the character."""
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- ledger -->\n")[1].split("<!-- /ledger -->")[0]
    assert block == markdown(committed())
