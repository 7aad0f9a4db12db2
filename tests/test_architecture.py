"""design: arrows run one way, nothing imports in a circle, and the theory needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("rrm_theory", "experiments", "figures")


def modules():
    """Return {module name: path} of all three packages."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path):
    """Return every module name that the file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = modules()
GRAPH = {
    name: {target for target in imports(path) if target in MODULES and target != name}
    for name, path in MODULES.items()
}
# A package's door names its rooms; importing a room passes the door, which is no dependency.
EDGES = {
    name: {t for t in targets if not name.startswith(t + ".")} for name, targets in GRAPH.items()
}


def test_no_module_imports_itself_in_a_circle():
    """Deferred imports included."""
    state = {}

    def visit(name, path):
        if state.get(name) == "done":
            return
        assert name not in path, f"circle: {' -> '.join([*path, name])}"
        for target in EDGES[name]:
            visit(target, [*path, name])
        state[name] = "done"

    for name in EDGES:
        visit(name, [])


def test_arrows_run_from_figures_to_experiments_to_theory():
    """No package imports one above it, but for the command line, which puts pictures on a page."""
    for name, targets in GRAPH.items():
        if name == "rrm_theory.__main__":
            assert targets & {one for one in MODULES if one.startswith("figures")} == {
                "figures.theory"
            }
            continue
        level = PACKAGES.index(name.split(".")[0])
        for target in targets:
            assert PACKAGES.index(target.split(".")[0]) <= level, f"{name} imports {target}"


def test_torch_stays_in_reweight():
    """And no solver is imported by the reweighter or the harness."""
    for name, path in MODULES.items():
        names = {target.split(".")[0] for target in imports(path)}
        if name.startswith("rrm_theory") and not name.startswith("rrm_theory.reweight"):
            assert "torch" not in names, name
        if name.startswith(("rrm_theory.reweight", "experiments")):
            assert not names & {"cvxpy", "highspy"}, name


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("rrm_theory", {"torch", "cvxpy", "highspy", "scipy", "matplotlib"}),
        ("rrm_theory.reweight", {"cvxpy", "highspy", "matplotlib"}),
        ("experiments.__main__", {"cvxpy", "highspy", "matplotlib"}),
    ],
)
def test_importing_is_light(module, absent):
    """In a fresh interpreter the module works without what it does not need."""
    code = f"import {module}, sys; print(*sorted(set(sys.modules) & {absent!r}))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == ""


def test_every_module_says_what_it_is():
    """Line 1 is a docstring."""
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text())), name
