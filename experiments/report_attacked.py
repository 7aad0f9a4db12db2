"""Accuracy under attack: a grid of noise rates and sizes, ours beside published, and in words.

The text reports the accuracy at which validation peaks; whether the validation images were attacked
it does not say, so both are put into words, by rules that are printed with their answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.catalogue.cell import Cell, Table
from experiments.report import EVERYTHING, Section, Selection, gather
from experiments.spec import TEST_EPS
from experiments.store import Store

RULES = ("last", "selected", "selected_clean", "selected_attacked", "oracle")
# What the text's "validation set accuracy" can mean, where validation is as noisy as training.
SELECTED = {
    "selected": "noisy validation",
    "selected_attacked": "noisy validation attacked as in training",
}
# Points of accuracy. An accuracy so far below the one without label noise is a collapse.
COLLAPSE = 20.0

HEADER = ("noise", "method", "selection", *(f"eps {eps:g}" for eps in TEST_EPS), "seeds")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One cell over its finished seeds: accuracy in percent under each of TEST_EPS, by selection.

    ``pruned`` and ``pruned_clean`` are percentages of the wrong and of the right labels without
    target mass after the last re-weighting; None without re-weighting, or without such labels.
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
        pgd=float(np.mean([100 * entry["pgd"] / entry["images"] for entry in canary])),
        seconds=float(np.mean([sum(one["seconds"].values()) for one in results])),
    )


def method(line: Line) -> str:
    """Return the method's name."""
    return "A-RRM" if line.cell.rrm else "AT"


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


def attacked_verdict(report: AttackedReport) -> list[str]:
    """Return, in words and by printed rules, which claims about the table hold in our runs."""
    if not report.lines:
        return []
    sentences = []
    if report.lines[0].cell.published:
        for rule, name in SELECTED.items():
            chosen = {line.place[1:]: line.mean[rule] for line in report.lines}
            sentences.append(f"{report.preset}, {report.scale}, selected by {name}.")
            for rrm, who in ((False, "AT"), (True, "A-RRM")):
                sentences.append(f"{who} without an attack (eps 0): {_collapse(chosen, rrm=rrm)}")
            for place in (0, -1):
                eps = f"{TEST_EPS[place]:g}"
                sentences.append(f"A-RRM less AT at eps {eps}: {_differences(chosen, place=place)}")
    sentences += [_separation(line, named=not line.cell.published) for line in report.lines]
    return sentences


def _collapse(chosen: dict[tuple[float, bool], list[float]], *, rrm: bool) -> str:
    """Return accuracy at eps 0 by noise rate, and where it has collapsed."""
    rates = sorted(rate for rate, kind in chosen if kind == rrm)
    if 0.0 not in rates:
        return "no run without label noise to compare with."
    clean = chosen[0.0, rrm][0]
    parts = [f"{100 * rate:.0f} %: {chosen[rate, rrm][0]:.1f}" for rate in rates]
    fallen = [f"{100 * rate:.0f} %" for rate in rates if chosen[rate, rrm][0] < clean - COLLAPSE]
    where = f"at {', '.join(fallen)}" if fallen else "nowhere"
    return (
        f"{', '.join(parts)}; a collapse, {COLLAPSE:.0f} points below its own accuracy at 0 %, "
        f"{where}."
    )


def _differences(chosen: dict[tuple[float, bool], list[float]], *, place: int) -> str:
    """Return A-RRM's accuracy less AT's by noise rate, at one size of the attack."""
    rates = sorted(rate for rate, rrm in chosen if rrm and (rate, False) in chosen)
    parts = [
        f"{100 * rate:.0f} %: {chosen[rate, True][place] - chosen[rate, False][place]:+.1f}"
        for rate in rates
    ]
    return (", ".join(parts) or "no pair of runs") + " points."


def _separation(line: Line, *, named: bool) -> str:
    """Return what the weights had separated in the end, and what PGD leaves."""
    name = f"{method(line)}, {line.cell.row}" if named else method(line)
    parts = []
    if line.pruned is not None:
        parts.append(
            f"{line.pruned:.0f} % of the wrong and {line.pruned_clean:.0f} % of the right labels "
            "pruned at the end"
        )
    parts.append(
        f"PGD of the training size leaves {line.pgd:.0f} % "
        f"({line.overfitted} of {line.seeds} runs overfitted to FGSM)"
    )
    return f"{name} at {100 * line.cell.noise_rate:.0f} %: {'; '.join(parts)}."
