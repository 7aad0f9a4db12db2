"""Accuracy under attack: a grid of noise rates and sizes, ours beside published, and summed up.

The text reports the accuracy at which validation peaks; whether the validation images were attacked
it does not say, so both are summed up beside the last epoch, by a rule that is printed with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.catalogue.cell import Cell, Table
from experiments.report import EVERYTHING, Section, Selection, gather
from experiments.spec import TEST_EPS
from experiments.store import Store

RULES = ("last", "selected", "selected_clean", "selected_attacked", "oracle")
# What is summed up: the last epoch, and what the text's "validation set accuracy" can mean, where
# validation is as noisy as training.
SUMMED_UP = {
    "published": "published",
    "last": "last epoch",
    "selected": "by noisy validation",
    "selected_attacked": "by noisy validation, attacked",
}
# Without RRM and with it.
METHODS = ("AT", "A-RRM")
# Points of accuracy. An accuracy so far below the one without label noise is a collapse.
COLLAPSE = 20.0

HEADER = ("noise", "method", "selection", *(f"eps {eps:g}" for eps in TEST_EPS), "seeds")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One cell over its finished seeds: accuracy in percent under each of TEST_EPS, by selection.

    ``pruned`` and ``pruned_clean`` are percentages of the wrong and of the right labels without
    target mass after the last re-weighting; None without re-weighting, or without such labels.
    ``pgd`` is what PGD of the training size leaves in the end, in percent, at most over the seeds;
    ``overfitted`` is how many runs ended with the canary's verdict.
    """

    cell: Cell
    seeds: int
    mean: dict[str, list[float]]
    spread: dict[str, list[float]] | None
    each: dict[str, list[list[float]]]
    pruned: float | None
    pruned_clean: float | None
    overfitted: int
    pgd: float
    seconds: float

    @property
    def place(self) -> tuple[str, float, bool]:
        """Return which cell it is."""
        return self.cell.row, self.cell.noise_rate, self.cell.rrm


@dataclass(frozen=True, kw_only=True)
class AttackedReport:
    """A table under one preset and scale."""

    table: Table
    preset: str
    scale: str
    lines: tuple[Line, ...]
    missing: int

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        cells = []
        for line in self.lines:
            numbers = asdict(line)
            del numbers["cell"]
            row, rate, rrm = line.place
            where = {"row": row, "noise_rate": rate, "rrm": rrm, "published": line.cell.published}
            cells.append(where | numbers)
        return {
            "table": self.table.name,
            "preset": self.preset,
            "scale": self.scale,
            "eps": list(TEST_EPS),
            "missing_cells": self.missing,
            "cells": cells,
        }


def attacked_report(
    table: Table,
    store: Store,
    *,
    preset: str,
    scale: str,
    selection: Selection = EVERYTHING,
) -> AttackedReport:
    """Return what the store knows of the table; the arguments are those of `report.report`.

    Raises
    ------
    ValueError
        If the selection leaves no cell.

    """
    found = gather(table, store, preset=preset, scale=scale, selection=selection)
    lines = tuple(_line(cell, results) for cell, results in found if results)
    missing = len(found) - len(lines)
    return AttackedReport(table=table, preset=preset, scale=scale, lines=lines, missing=missing)


def _line(cell: Cell, results: Sequence[dict[str, Any]]) -> Line:
    """Return the summary of one cell's finished runs."""
    each = {rule: [one["attacked_accuracy"][rule] for one in results] for rule in RULES}
    values = {rule: np.array(rows) for rule, rows in each.items()}
    several = len(results) > 1
    last = [one["reweightings"][-1] for one in results if one["reweightings"]]
    wrong = sum(one["samples"]["contaminated"] for one in results)
    right = sum(one["samples"]["train"] for one in results) - wrong
    canary = [one["canary"][-1] for one in results]
    caught = sum(entry["pruned_contaminated"] for entry in last)
    return Line(
        cell=cell,
        seeds=len(results),
        mean={rule: value.mean(axis=0).tolist() for rule, value in values.items()},
        spread=(
            {rule: value.std(axis=0, ddof=1).tolist() for rule, value in values.items()}
            if several
            else None
        ),
        each=each,
        pruned=100 * caught / wrong if last and wrong else None,
        pruned_clean=100 * sum(e["pruned_clean"] for e in last) / right if last else None,
        overfitted=sum(entry["overfitted"] for entry in canary),
        pgd=max(100 * entry["pgd"] / entry["images"] for entry in canary),
        seconds=float(np.mean([sum(one["seconds"].values()) for one in results])),
    )


def method(line: Line) -> str:
    """Return the method's name."""
    return METHODS[line.cell.rrm]


def attacked_rows(report: AttackedReport) -> list[tuple[str, ...]]:
    """Return the grid as text: per cell the published numbers, then ours by selection."""
    rows: list[tuple[str, ...]] = []
    published = any(line.cell.published for line in report.lines)
    for line in report.lines:
        noise = f"{100 * line.cell.noise_rate:.0f} %"
        name = method(line) if published else f"{method(line)}, {line.cell.row}"
        if line.cell.published:
            rows.append((noise, name, "published", *(f"{x:g}" for x in line.cell.published), ""))
        for rule in RULES:
            numbers = [f"{mean:.1f}" for mean in line.mean[rule]]
            if line.spread:
                numbers = [
                    f"{number} ± {spread:.1f}"
                    for number, spread in zip(numbers, line.spread[rule], strict=True)
                ]
            rows.append((noise, name, rule.replace("_", ", "), *numbers, str(line.seeds)))
    return rows


def attacked_sections(reports: Sequence[AttackedReport]) -> list[Section]:
    """Return a grid per preset that has results."""
    return [
        Section(
            title=f"Preset `{one.preset}`, scale `{one.scale}`",
            header=HEADER,
            body=attacked_rows(one),
        )
        for one in reports
        if one.lines
    ]


def missing(report: AttackedReport) -> str:
    """Return how many cells have no result."""
    return f"{report.missing} cells of {report.preset}, {report.scale} have no result."


def attacked_summary(reports: Sequence[AttackedReport]) -> list[Section]:
    """Return, per preset, what the claims are about: accuracy by noise rate, what was pruned.

    Only of tables that are published.
    """
    return [
        Section(
            title=f"Preset `{one.preset}`, scale `{one.scale}`, by share of wrong labels"
            + _rule(one),
            header=("", "", "eps", *(f"{100 * rate:.0f} %" for rate in _rates(one))),
            body=[*_accuracies(one), *_in_the_end(one)],
        )
        for one in reports
        if one.lines and one.lines[0].cell.published
    ]


def _rule(report: AttackedReport) -> str:
    """Return what the mark of a collapse means, where there is a number to compare with."""
    if 0.0 not in _rates(report):
        return ""
    return f" (! collapsed: at eps 0 more than {COLLAPSE:.0f} points below the row's own 0 %)"


def _rates(report: AttackedReport) -> list[float]:
    """Return the noise rates that have results."""
    return sorted({line.cell.noise_rate for line in report.lines})


def _accuracies(report: AttackedReport) -> list[tuple[str, ...]]:
    """Return published accuracies and ours by selection, under no attack and the largest."""
    return [
        (METHODS[rrm], name, f"{TEST_EPS[place]:g}", *_accuracy(report, rule, place, rrm=rrm))
        for place in (0, -1)
        for rule, name in SUMMED_UP.items()
        for rrm in (False, True)
    ]


def _accuracy(report: AttackedReport, rule: str, place: int, *, rrm: bool) -> list[str]:
    """Return one method's accuracy by noise rate, a collapse marked where there is no attack."""
    numbers = {
        line.cell.noise_rate: (line.cell.published if rule == "published" else line.mean[rule])[
            place
        ]
        for line in report.lines
        if line.cell.rrm == rrm
    }
    least = numbers.get(0.0, 0.0) - COLLAPSE if place == 0 else 0.0
    digits = "g" if rule == "published" else ".1f"
    return [
        f"{numbers[rate]:{digits}}{' !' if numbers[rate] < least else ''}"
        if rate in numbers
        else "-"
        for rate in _rates(report)
    ]


def _in_the_end(report: AttackedReport) -> list[tuple[str, ...]]:
    """Return what is pruned in the end, and how many seeds a cell has."""
    lines = {(line.cell.rrm, line.cell.noise_rate): line for line in report.lines}

    def row(rrm: bool, what: str, value: Callable[[Line], float | None]) -> tuple[str, ...]:
        values = [value(lines[rrm, x]) if (rrm, x) in lines else None for x in _rates(report)]
        return METHODS[rrm], what, "", *("-" if x is None else f"{x:.0f}" for x in values)

    return [
        row(True, "wrong labels pruned, %", lambda line: line.pruned),
        row(True, "right labels pruned, %", lambda line: line.pruned_clean),
        row(False, "seeds", lambda line: line.seeds),
        row(True, "seeds", lambda line: line.seeds),
    ]


def attacked_verdict(report: AttackedReport) -> list[str]:
    """Return, in words, what PGD leaves in the end, and what is pruned where no summary says so."""
    if not report.lines:
        return []
    if not report.lines[0].cell.published:
        return [_separation(line) for line in report.lines]
    most = max(line.pgd for line in report.lines)
    caught, runs = (sum(getattr(x, name) for x in report.lines) for name in ("overfitted", "seeds"))
    return [
        f"{report.preset}, {report.scale}: PGD of the training size leaves at most {most:.1f} % "
        f"right in the end; {caught} of {runs} runs are overfitted to FGSM."
    ]


def _separation(line: Line) -> str:
    """Return what the weights had separated in the end, and what PGD leaves."""
    parts = []
    if line.pruned is not None:
        parts.append(
            f"{line.pruned:.0f} % of the wrong and {line.pruned_clean:.0f} % of the right labels "
            "pruned at the end"
        )
    parts.append(
        f"PGD of the training size leaves at most {line.pgd:.1f} % "
        f"({line.overfitted} of {line.seeds} runs overfitted to FGSM)"
    )
    where = f"{method(line)}, {line.cell.row} at {100 * line.cell.noise_rate:.0f} %"
    return f"{where}: {'; '.join(parts)}."
