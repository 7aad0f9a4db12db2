"""Mutation testing: change one comparison, constant or operator at a time; some test must fail.

    python tests/mutate.py [MODULE ...] [--jobs 2] [--results experiments/results]

Every comparison is flipped (< to <= and to >=), every number raised by 1, every truth value and the
condition of every conditional expression negated, every sign and negation dropped, and every
arithmetic, bit or truth operator exchanged. The tests of the module then run
in a forked process, on a copy of the tree. Annotations, decorators and texts are left alone, and so
is the strict=True of zip, which only asserts that lengths agree.
"""

import argparse
import ast
import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
sys.dont_write_bytecode = True

TESTS = {
    "relaxation": [
        "tests/test_eq_2_relaxed_risk.py",
        "tests/test_corollary_3_1_1_weights.py",
        "tests/test_section_3_5_1_contamination.py",
        "tests/test_a8_gamma_path.py",
        "tests/test_certificate.py",
    ],
    "optimal_face": ["tests/test_theorem_3_1_optimal_face.py"],
    "certificate": ["tests/test_certificate.py"],
    "capped": ["tests/test_a9_capped.py"],
    "wasserstein": ["tests/test_proposition_3_1_wasserstein.py"],
    "symmetric_noise": ["tests/test_theorem_1_symmetric_noise.py"],
    "confidence": ["tests/test_lemma_1_confidence.py"],
    "_exact": [
        "tests/test_corollary_3_1_1_weights.py",
        "tests/test_section_3_5_1_contamination.py",
        "tests/test_a8_gamma_path.py",
        "tests/test_certificate.py",
    ],
}
# A mutant that runs this long does not end; its tests take a tenth of it.
PATIENCE = 120

FLIPPED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
EXCHANGED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
SKIPPED = ("annotation", "returns", "decorator_list")


def changes(node):
    """Yield each way to change the node itself, as a function that does it in place."""
    if isinstance(node, ast.Compare):
        for k, operator in enumerate(node.ops):
            for other in FLIPPED[type(operator)]:
                yield lambda n, k=k, other=other: n.ops.__setitem__(k, other())
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield lambda n: setattr(n, "value", n.value + 1)
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in EXCHANGED:
        yield lambda n: setattr(n, "op", EXCHANGED[type(n.op)]())
    elif isinstance(node, ast.UnaryOp):
        yield lambda n: setattr(n, "op", ast.UAdd())
    elif isinstance(node, ast.IfExp):
        yield lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))


def places(node, path=()):
    """Yield (path, node) of everything that may be changed."""
    yield path, node
    for field, value in ast.iter_fields(node):
        if field in SKIPPED or (isinstance(node, ast.keyword) and node.arg == "strict"):
            continue
        for k, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield from places(child, (*path, (field, k)))


def find(tree, path):
    """Return the node at the path."""
    for field, k in path:
        tree = getattr(tree, field)
        tree = tree if k is None else tree[k]
    return tree


def mutants(source):
    """Yield (line, before, after, mutated source) of every mutant of a module."""
    tree = ast.parse(source)
    statements = {}
    for path, node in places(tree):
        if isinstance(node, ast.stmt):
            statements[path] = node
        for change in changes(node):
            mutated = copy.deepcopy(tree)
            change(find(mutated, path))
            inner = max((p for p in statements if path[: len(p)] == p), key=len)
            before, after = (
                _shown(find(t, inner)) for t in (tree, ast.fix_missing_locations(mutated))
            )
            yield node.lineno, before, after, ast.unparse(mutated)


def _shown(statement):
    """Return a statement's text, of a block the head."""
    return ast.unparse(statement).split("\n")[0]


def survives(folder, tests):
    """Return whether all tests pass, run in a fork in the folder; None if they do not end."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))
    stop = time.monotonic() + PATIENCE
    while time.monotonic() < stop:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def copy_of_the_tree(folder):
    """Copy what the tests need, without compiled files."""
    for name in ("rrm_theory", "experiments", "tests", "pyproject.toml", "README.md"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results")
            )
        else:
            shutil.copy(source, folder / name)


def mutate(module, folders, jobs, show):
    """Return (number of mutants, survivors) of a module; a survivor is (line, before, after).

    The source is that of the copy, since the tree may be edited meanwhile.
    """
    tests = [*TESTS[module], f"rrm_theory/{module}.py"]
    folder = folders.get()
    source = (folder / "rrm_theory" / f"{module}.py").read_text()
    if not survives(folder, tests):
        sys.exit(f"the tests of {module} fail without any mutation.")
    folders.put(folder)
    found = list(mutants(source))

    def one(mutant):
        line, before, after, text = mutant
        folder = folders.get()
        file = folder / "rrm_theory" / f"{module}.py"
        file.write_text(text)
        alive = survives(folder, tests)
        file.write_text(source)
        folders.put(folder)
        if alive:
            show(f"  survives: {module}.py:{line}: {before}  ->  {after}")
        return (line, before, after) if alive else None

    with ThreadPoolExecutor(jobs) as pool:
        return len(found), [gone for gone in pool.map(one, found) if gone]


def provenance():
    """Return versions and commit, asked in another process: a fork must import nothing of ours."""
    code = "import json, experiments.outcome as o; print(json.dumps(o.environment()))"
    return json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT))


def store(path, module, found):
    """Put one module's outcome into the file, with what it was made by; leave the others."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    known[module] = found | {"environment": provenance()}
    whole = path.with_suffix(".new")
    whole.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    whole.replace(path)


def main():
    """Run from the command line; exit code 1 if fewer than 95 % of the mutants are killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", nargs="*", help=f"{', '.join(TESTS)}; all if none is given")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument(
        "--results", type=Path, help="folder whose mutation.json is brought up to date"
    )
    options = parser.parse_args()
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    # Imported once, here, and then there in every fork.
    import cvxpy  # noqa: F401
    import ppl  # noqa: F401
    import torch

    torch.set_num_threads(1)
    outcome = {}
    with tempfile.TemporaryDirectory() as scratch:
        folders = SimpleQueue()
        for k in range(options.jobs):
            folder = Path(scratch) / str(k)
            folder.mkdir()
            copy_of_the_tree(folder)
            folders.put(folder)
        for module in options.module or TESTS:
            n, survivors = mutate(module, folders, options.jobs, lambda x: print(x, flush=True))
            outcome[module] = {"mutants": n, "killed": n - len(survivors), "survivors": survivors}
            if options.results:
                store(options.results / "mutation.json", module, outcome[module])
            print(f"{module}: {n - len(survivors)} of {n} mutants killed.", flush=True)
    total = sum(one["mutants"] for one in outcome.values())
    killed = sum(one["killed"] for one in outcome.values())
    print(f"all: {killed} of {total} killed ({100 * killed / total:.1f} %).")
    sys.exit(0 if killed >= 0.95 * total else 1)


if __name__ == "__main__":
    main()
