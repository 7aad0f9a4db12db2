"""README: its numbers are the report's, its statements have code and tests, its tree is true."""

import importlib
import inspect
import re
import subprocess
from pathlib import Path

import pytest

from experiments import report as reporting
from experiments.__main__ import main
from experiments.catalogue import table
from experiments.catalogue.cell import PRESETS
from experiments.demo import demo_markdown, demo_store
from experiments.report_attacked import attacked_report, attacked_summary, attacked_verdict
from experiments.store import RESULTS, Store

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(name):
    """Return what stands between the README's marks of that name."""
    return README.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0]


def statement_rows():
    """Return (statement, function, test) of the README's table."""
    section = README.split("## Statements, functions, tests")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if "`tests/" in line]
    return [(one, function.strip("`"), test.strip("`")) for one, function, test in rows]


def test_table_8_is_what_the_report_prints():
    """python -m experiments report table8 --markdown, to the character."""
    store = Store(experiment="table8", results=RESULTS)
    reports = [
        reporting.report(table("table8"), store, preset=preset, scale="paper") for preset in PRESETS
    ]
    assert block("table8") == reporting.markdown(
        reporting.sections(reports), [*reporting.verdict(reports), *reporting.cost(reports)]
    )


def test_table_5_is_the_report_s_summary():
    """python -m experiments report table5 --markdown, all but its grids, to the character."""
    store = Store(experiment="table5", results=RESULTS)
    reports = [
        attacked_report(table("table5"), store, preset=preset, scale="reduced")
        for preset in PRESETS
    ]
    assert not any(one.missing for one in reports)
    sentences = [sentence for one in reports for sentence in attacked_verdict(one)]
    assert block("table5") == reporting.markdown(attacked_summary(reports), sentences)


def test_the_ablation_s_base_is_in_the_words_of_the_report():
    """python -m experiments report ablation5: the last epochs without an attack."""
    store = Store(experiment="ablation5", results=RESULTS)
    report = attacked_report(table("ablation5"), store, preset="paper", scale="reduced")
    ends = [
        reporting.mean_and_spread(line.mean["last"][0], line.spread["last"][0])
        for line in report.lines
        if line.cell.row == "base"
    ]
    assert f"AT ends at {ends[0]} and A-RRM at {ends[1]}." in README


@pytest.mark.parametrize(
    ("name", "scale", "only"),
    [
        ("table4", "cpu", ["noise_rate=0.2"]),
        ("cifar10n", "cpu", ["dataset=cifar10n_worse"]),
        ("methods", "reduced", []),
        ("methods_cifar10", "cpu", []),
    ],
)
def test_a_block_is_what_the_report_prints(name, scale, only, capsys):
    """python -m experiments report ... --scale ... --only ... --markdown, to the character."""
    chosen = [word for one in only for word in ("--only", one)]
    command = ["report", name, "--scale", scale, *chosen, "--markdown"]
    assert main([*command, "--results", str(RESULTS)]) == 0
    assert block(name) == capsys.readouterr().out


def test_the_demo_s_numbers_are_the_committed_ones():
    """python -m experiments demo --results experiments/results, as Markdown."""
    assert block("demo") == demo_markdown(demo_store(RESULTS, RESULTS))


@pytest.mark.parametrize(("statement", "function", "test"), statement_rows())
def test_every_statement_has_its_code_and_its_test(statement, function, test):
    """The docstring's Source and the test file's first line name the statement."""
    module, _, name = function.rpartition(".")
    documentation = inspect.getdoc(getattr(importlib.import_module(module), name))
    source = documentation.split("Source:")[1]
    page, _, number = statement.partition(", ") if "paper" in statement else ("", "", "")
    label = number or statement.removeprefix("theory.md ")
    assert page in source
    assert re.search(rf"{re.escape(label)}(?!\d)", source)
    first_line = (ROOT / test).read_text().splitlines()[0]
    assert re.search(rf"{re.escape(label)}(?!\d)", first_line)


def test_every_public_function_is_in_the_table():
    """A statement's code is found from the README."""
    public = importlib.import_module("rrm_theory").__all__
    functions = {f"rrm_theory.{name}" for name in public if name[0].islower()}
    assert functions <= {function for _, function, _ in statement_rows()}


def test_every_module_is_in_the_tree():
    """One line a file."""
    listed = subprocess.run(
        ["git", "ls-files", "rrm_theory", "experiments", "figures"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    tree = README.split("## What is where")[1]
    for path in map(Path, listed):
        if path.suffix == ".py" and path.name != "__init__.py":
            name = path.name if path.parent.name != "bench" else f"bench/{path.name}"
            assert f" {name} " in tree or f"/{path.name} " in tree, path


def test_every_link_leads_somewhere():
    """To a file that is there, or to a heading by the name that GitHub gives it."""
    titles = re.findall(r"^#+ (.*)$", README, flags=re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for part in README.split("](")[1:]:
        target = part.split(")")[0]
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (ROOT / target).is_file(), target
