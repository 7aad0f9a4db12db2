"""What users install: the wheel has the library and nothing else, and needs no checkout."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import rrm_theory

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# The first example, run as a doctest by what was installed.
EXAMPLE = """
import doctest, rrm_theory
from pathlib import Path
text = Path({readme!r}).read_text().split("```python")[1].split("```")[0]
example = doctest.DocTestParser().get_doctest(text, {{}}, "README", "README.md", 0)
outcome = doctest.DocTestRunner().run(example)
print(rrm_theory.__file__, outcome.attempted, outcome.failed)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the source archive, made of tracked files alone."""
    folder = tmp_path_factory.mktemp("built")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).suffix not in (".json", ".npz", ".png", ".pdf"):
            target = folder / "checkout" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    # Not isolated, so that nothing is fetched.
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder / "checkout"],
        capture_output=True,
        check=True,
    )
    return folder


def test_the_wheel_has_the_library_and_nothing_else(built):
    """With its types, its statements and its licence."""
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"rrm_theory", "rockafellian-0.1.0.dist-info"}
    assert {"rrm_theory/py.typed", "rrm_theory/theory.md"} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    tracked = subprocess.run(
        ["git", "ls-files", "rrm_theory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in names if name.startswith("rrm_theory/")} == set(tracked)


def test_the_source_archive_has_no_tests(built):
    """They need the harness, and are for a checkout."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        folders = {name.split("/")[1] for name in file.getnames() if "/" in name}
    assert {"rrm_theory", "pyproject.toml", "README.md", "LICENSE"} <= folders
    assert not folders & {"tests", "experiments", "figures"}


def test_readme_s_first_example_runs_without_the_checkout(built, tmp_path):
    """From the wheel, in a folder of its own."""
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    readme = str(ROOT / "README.md")
    shown = subprocess.run(
        [sys.executable, "-c", EXAMPLE.format(readme=readme)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    path, attempted, failed = shown.stdout.splitlines()[-1].split()
    assert path == str(tmp_path / "site" / "rrm_theory" / "__init__.py")
    assert int(attempted) > 5
    assert failed == "0"


def test_the_reference_has_every_statement_s_function(tmp_path):
    """make api: the modules that the Makefile names, as HTML."""
    recipe = (ROOT / "Makefile").read_text()
    modules = re.search(r"^API = rrm_theory \$\(addprefix rrm_theory\.,(.*)\)$", recipe, re.M)
    names = ["rrm_theory", *(f"rrm_theory.{one}" for one in modules.group(1).split())]
    command = re.search(r"-W (\".*?\") -m pdoc (.*) --output-directory", recipe)
    subprocess.run(
        [
            *(sys.executable, "-W", command.group(1).strip('"'), "-m", "pdoc"),
            *(*command.group(2).split(), "--output-directory", tmp_path, *names),
        ],
        capture_output=True,
        check=True,
    )
    documented = {name: (tmp_path / f"{name.replace('.', '/')}.html").read_text() for name in names}
    functions = set(re.findall(r"`(rrm_theory\.[\w.]+)`", README.split("## Statements")[1]))
    assert len(functions) > 20
    for function in functions:
        module, _, name = function.rpartition(".")
        assert f'id="{name}"' in documented[module], function
    for name in rrm_theory.__all__:
        assert f'id="{name}"' in documented["rrm_theory"], name
