"""Ours beside the published numbers: mean and spread over seeds, under three selection rules.

The published number is compared with our last epoch, which is what a table without a validation set
can mean, or by the rule of the table's cells. A cell that differs by more than TOLERANCE points is
marked at the paper's scale; at a smaller one what RRM gains is compared, not the accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from experiments.catalogue.cell import Cell, Table
from experiments.data import load
from experiments.outcome import SELECTIONS
from experiments.own import is_own, refuse_other
from experiments.spec import Run
from experiments.store import Store

TOLERANCE = 5.0
# What is said of the wrong labels that the last weights found.
MEASURES = ("auc", "precision", "recall", "pruned")
# Seeds are looked for below this.
MOST_SEEDS = 32


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs a report is about: cells whose run passes ``keep``, looked up after ``change``."""

    keep: Callable[[Run], bool] = lambda _: True
    change: Callable[[Run], Run] = lambda run: run


EVERYTHING = Selection()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One cell of a table, summarised over its finished seeds."""

    cell: Cell
    seeds: int
    mean: dict[str, float]
    spread: dict[str, float] | None  # sample standard deviation; None for one seed
    seconds: float
    reweighting_seconds: float
    reweighting_losses_seconds: float
    detection: dict[str, list[float | None]]  # of `trajectory.detection`, a value a seed of RRM
    method_auc: list[float]  # what a method's own `cleanness` finds in the end, a value a seed

    @property
    def published(self) -> float | None:
        """The published accuracy in percent, if there is one."""
        return self.cell.published[0] if self.cell.published else None

    @property
    def difference(self) -> float | None:
        """Ours minus the published accuracy, by the selection that was published, in points."""
        return None if self.published is None else self.mean[self.cell.rule] - self.published

    @property
    def disagrees(self) -> bool:
        """Whether the difference exceeds the tolerance."""
        return self.difference is not None and abs(self.difference) > TOLERANCE


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What RRM adds to plain training, in points, by the selection that is compared.

    Published if both numbers are.
    """

    line: Line
    ours: float
    published: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """A table under one preset: a line per cell with a finished run; how many have none."""

    table: Table
    preset: str
    scale: str
    lines: tuple[Line, ...]
    missing: int

    @property
    def mean_absolute_difference(self) -> float | None:
        """Mean over the lines of |ours - published|, points; None without lines."""
        differences = [abs(one.difference) for one in self.lines if one.difference is not None]
        return float(np.mean(differences)) if differences else None

    @property
    def compared(self) -> int:
        """Number of lines beside which there is a published number."""
        return sum(line.difference is not None for line in self.lines)

    @property
    def agreeing(self) -> int:
        """Number of those within the tolerance."""
        return sum(line.difference is not None and not line.disagrees for line in self.lines)

    def gains(self) -> list[Gain]:
        """Return what RRM adds to plain training, for every line of RRM beside which there is one.

        Plain training is the line with the same method, loss, data and noise.
        """

        def task(run: Run) -> tuple[str, str, str, str, float]:
            return run.method, run.loss, run.dataset, run.noise, run.noise_rate

        plain = {task(line.cell.run): line for line in self.lines if not line.cell.rrm}
        gains = []
        for line in self.lines:
            base = plain.get(task(line.cell.run))
            if line.cell.rrm and base is not None:
                published = None
                if line.published is not None and base.published is not None:
                    published = line.published - base.published
                ours = line.mean[line.cell.rule] - base.mean[base.cell.rule]
                gains.append(Gain(line=line, ours=ours, published=published))
        return gains

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "table": self.table.name,
            "preset": self.preset,
            "scale": self.scale,
            "missing_cells": self.missing,
            "agreeing": self.agreeing,
            "mean_absolute_difference": self.mean_absolute_difference,
            "cells": [
                {
                    "row": line.cell.row,
                    "noise_rate": line.cell.noise_rate,
                    "rrm": line.cell.rrm,
                    "published": line.published,
                    "seeds": line.seeds,
                    "mean": line.mean,
                    "spread": line.spread,
                    "difference": line.difference,
                    "disagrees": line.disagrees,
                    "seconds": line.seconds,
                    "reweighting_seconds": line.reweighting_seconds,
                    "reweighting_losses_seconds": line.reweighting_losses_seconds,
                    "detection": line.detection,
                    "method_auc": line.method_auc,
                }
                for line in self.lines
            ],
        }


def report(
    table: Table,
    store: Store,
    *,
    preset: str,
    scale: str,
    selection: Selection = EVERYTHING,
) -> Report:
    """Return what the store knows of the table under the preset, whatever seeds are there.

    Raises
    ------
    ValueError
        If the selection leaves no cell.

    """
    found = gather(table, store, preset=preset, scale=scale, selection=selection)
    lines = tuple(_line(cell, results) for cell, results in found if results)
    return Report(
        table=table, preset=preset, scale=scale, lines=lines, missing=len(found) - len(lines)
    )


def gather(
    table: Table,
    store: Store,
    *,
    preset: str,
    scale: str,
    selection: Selection,
) -> list[tuple[Cell, list[dict[str, Any]]]]:
    """Return every cell that `report` is about, with the results of its finished seeds.

    Raises
    ------
    ValueError
        If the selection leaves no cell, or a result was made of a user's file or network as it no
        longer is.

    Notes
    -----
    What is published of a table's data is not compared with other data.

    """
    found: dict[tuple[str, float, bool], tuple[Cell, list[dict[str, Any]]]] = {}
    for seed in range(MOST_SEEDS):
        for cell in table.cells(preset, scale, seed):
            if not selection.keep(cell.run):
                continue
            run = selection.change(cell.run)
            if run.dataset != cell.run.dataset:
                cell = replace(cell, published=())
            _, results = found.setdefault((cell.row, cell.noise_rate, cell.rrm), (cell, []))
            result = store.load_result(run)
            if result is None:
                continue
            if is_own(run):
                where = str(store.result_path(run))
                refuse_other(run, load(run.dataset), result["origin"], where)
            results.append(result)
    if not found:
        msg = f"no cell of {table.name} is left after --only."
        raise ValueError(msg)
    return list(found.values())


def _line(cell: Cell, results: Sequence[dict[str, Any]]) -> Line:
    """Return the summary of one cell's finished runs."""
    values = {rule: np.array([one["accuracy"][rule] for one in results]) for rule in SELECTIONS}
    # Results from before there was such a thing have none.
    found = [one["detection"] for one in results if one.get("detection")]
    several = len(results) > 1
    return Line(
        cell=cell,
        seeds=len(results),
        mean={rule: float(value.mean()) for rule, value in values.items()},
        spread=(
            {rule: float(value.std(ddof=1)) for rule, value in values.items()} if several else None
        ),
        seconds=float(np.mean([sum(one["seconds"].values()) for one in results])),
        reweighting_seconds=fmean(one["seconds"].get("reweighting", 0.0) for one in results),
        reweighting_losses_seconds=fmean(
            one["seconds"].get("reweighting losses", 0.0) for one in results
        ),
        detection={name: [one[name] for one in found] for name in MEASURES if found},
        method_auc=[one["cleanness_auc"][-1] for one in results if one.get("cleanness_auc")],
    )


HEADER = (
    "loss",
    "noise",
    "",
    "published",
    "last",
    "selected",
    "oracle",
    "last - published",
    "seeds",
)


def rows(report: Report) -> list[tuple[str, ...]]:
    """Return the report's cells as text, one row a line, in the order of :data:`HEADER`."""
    return [
        (
            row_name(line.cell),
            noise(line.cell),
            "+ RRM" if line.cell.rrm else "plain",
            "-" if line.published is None else f"{line.published:g}",
            *(
                mean_and_spread(line.mean[rule], line.spread[rule] if line.spread else None)
                for rule in SELECTIONS
            ),
            _difference(line, mark=report.scale == "paper"),
            str(line.seeds),
        )
        for line in report.lines
    ]


def row_name(cell: Cell) -> str:
    """Return a cell's row as text: the name of a loss, an abbreviation, in capitals."""
    return cell.row.upper() if cell.row == cell.run.loss else cell.row


def noise(cell: Cell) -> str:
    """Return how many labels are wrong as text, if that is known to be some."""
    return f"{100 * cell.noise_rate:.0f} %" if cell.noise_rate else "-"


def _difference(line: Line, *, mark: bool) -> str:
    """Return the difference as text, marked on demand if it exceeds the tolerance."""
    if line.difference is None:
        return "-"
    # Adding 0.0 turns -0.0 into 0.0.
    return f"{round(line.difference, 1) + 0.0:+.1f}{' !' if mark and line.disagrees else ''}"


def mean_and_spread(mean: float, spread: float | None) -> str:
    """Return "mean", or "mean ± spread" where there are several seeds."""
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"


def verdict(reports: Sequence[Report]) -> list[str]:
    """Return, in words, how far each reading reproduces the table, and which does so better."""
    present = [one for one in reports if one.lines]
    sentences = [
        f"{one.preset}: {one.agreeing} of {one.compared} cells within {TOLERANCE:.0f} points of "
        f"the published number, mean absolute difference {one.mean_absolute_difference:.1f} points."
        for one in present
        if one.compared and one.scale == "paper"
    ]
    for one in present:
        if one.scale != "paper" or not one.compared:
            sentences += _gained(one)
    # Readings are compared on the same cells only.
    covered = {
        tuple((line.cell.row, line.cell.noise_rate, line.cell.rrm) for line in one.lines)
        for one in present
    }
    if len(present) > 1 and len(covered) == 1 and all(one.compared for one in present):
        best = min(present, key=lambda one: one.mean_absolute_difference or 0.0)
        sentences.append(f"The reading that reproduces the published table better: {best.preset}.")
    return sentences


def _gained(report: Report) -> list[str]:
    """Return in how many cells RRM ends above plain training, ours and published, and by what."""
    gains = report.gains()
    if not gains:
        return []
    up = sum(one.ours > 0 for one in gains)
    mean = np.mean([one.ours for one in gains])
    # A table that can be read in one way only needs no name of it.
    single = len(report.table.presets) == len(report.table.scales) == 1
    sentence = "" if single else f"{report.preset}, {report.scale}: "
    by_last = gains[0].line.cell.rule == "last"
    sentence += (
        f"RRM {'ends' if by_last else 'is'} above plain training in {up} of "
        f"{len(gains)} cells, by {mean:+.1f} points on average"
    )
    published = [one.published for one in gains if one.published is not None]
    if len(published) == len(gains):
        above = sum(gain > 0 for gain in published)
        sentence += (
            f"; published, at full scale: {above} of {len(gains)}, {np.mean(published):+.1f}"
        )
    return [f"{sentence}.", *differences(report.table, [line.cell for line in report.lines])]


def differences(table: Table, cells: Sequence[Cell]) -> list[str]:
    """Return what the published runs do not have in common with ours, if there are any."""
    if not table.differences or not any(cell.published for cell in cells):
        return []
    return [f"Published runs differ in more than scale: {'; '.join(table.differences)}."]


def cost(reports: Sequence[Report]) -> list[str]:
    """Return what the runs cost as they were made: range of the cells' means, median in between."""
    lines = [line for one in reports for line in one.lines]
    parts = []
    for rrm, name in ((False, "Plain runs"), (True, "RRM runs")):
        seconds = [line.seconds for line in lines if line.cell.rrm == rrm]
        if seconds:
            parts.append(
                f"{name} took {min(seconds):.0f} to {max(seconds):.0f} s a cell "
                f"(median {np.median(seconds):.0f})"
            )
    weighing = [
        (line.reweighting_seconds / line.seconds, line.reweighting_losses_seconds / line.seconds)
        for line in lines
        if line.cell.rrm
    ]
    if weighing:
        itself, losses = (100 * max(shares) for shares in zip(*weighing, strict=True))
        parts.append(
            f"re-weighting itself at most {itself:.2f} % of a run, and computing the losses for it "
            f"{losses:.1f} %"
        )
    return ["; ".join(parts) + "."] if parts else []


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that ends with a line break."""
    lines = [header, ["---"] * len(header), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A table of a report, as text."""

    title: str
    header: Sequence[str]
    body: Sequence[Sequence[str]]


def sections(reports: Sequence[Report]) -> list[Section]:
    """Return a table per preset, without comparisons where there is nothing to compare with."""
    tables = []
    for one in reports:
        if one.lines:
            absent = () if one.compared else ("published", "last - published")
            shown = [place for place, name in enumerate(HEADER) if name not in absent]
            body = [[row[place] for place in shown] for row in rows(one)]
            rule = one.lines[0].cell.rule
            header = [HEADER[place].replace("last -", f"{rule} -") for place in shown]
            tables.append(Section(title=f"Preset `{one.preset}`", header=header, body=body))
    return tables


def markdown(tables: Sequence[Section], sentences: Sequence[str]) -> str:
    """Return a report as Markdown: for the README, which a test compares with this."""
    parts: list[str] = []
    for one in tables:
        parts.append(f"{one.title}:\n")
        parts.append(markdown_table(one.header, one.body))
    parts.extend(f"- {sentence}" for sentence in sentences)
    return "\n".join(parts) + "\n"
