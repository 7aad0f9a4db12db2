"""Command line: demo, list, run, report, bench.

Exit codes: 0 everything asked for is there; 1 a run failed; 2 wrong usage or an unusable folder;
3 stopped by the budget with runs left; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as Grid
from threadpoolctl import threadpool_limits

from experiments import report as reporting
from experiments.bench.page import TARGETS, page
from experiments.bench.show import print_benchmark
from experiments.bench.suites import SUITES, SUITES_OF_A_GPU
from experiments.catalogue import TABLES, table
from experiments.catalogue.cell import PRESETS, SCALES, Table
from experiments.catalogue.own import DEMO_PLAIN, DEMO_RRM
from experiments.demo import run_demo
from experiments.outcome import THREADS, environment
from experiments.report_attacked import (
    attacked_report,
    attacked_sections,
    attacked_summary,
    attacked_verdict,
    missing,
)
from experiments.report_detection import detection_sections
from experiments.report_methods import methods_report, methods_sections, methods_verdict
from experiments.report_weights import weights_reports, weights_sections, weights_verdict
from experiments.spec import DATASETS, MODELS, OWN_DATA, OWN_MODEL, Run
from experiments.store import (
    RESULTS,
    WORK,
    BrokenFileError,
    Store,
    one_line_per_key,
)
from experiments.sweep import Sweep, sweep
from rrm_theory._files import UnwritableError, prepare_folder, write_atomically

PIPED_WIDTH = 200
FAILED, USAGE, OUT_OF_BUDGET, INTERRUPTED = 1, 2, 3, 130
SECONDS = {"s": 1, "m": 60, "h": 3600}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Rich takes a pipe for 80 columns, which is too narrow for most tables.
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console() if known else Console(width=PIPED_WIDTH)
    parser = _parser()
    options = parser.parse_args(arguments)
    options.command_line = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code: int = options.command(options, console)
    except (UnwritableError, BrokenFileError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    return code


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, each with an example."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description="Experiments on Rockafellian relaxation."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, job: Callable[[argparse.Namespace, Console], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=text, epilog=f"example: python -m experiments {example}"
        )
        sub.set_defaults(command=job)
        return sub

    demo = command("demo", _demo, "RRM rescues a classifier from wrong labels.", "demo")
    demo.add_argument("--results", type=Path, default=WORK, help="folder (%(default)s)")
    demo.add_argument("--work", type=Path, default=WORK, help="folder (%(default)s)")
    demo.add_argument("--jobs", type=_positive, default=2, help="processes (%(default)s)")

    command("list", _list, "List tables, presets, scales and data sets.", "list")

    run = command(
        "run",
        _run,
        "Train what is missing of a table; the same command goes on after any interruption.",
        "run table8 --preset authors_program --seeds 3 --jobs 2",
    )
    run.add_argument("table", help=f"one of: {', '.join(TABLES)}")
    run.add_argument("--preset", help=f"{', '.join(PRESETS)} (the table's first)")
    run.add_argument("--scale", help=f"{', '.join(SCALES)} (the table's first)")
    run.add_argument("--seeds", type=_positive, default=1, help="seeds 0..SEEDS-1")
    run.add_argument("--jobs", type=_positive, default=1, help="processes of one thread each")
    run.add_argument("--device", choices=("cpu", "cuda"), help="a GPU if there is one")
    run.add_argument("--budget", type=_duration, help="stop cleanly after this time: 90s, 9m, 2h")
    run.add_argument("--shard", type=_shard, default=(1, 1), help="I/K: the I-th of K equal parts")
    _add_changes(run)
    _add_folders(run)

    rep = command("report", _report, "Ours beside the published numbers.", "report table8")
    rep.add_argument("table", help=f"one of: {', '.join(TABLES)}")
    rep.add_argument("--preset", help="only this one; all if not given")
    rep.add_argument("--scale", help=f"{', '.join(SCALES)} (the first with results)")
    output = rep.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--markdown", action="store_true", help="print Markdown")
    _add_changes(rep)
    _add_folders(rep)

    bench = command("bench", _bench, "Time what matters, one thread.", "bench reweight")
    bench.add_argument("suite", nargs="*", help=f"{', '.join(SUITES)}; all if none is given")
    bench.add_argument("--stored", action="store_true", help="time nothing, print the targets")
    bench.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    return parser


def _add_changes(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among a table's runs and change their settings."""
    names = ", ".join(field.name for field in fields(Run))
    parser.add_argument(
        "--only",
        type=_setting,
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"only the runs with this value; fields: {names}",
    )
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change this setting in all runs, after --only; kept apart from the preset's results",
    )


def _add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where files are."""
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the checkpoints")


def _positive(text: str) -> int:
    """Return a positive integer, for argparse."""
    if not text.isdigit() or int(text) < 1:
        msg = f"must be a positive integer, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _duration(text: str) -> float:
    """Return seconds from 90s, 9m or 2h, for argparse."""
    unit = SECONDS.get(text[-1:])
    try:
        value = float(text[:-1]) if unit else -1.0
    except ValueError:
        value = -1.0
    if unit is None or not value > 0:
        msg = f"must be a number with s, m or h, such as 9m; got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value * unit


def _shard(text: str) -> tuple[int, int]:
    """Return (I, K) from I/K with 1 <= I <= K, for argparse."""
    part, slash, parts = text.partition("/")
    if not (slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        msg = f"must be I/K with 1 <= I <= K, such as 3/8; got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(part), int(parts)


def _setting(text: str) -> tuple[str, Any]:
    """Return (field, value) from FIELD=VALUE, for argparse; the value as JSON, else as text."""
    name, equals, value = text.partition("=")
    if not equals or name not in {field.name for field in fields(Run)}:
        msg = f"must be FIELD=VALUE with a field of a run, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _known(name: str, known: Sequence[str], what: str) -> str:
    """Return ``name`` if known; else raise a ValueError that lists the known ones."""
    if name not in known:
        msg = f"unknown {what} {name!r}; known: {', '.join(known)}."
        raise ValueError(msg)
    return name


def _chosen(run: Run, options: argparse.Namespace) -> bool:
    """Return whether the run passes every --only."""
    return all(getattr(run, name) == value for name, value in options.only)


def _changes(options: argparse.Namespace, chosen: Table) -> dict[str, Any]:
    """Return the settings of --set; refuse those that say which cell a run belongs to."""
    changes = dict(options.set)
    for name in chosen.fixed:
        if name in changes:
            msg = f"--set {name}={changes[name]!r} would make one cell another; use --only."
            raise ValueError(msg)
    return changes


def _demo(options: argparse.Namespace, console: Console) -> int:
    """Run the main job."""
    print_settings([DEMO_PLAIN, DEMO_RRM], console)
    outcome = run_demo(
        results=options.results, work=options.work, jobs=options.jobs, console=console
    )
    code = _ending(outcome, console, options.results / "demo", "python -m experiments demo")
    if code == 0:
        console.print(f"Pictures: {options.work / 'demo'}", soft_wrap=True, markup=False)
    return code


def _list(options: argparse.Namespace, console: Console) -> int:
    """Print what the other commands know."""
    del options
    grid = Grid("what", "names")
    for what, names in (
        ("tables", TABLES),
        ("presets", PRESETS),
        ("scales", SCALES),
        ("data sets", (*DATASETS, f"your own *{OWN_DATA}")),
        ("models", (*MODELS, f"your own package.module{OWN_MODEL}name")),
    ):
        grid.add_row(what, ", ".join(names))
    console.print(grid)
    for one in TABLES.values():
        console.print(f"{one.name}: {one.title} ({one.source})", soft_wrap=True)
    return 0


def _run(options: argparse.Namespace, console: Console) -> int:
    """Train what is missing of a table."""
    chosen = table(options.table)
    preset = _known(options.preset or chosen.presets[0], chosen.presets, "preset")
    scale = _known(options.scale or chosen.scales[0], chosen.scales, "scale")
    part, parts = options.shard
    changes = _changes(options, table(options.table))
    runs = [
        replace(run, **changes)
        for run in chosen.runs(preset=preset, scale=scale, seeds=options.seeds)
        if _chosen(run, options)
    ][part - 1 :: parts]
    if not runs:
        msg = f"no run of {chosen.name} is left after --only and --shard."
        raise ValueError(msg)
    print_settings(runs, console)
    store = Store(experiment=chosen.experiment, results=options.results, work=options.work)
    outcome = sweep(
        runs,
        store,
        jobs=options.jobs,
        budget_seconds=options.budget,
        device=options.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        console=console,
    )
    again = "python -m experiments " + shlex.join(options.command_line)
    return _ending(outcome, console, options.results / chosen.experiment, again)


def print_settings(runs: Sequence[Run], console: Console) -> None:
    """Print every setting the runs resolve to: one value, or the values that occur."""
    grid = Grid("setting", "value", title=f"{len(set(runs))} runs")
    for name in runs[0].settings():
        values = dict.fromkeys(json.dumps(run.settings()[name]) for run in runs)
        grid.add_row(name, ", ".join(values))
    console.print(grid)


def _ending(outcome: Sweep, console: Console, folder: Path, again: str) -> int:
    """Print how a sweep ended, where its results are and how to go on; return the exit code."""
    console.print(
        f"{len(outcome.finished)} runs finished now, {len(outcome.present)} were there, "
        f"{len(outcome.failed)} failed, {len(outcome.unfinished)} left.",
        soft_wrap=True,
    )
    for run, reason in outcome.failed.items():
        console.print(f"failed: {run.key}: {reason}", soft_wrap=True, markup=False)
    console.print(f"Results: {folder}", soft_wrap=True, markup=False)
    if outcome.unfinished or outcome.failed:
        console.print(f"To go on: {again}", soft_wrap=True, markup=False)
    if outcome.interrupted:
        return INTERRUPTED
    if outcome.failed:
        return FAILED
    return OUT_OF_BUDGET if outcome.unfinished else 0


def _report(options: argparse.Namespace, console: Console) -> int:
    """Print a table: ours beside published."""
    chosen = table(options.table)
    known = chosen.presets
    presets = [_known(options.preset, known, "preset")] if options.preset else known
    scales = [_known(options.scale, chosen.scales, "scale")] if options.scale else chosen.scales
    store = Store(experiment=chosen.experiment, results=options.results, work=options.work)
    show = {
        "accuracy": _accuracies,
        "attacked": _attacked,
        "weights": _weights,
        "methods": _methods,
    }[chosen.shows]
    by_scale = [show(chosen, store, presets, scale, options) for scale in scales]
    # The first with results; if there is none, the first says so.
    shown = next((one for one in by_scale if one[1]), by_scale[0])
    as_json, sections, sentences = shown
    if options.json:
        print(json.dumps(as_json, indent=1, allow_nan=False))
    elif options.markdown:
        print(reporting.markdown(sections, sentences), end="")
    else:
        for one in sections:
            grid = Grid(*one.header, title=f"{chosen.title}\n{one.title}")
            for row in one.body:
                grid.add_row(*row)
            console.print(grid)
        for sentence in sentences:
            console.print(sentence, soft_wrap=True, markup=False)
    return 0


# A report as plain data, as tables, and in words.
Shown = tuple[list[dict[str, Any]], list[reporting.Section], list[str]]


def _accuracies(
    chosen: Table, store: Store, presets: Sequence[str], scale: str, options: argparse.Namespace
) -> Shown:
    """Return the report of a table with one accuracy a cell."""
    reports = [
        reporting.report(chosen, store, preset=preset, scale=scale, selection=_selection(options))
        for preset in presets
    ]
    sentences = [
        f"{one.missing} cells of {one.preset} have no result." for one in reports if one.missing
    ]
    sentences += [*reporting.verdict(reports), *reporting.cost(reports)]
    sections = [*reporting.sections(reports), *detection_sections(reports)]
    return [one.as_json() for one in reports], sections, sentences


def _attacked(
    chosen: Table, store: Store, presets: Sequence[str], scale: str, options: argparse.Namespace
) -> Shown:
    """Return the report of a table with an accuracy for each size of the attack."""
    reports = [
        attacked_report(chosen, store, preset=preset, scale=scale, selection=_selection(options))
        for preset in presets
    ]
    sentences = []
    for one in reports:
        if one.missing:
            sentences.append(missing(one))
        sentences += attacked_verdict(one)
    tables = [*attacked_sections(reports), *attacked_summary(reports)]
    return [one.as_json() for one in reports], tables, sentences


def _weights(
    chosen: Table, store: Store, presets: Sequence[str], scale: str, options: argparse.Namespace
) -> Shown:
    """Return the report of a table about weights: of the runs that pass --only, one by one."""
    selection = _selection(options)
    reports = [
        one
        for preset in presets
        for one in weights_reports(chosen, store, preset=preset, scale=scale, selection=selection)
    ]
    if not reports:
        return [], [], [f"no run of {chosen.name} at scale {scale} has a trajectory."]
    sentences = [sentence for one in reports for sentence in weights_verdict(one)]
    return [one.as_json() for one in reports], weights_sections(reports), sentences


def _methods(
    chosen: Table, store: Store, presets: Sequence[str], scale: str, options: argparse.Namespace
) -> Shown:
    """Return the report of a table of methods."""
    (preset,) = presets
    selection = _selection(options)
    one = methods_report(chosen, store, preset=preset, scale=scale, selection=selection)
    return [one.as_json()], methods_sections(one), methods_verdict(one)


def _selection(options: argparse.Namespace) -> reporting.Selection:
    """Return what --only keeps and what --set changes."""
    changes = _changes(options, table(options.table))
    return reporting.Selection(
        keep=lambda run: _chosen(run, options), change=lambda run: replace(run, **changes)
    )


def _bench(options: argparse.Namespace, console: Console) -> int:
    """Run benchmarks, print them and store their JSON; after all of them, a page of targets."""
    torch.set_num_threads(THREADS)
    folder = options.results / "bench"
    prepare_folder(folder)
    for name in options.suite:
        _known(name, list(TARGETS if options.stored else SUITES), "benchmark")
    timed = [] if options.stored else options.suite or SUITES
    for name in timed:
        status = console.status(f"timing {name}") if console.is_terminal else nullcontext()
        # Those of scikit-learn's libraries too.
        with status, threadpool_limits(THREADS):
            outcome = SUITES[name]()
        print_benchmark(name, outcome, console)
        device = "cuda" if name in SUITES_OF_A_GPU else "cpu"
        write_atomically(
            folder / f"{name}.json",
            one_line_per_key(outcome | {"environment": environment(device)}).encode(),
        )
    if not options.suite or options.stored:
        console.print(page(folder, options.suite or list(TARGETS)))
    console.print(f"Results: {folder}", soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
