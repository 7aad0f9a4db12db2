"""Command line: verify every statement, or solve the weight problem for a file of losses."""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rrm_theory import ContaminationOutcome, contamination_gamma, optimal_face, relax
from rrm_theory._checks import Vector
from rrm_theory._files import prepare_folder, write_atomically
from rrm_theory._provenance import provenance

if TYPE_CHECKING:
    from rrm_theory.ledger import Claim, Findings
    from rrm_theory.ledger.report import Picture
    from rrm_theory.relaxation import Relaxation

DISCREPANCY, NO_ANSWER, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 1, 2, 130, 141
# Instances a claim.
QUICK, USUAL, DEEP = 200, 1000, 4000
VERSIONED = ("cvxpy", "highspy", "hypothesis", "numpy", "scipy")
# From 2 to this power on, vertices are not written out.
COUNTABLE = 40


class _Console(Console):
    """A console whose closed pipe is not taken for a discrepancy."""

    def on_broken_pipe(self) -> None:
        """Leave it to `main`; rich would exit with 1."""
        raise BrokenPipeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    # A table that is piped keeps its lines whole.
    console = _Console() if sys.stdout.isatty() else _Console(width=160)
    try:
        code: int = options.command(options, console)
    except BrokenPipeError:
        # Who reads has seen enough; nothing more can be printed, also not at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    """Return the parser of both commands, each with an example."""
    parser = argparse.ArgumentParser(
        prog="python -m rrm_theory", description="Rockafellian relaxation: what is true, and u."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    text = "Check every statement of the papers; exit code 1 if a verdict is not as declared."
    verify = commands.add_parser(
        "verify",
        help=text,
        description=text,
        epilog="example: python -m rrm_theory verify --quick --report ledger.html",
    )
    verify.set_defaults(command=_verify)
    effort = verify.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick",
        dest="budget",
        action="store_const",
        const=QUICK,
        help=f"{QUICK} instances a claim, below a minute (otherwise {USUAL})",
    )
    effort.add_argument(
        "--deep",
        dest="budget",
        action="store_const",
        const=DEEP,
        help=f"{DEEP} instances a claim, about ten minutes",
    )
    verify.add_argument("--claim", nargs="+", metavar="ID", help="only these claims")
    verify.add_argument("--seed", type=int, default=0, help="of the instances (%(default)s)")
    verify.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    verify.add_argument("--report", type=Path, metavar="FILE.html", help="write one page")
    verify.set_defaults(budget=USUAL)

    text = "Solve the weight problem for a vector of losses."
    solve = commands.add_parser(
        "solve",
        help=text,
        description=text,
        epilog="example: python -m rrm_theory solve losses.npy --contamination 0.2 -o weights.npy",
    )
    solve.set_defaults(command=_solve)
    solve.add_argument("file", metavar="FILE", help=".npy, .csv (one row or column), - for input")
    price = solve.add_mutually_exclusive_group(required=True)
    price.add_argument("--gamma", type=float, metavar="G", help="price per unit of total variation")
    price.add_argument(
        "--contamination", type=float, metavar="C", help="estimated fraction of wrong labels"
    )
    solve.add_argument(
        "-o", "--weights", type=Path, metavar="FILE", help="write the probabilities: .npy or .csv"
    )
    return parser


def _verify(options: argparse.Namespace, console: Console) -> int:
    """Check claims, print what was found, write it where asked."""
    from rrm_theory.ledger import CLAIMS, verify

    claims = _chosen(CLAIMS, options.claim)
    if options.json is not None and options.json == options.report:
        msg = f"--json and --report must be two files, got {options.json} twice."
        raise ValueError(msg)
    for path in (options.json, options.report):
        _prepare(path)
    console.print(f"{len(claims)} claims, {options.budget} instances each, seed {options.seed}")
    bar = Progress(
        TextColumn("{task.description:24}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task("", total=len(claims))

        def progress(claim: Claim) -> None:
            bar.update(task, description=claim.id, completed=claims.index(claim))

        findings = verify(claims, budget=options.budget, seed=options.seed, progress=progress)
    _print(findings, console)
    _write(findings, options, console)
    return DISCREPANCY if findings.discrepancies else 0


def _prepare(path: Path | None) -> None:
    """Prove that a file can be written, before any work is done."""
    if path is None:
        return
    if path.is_dir():
        msg = f"{path} is a folder; name a file in it."
        raise ValueError(msg)
    prepare_folder(path.parent)


def _chosen(claims: Sequence[Claim], ids: Sequence[str] | None) -> Sequence[Claim]:
    """Return the claims asked for, or all."""
    if ids is None:
        return claims
    by_id = {claim.id: claim for claim in claims}
    for one in ids:
        if one not in by_id:
            near = difflib.get_close_matches(one, by_id) or [c for c in by_id if c.startswith(one)]
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(by_id)}"
            msg = f"unknown claim {one!r}; {hint}"
            raise ValueError(msg)
    return [by_id[one] for one in dict.fromkeys(ids)]


def _print(findings: Findings, console: Console) -> None:
    """Print the table, then every counterexample, then the sum."""
    from rrm_theory.ledger.report import residual, summary

    grid = Table("id", "source", "verdict")
    for name in ("instances", "worst residual", "seconds"):
        grid.add_column(name, justify="right")
    for finding in findings:
        note = "" if finding.as_declared else f" (declared: {finding.claim.verdict.value})"
        grid.add_row(
            finding.claim.id,
            escape(finding.claim.source),
            finding.verdict.value + note,
            str(finding.instances),
            residual(finding),
            f"{finding.seconds:.2f}",
        )
    console.print(grid)
    for finding in findings:
        if finding.counterexample is None:
            continue
        claim = finding.claim
        lines = [f"{claim.id}, {finding.verdict.value}: {claim.statement}"]
        lines += [f"  counterexample: {finding.counterexample}"]
        lines += [f"  by hand: {claim.by_hand}"] if claim.by_hand else []
        lines += [f"  correct: {claim.correction}"] if claim.correction else []
        if finding.correction_counterexample is not None:
            lines += [f"  counterexample to the correction: {finding.correction_counterexample}"]
        console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
    console.print(summary(findings), soft_wrap=True, highlight=False)


def _write(findings: Findings, options: argparse.Namespace, console: Console) -> None:
    """Write JSON and page, where asked."""
    from rrm_theory.ledger.report import as_json, html

    if options.json is None and options.report is None:
        return
    environment = provenance(VERSIONED)
    if options.json is not None:
        text = json.dumps(as_json(findings, environment), indent=1, ensure_ascii=False) + "\n"
        write_atomically(options.json, text.encode())
        console.print(f"JSON: {options.json}", soft_wrap=True, markup=False)
    if options.report is not None:
        write_atomically(options.report, html(findings, environment, _pictures()).encode())
        console.print(f"Report: {options.report}", soft_wrap=True, markup=False)


def _pictures() -> Sequence[Picture]:
    """Return the pictures of the repository's figures; without the repository there are none."""
    try:
        from figures.theory import pictures
    except ImportError:
        return ()
    drawn: Sequence[Picture] = pictures()
    return drawn


def _solve(options: argparse.Namespace, console: Console) -> int:
    """Print partition, value and certificate; write the weights where asked."""
    losses = _read(options.file, console)
    gamma = options.gamma
    if options.contamination is not None:
        tuned = contamination_gamma(losses, options.contamination)
        console.print(f"contamination {options.contamination}: {tuned.outcome.value}")
        if tuned.outcome in (ContaminationOutcome.NO_LEVEL, ContaminationOutcome.GAMMA_ZERO):
            return NO_ANSWER
        gamma = tuned.gamma
    if options.weights is not None:
        if options.weights.suffix not in (".npy", ".csv"):
            msg = f"weights must go to a .npy or .csv file, got {options.weights}."
            raise ValueError(msg)
        _prepare(options.weights)
    answer = relax(losses, gamma=gamma)
    _print_solution(answer, console)
    if options.weights is not None:
        write_atomically(options.weights, _encoded(answer.weights, options.weights.suffix))
        console.print(f"weights: {options.weights}", soft_wrap=True, markup=False)
    return 0


def _print_solution(answer: Relaxation, console: Console) -> None:
    """Print what is known about one weight problem."""
    face = optimal_face(answer.losses, gamma=answer.gamma)
    proof = answer.certificate()
    n, minimum = answer.losses.size, float(answer.losses.min())
    exponent = face.n_vertices.bit_length() - 1
    countable = exponent < COUNTABLE
    rows: list[tuple[str, Any]] = [
        ("N", n),
        ("gamma", answer.gamma),
        ("c_min", minimum),
        ("cut c_min + gamma", minimum + answer.gamma),
        ("I_min, receives", face.minimum.size),
        ("I_mid, unchanged", face.middle.size),
        ("I_big, at the cut", face.boundary.size),
        ("chi, pruned", face.pruned.size),
        ("value R_gamma(c)", answer.value),
        ("multiplier", answer.multiplier),
        ("outcome", answer.outcome.value),
        ("dimension of the optimal face", face.dimension),
        ("its vertices", face.n_vertices if countable else f"at least 2^{exponent}"),
        ("certificate: lower", float(proof.lower)),
        ("certificate: gap, exact", proof.gap),
    ]
    grid = Table("what", "", show_header=False)
    for name, value in rows:
        grid.add_row(name, str(value))
    console.print(grid, markup=False)


def _read(name: str, console: Console) -> Vector:
    """Return the losses of a file, or of standard input."""
    if name == "-":
        return _numbers(sys.stdin.read(), "standard input", console)
    path = Path(name)
    try:
        if path.suffix != ".npy":
            return _numbers(path.read_text(encoding="utf-8-sig"), name, console)
        losses = np.load(path, allow_pickle=False)
    except (UnicodeDecodeError, EOFError) as error:
        msg = f"{path} holds no losses: {error}"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = str(error) if str(path) in str(error) else f"{path} holds no losses: {error}"
        raise ValueError(msg) from error
    if not isinstance(losses, np.ndarray):
        msg = f"{path} holds no array but an archive of arrays; save one of them."
        raise ValueError(msg)
    return losses


def _numbers(text: str, name: str, console: Console) -> Vector:
    """Return one row or one column of numbers, after at most one line of names."""
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if len(rows) > 1 and all(map(_is_name, rows[0])):
        console.print(f"{name}: took the first line for names: {', '.join(rows[0])}", markup=False)
        del rows[0]
    if len(rows) > 1 and any(len(row) > 1 for row in rows):
        columns = max(map(len, rows))
        msg = f"{name} must hold one row or one column of losses, got {columns} columns."
        raise ValueError(msg)
    cells = [cell.strip() for row in rows for cell in row]
    for cell in cells:
        if not _is_number(cell):
            msg = f"{name} must hold numbers, got {cell!r}."
            raise ValueError(msg)
    return np.array([float(cell) for cell in cells])


def _is_name(cell: str) -> bool:
    """Whether a cell reads like a column's name: a letter first, and no number such as inf."""
    return re.match(r"[^\W\d]", cell.strip()) is not None and not _is_number(cell)


def _is_number(cell: str) -> bool:
    """Whether float() takes it; underscores, which Python allows, are for programs."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _encoded(weights: Vector, suffix: str) -> bytes:
    """Return the file's content: every float as it is, or its shortest decimal."""
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, weights, allow_pickle=False)
        return buffer.getvalue()
    return "".join(f"{weight!r}\n" for weight in weights.tolist()).encode()


if __name__ == "__main__":
    sys.exit(main())
