"""Ours beside the published numbers: mean and spread over seeds, under three selection rules.

The published number is compared with our last epoch, which is what a table without a validation
set can mean. A cell that differs by more than TOLERANCE points is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.catalogue import Cell, Table
from experiments.outcome import SELECTIONS
from experiments.spec import Run
from experiments.store import Store

TOLERANCE = 5.0
# Seeds are looked for below this.
MOST_SEEDS = 32


@dataclass(frozen=True, kw_only=True)
class Line:
    """One cell of a table, summarised over its finished seeds."""

    cell: Cell
    seeds: int
    mean: dict[str, float]
    spread: dict[str, float] | None  # sample standard deviation; None for one seed
    seconds: float
    reweighting_seconds: float

    @property
    def difference(self) -> float:
        """Our last epoch minus the published accuracy, in points."""
        return self.mean["last"] - self.cell.published[0]

    @property
    def disagrees(self) -> bool:
        """Whether the difference exceeds the tolerance."""
        return abs(self.difference) > TOLERANCE


@dataclass(frozen=True, kw_only=True)
class Report:
    """A table under one preset: a line per cell with a finished run; how many have none."""

    table: Table
    preset: str
    lines: tuple[Line, ...]
    missing: int

    @property
    def mean_absolute_difference(self) -> float | None:
        """Mean over the lines of |ours - published|, points; None without lines."""
        differences = [abs(line.difference) for line in self.lines]
        return float(np.mean(differences)) if differences else None

    @property
    def agreeing(self) -> int:
        """Number of lines within the tolerance."""
        return sum(not line.disagrees for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "table": self.table.name,
            "preset": self.preset,
            "missing_cells": self.missing,
            "agreeing": self.agreeing,
            "mean_absolute_difference": self.mean_absolute_difference,
            "cells": [
                {
                    "row": line.cell.row,
                    "noise_rate": line.cell.noise_rate,
                    "rrm": line.cell.rrm,
                    "published": line.cell.published[0],
                    "seeds": line.seeds,
                    "mean": line.mean,
                    "spread": line.spread,
                    "difference": line.difference,
                    "disagrees": line.disagrees,
                    "seconds": line.seconds,
                    "reweighting_seconds": line.reweighting_seconds,
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
    keep: Callable[[Run], bool] = lambda _: True,
    change: Callable[[Run], Run] = lambda run: run,
) -> Report:
    """Return what the store knows of the table under the preset, whatever seeds are there.

    Only the cells whose run passes ``keep`` count; ``change`` is applied to a run before it is
    looked up, for settings other than the preset's.

    Raises
    ------
    ValueError
        If ``keep`` leaves no cell.

    """
    found = gather(table, store, preset=preset, scale=scale, keep=keep, change=change)
    lines = tuple(_line(cell, results) for cell, results in found if results)
    return Report(table=table, preset=preset, lines=lines, missing=len(found) - len(lines))


def gather(
    table: Table,
    store: Store,
    *,
    preset: str,
    scale: str,
    keep: Callable[[Run], bool],
    change: Callable[[Run], Run],
) -> list[tuple[Cell, list[dict[str, Any]]]]:
    """Return every cell that `report` is about, with the results of its finished seeds.

    Raises
    ------
    ValueError
        If ``keep`` leaves no cell.

    """
    found: dict[tuple[str, float, bool], tuple[Cell, list[dict[str, Any]]]] = {}
    for seed in range(MOST_SEEDS):
        for cell in table.cells(preset, scale, seed):
            if not keep(cell.run):
                continue
            _, results = found.setdefault((cell.row, cell.noise_rate, cell.rrm), (cell, []))
            result = store.load_result(change(cell.run))
            if result is not None:
                results.append(result)
    if not found:
        msg = f"no cell of {table.name} is left after --only."
        raise ValueError(msg)
    return list(found.values())


def _line(cell: Cell, results: Sequence[dict[str, Any]]) -> Line:
    """Return the summary of one cell's finished runs."""
    values = {rule: np.array([one["accuracy"][rule] for one in results]) for rule in SELECTIONS}
    several = len(results) > 1
    return Line(
        cell=cell,
        seeds=len(results),
        mean={rule: float(value.mean()) for rule, value in values.items()},
        spread=(
            {rule: float(value.std(ddof=1)) for rule, value in values.items()} if several else None
        ),
        seconds=float(np.mean([sum(one["seconds"].values()) for one in results])),
        reweighting_seconds=float(
            np.mean([one["seconds"].get("reweighting", 0.0) for one in results])
        ),
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
            line.cell.row.upper(),
            f"{100 * line.cell.noise_rate:.0f} %",
            "+ RRM" if line.cell.rrm else "plain",
            f"{line.cell.published[0]:.0f}",
            *(_mean_and_spread(line, rule) for rule in SELECTIONS),
            # Adding 0.0 turns -0.0 into 0.0.
            f"{round(line.difference, 1) + 0.0:+.1f}{' !' if line.disagrees else ''}",
            str(line.seeds),
        )
        for line in report.lines
    ]


def _mean_and_spread(line: Line, rule: str) -> str:
    """Return "mean", or "mean ± spread" where there are several seeds."""
    mean = f"{line.mean[rule]:.1f}"
    return f"{mean} ± {line.spread[rule]:.1f}" if line.spread else mean


def verdict(reports: Sequence[Report]) -> list[str]:
    """Return, in words, how far each reading reproduces the table, and which does so better."""
    present = [one for one in reports if one.lines]
    sentences = [
        f"{one.preset}: {one.agreeing} of {len(one.lines)} cells within {TOLERANCE:.0f} points of "
        f"the published number, mean difference {one.mean_absolute_difference:.1f} points."
        for one in present
    ]
    # Readings are compared on the same cells only.
    covered = {
        tuple((line.cell.row, line.cell.noise_rate, line.cell.rrm) for line in one.lines)
        for one in present
    }
    if len(present) > 1 and len(covered) == 1:
        best = min(present, key=lambda one: one.mean_absolute_difference or 0.0)
        sentences.append(f"The reading that reproduces the published table better: {best.preset}.")
    return sentences


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
    shares = [line.reweighting_seconds / line.seconds for line in lines if line.cell.rrm]
    if shares:
        parts.append(f"re-weighting itself at most {100 * max(shares):.2f} % of a run")
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
    """Return a table per preset."""
    return [
        Section(title=f"Preset `{one.preset}`", header=HEADER, body=rows(one))
        for one in reports
        if one.lines
    ]


def markdown(tables: Sequence[Section], sentences: Sequence[str]) -> str:
    """Return a report as Markdown: for the README, which a test compares with this."""
    parts: list[str] = []
    for one in tables:
        parts.append(f"{one.title}:\n")
        parts.append(markdown_table(one.header, one.body))
    parts.extend(f"- {sentence}" for sentence in sentences)
    return "\n".join(parts) + "\n"
