"""tests/mutate.py: which changes it makes, and that a change is seen or not."""

import json

import mutate
import pytest

SOURCE = '''
def f(a: int | None, b) -> bool:
    """Text with 1."""
    if a is None or a < 1:
        return True
    return [x & ~b for x, _ in zip(a, b, strict=True)] and -a * 2 <= b
'''


def test_every_comparison_constant_and_operator_is_changed():
    """Once or twice each; annotations, texts and strict= are left alone."""
    found = [(before, after) for _, before, after, _ in mutate.mutants(SOURCE)]
    condition, value = (
        "if a is None or a < 1:",
        "return [x & ~b for x, _ in zip(a, b, strict=True)]",
    )
    assert {after for before, after in found if before == condition} == {
        "if a is None and a < 1:",
        "if a is not None or a < 1:",
        "if a is None or a <= 1:",
        "if a is None or a >= 1:",
        "if a is None or a < 2:",
    }
    ends = {after for before, after in found if before.startswith(value)}
    assert len(ends) == 8
    assert [after for before, after in found if before == "return True"] == ["return False"]
    assert len(found) == len(set(found)) == 5 + 8 + 1


@pytest.mark.parametrize(("body", "alive"), [("assert 1 + 1 == 2", True), ("assert 1 > 2", False)])
def test_a_mutant_lives_iff_all_tests_pass(tmp_path, body, alive):
    """In a fork, whose own failure is no error here."""
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    assert mutate.survives(tmp_path, ["test_it.py"]) is alive


def test_the_committed_outcome_kills_95_percent_of_each_module():
    """What `python tests/mutate.py --results experiments/results` wrote, from a clean tree."""
    known = json.loads((mutate.ROOT / "experiments" / "results" / "mutation.json").read_text())
    assert known.keys() == mutate.TESTS.keys()
    for found in known.values():
        assert found["killed"] + len(found["survivors"]) == found["mutants"]
        assert found["killed"] >= 0.95 * found["mutants"]
        assert not found["environment"]["dirty"]


def test_outcomes_of_several_runs_are_kept_side_by_side(tmp_path):
    """A module's entry is replaced, the others stay; each says what it was made by."""
    path = tmp_path / "mutation.json"
    for module, n in (("one", 1), ("two", 2), ("one", 3)):
        mutate.store(path, module, {"mutants": n, "killed": n, "survivors": []})
    known = json.loads(path.read_text())
    assert {module: found["mutants"] for module, found in known.items()} == {"one": 3, "two": 2}
    assert "commit" in known["one"]["environment"]
