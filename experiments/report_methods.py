"""Methods side by side: accuracy, wrong labels found, what they estimate, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from experiments.catalogue.cell import Cell, Table
from experiments.outcome import SELECTIONS
from experiments.problem import noise_matrix
from experiments.report import (
    EVERYTHING,
    Section,
    Selection,
    differences,
    gather,
    mean_and_spread,
    noise,
)
from experiments.store import Store
from rrm_theory.reweight.reweighting import ReweightOutcome

MEBIBYTE = 2**20
# What a method that finds wrong labels and an estimate of the noise have to reach.
GOOD_AUC, GOOD_MATRIX = 0.9, 0.1
# Who has to reach the first, on uniform noise, and on which noise the second.
FINDERS, FINDERS_NOISE = ("rmnw_net", "flywheel"), "uniform_or_kept"
MATRIX_NOISE = "flip"
# RRM around these weighs other labels than those that are given: its weights say nothing of them.
RELABELLING = ("flywheel",)


@dataclass(frozen=True, kw_only=True)
class MethodLine:
    """A method on one kind of noise, alone or wrapped by RRM: a value for each of the ``seeds``.

    ``auc`` is of what the method says of labels in the end, ``best_auc`` at its best epoch, which
    nobody can choose in practice, ``weights_auc`` of RRM's weights in the end; ``matrix_error`` is
    the largest |T^ - T|, T the noise's expectation. Empty where there is none. ``reweightings`` is
    how often RRM's weights were asked for, ``without_level`` how often C' gave them no level.
    """

    cell: Cell
    seeds: list[int]
    accuracy: dict[str, list[float]]
    auc: list[float]
    best_auc: list[float]
    weights_auc: list[float]
    matrix_error: list[float]
    seconds: list[float]
    peak_mebibytes: list[float]
    reweightings: list[int]
    without_level: list[int]

    def beside(self, other: MethodLine, rule: str = "last") -> tuple[float, float] | None:
        """Return both lines' mean accuracy over the seeds that both have, if there are any."""
        common = sorted(set(self.seeds) & set(other.seeds))
        if not common:
            return None
        mine, theirs = (
            fmean(one.accuracy[rule][one.seeds.index(seed)] for seed in common)
            for one in (self, other)
        )
        return mine, theirs


@dataclass(frozen=True, kw_only=True)
class MethodsReport:
    """A table of methods at one scale: a line per cell with a finished run; how many have none."""

    table: Table
    scale: str
    lines: tuple[MethodLine, ...]
    missing: int

    def plain(self, line: MethodLine) -> MethodLine | None:
        """Return plain training on the line's noise, if it has a result."""
        return next(
            (
                one
                for one in self.lines
                if not one.cell.rrm
                and one.cell.run.loss == "cce"
                and one.cell.run.method == "small_loss"
                and one.cell.run.noise == line.cell.run.noise
            ),
            None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "table": self.table.name,
            "scale": self.scale,
            "missing_cells": self.missing,
            "cells": [
                {
                    "row": line.cell.row,
                    "noise": line.cell.run.noise,
                    "noise_rate": line.cell.noise_rate,
                    "rrm": line.cell.rrm,
                    "seeds": line.seeds,
                    "published": line.cell.published,
                    "accuracy": line.accuracy,
                    "auc": line.auc,
                    "best_auc": line.best_auc,
                    "weights_auc": line.weights_auc,
                    "matrix_error": line.matrix_error,
                    "seconds": line.seconds,
                    "peak_mebibytes": line.peak_mebibytes,
                    "reweightings": line.reweightings,
                    "without_level": line.without_level,
                }
                for line in self.lines
            ],
        }


def methods_report(
    table: Table, store: Store, *, preset: str, scale: str, selection: Selection = EVERYTHING
) -> MethodsReport:
    """Return what the store knows of a table of methods, whatever seeds are there.

    Raises
    ------
    ValueError
        If the selection leaves no cell.

    """
    found = gather(table, store, preset=preset, scale=scale, selection=selection)
    lines = tuple(_line(cell, results) for cell, results in found if results)
    return MethodsReport(table=table, scale=scale, lines=lines, missing=len(found) - len(lines))


def _line(cell: Cell, results: Sequence[dict[str, Any]]) -> MethodLine:
    """Return the values of one cell's finished runs."""
    peaks = [one["peak_memory_bytes"] for one in results]
    return MethodLine(
        cell=cell,
        seeds=[one["run"]["seed"] for one in results],
        accuracy={rule: [one["accuracy"][rule] for one in results] for rule in SELECTIONS},
        auc=[one["cleanness_auc"][-1] for one in results if one["cleanness_auc"]],
        best_auc=[max(one["cleanness_auc"]) for one in results if one["cleanness_auc"]],
        weights_auc=[
            one["detection"]["auc"]
            for one in results
            if one["detection"] and cell.run.method not in RELABELLING
        ],
        matrix_error=[matrix_error(cell, one) for one in results if "matrix" in one["method"]],
        seconds=[sum(one["seconds"].values()) for one in results],
        peak_mebibytes=[peak / MEBIBYTE for peak in peaks if peak is not None],
        reweightings=[len(one["reweightings"]) for one in results],
        without_level=[
            sum(entry["outcome"] == ReweightOutcome.NO_LEVEL.name for entry in one["reweightings"])
            for one in results
        ],
    )


def matrix_error(cell: Cell, result: dict[str, Any]) -> float:
    """Return the largest |T^ - T| of a run that estimates T; the run's seed says what T is."""
    estimate = np.array(result["method"]["matrix"])
    run = replace(cell.run, seed=result["run"]["seed"])
    return float(np.abs(estimate - noise_matrix(run, len(estimate))).max())


HEADER = (
    "method",
    "wrong labels",
    "",
    "published",
    *SELECTIONS,
    "published AUC",
    "AUC",
    "best AUC",
    "AUC of weights",
    "T off by",
    "s",
    "MiB",
    "seeds",
)


def methods_sections(report: MethodsReport) -> list[Section]:
    """Return the table; without published numbers where there are none."""
    compared = any(line.cell.published for line in report.lines)
    absent = () if compared else ("published", "published AUC")
    shown = [place for place, name in enumerate(HEADER) if name not in absent]
    body = [[row[place] for place in shown] for row in map(_row, report.lines)]
    header = [HEADER[place] for place in shown]
    title = f"Accuracy and AUC in %, scale `{report.scale}`"
    return [Section(title=title, header=header, body=body)] if body else []


def _row(line: MethodLine) -> tuple[str, ...]:
    """Return a line as text, in the order of HEADER."""
    return (
        line.cell.row,
        noise(line.cell),
        "+ RRM" if line.cell.rrm else "alone",
        f"{line.cell.published[0]:g}" if line.cell.published else "-",
        *(_summary(line.accuracy[rule]) for rule in SELECTIONS),
        f"{line.cell.published[1]:g}" if len(line.cell.published) > 1 else "-",
        _summary([100 * auc for auc in line.auc]),
        _summary([100 * auc for auc in line.best_auc]),
        _summary([100 * auc for auc in line.weights_auc]),
        f"{fmean(line.matrix_error):.2f}" if line.matrix_error else "-",
        f"{fmean(line.seconds):.0f}",
        f"{max(line.peak_mebibytes):.0f}" if line.peak_mebibytes else "-",
        str(len(line.seeds)),
    )


def _summary(values: Sequence[float]) -> str:
    """Return "mean", or "mean ± spread" of several; "-" of none."""
    if not values:
        return "-"
    return mean_and_spread(fmean(values), stdev(values) if len(values) > 1 else None)


def methods_verdict(report: MethodsReport) -> list[str]:
    """Return, in words, what each method reaches of what is asked of it, and what RRM adds."""
    return [
        *([f"{report.missing} cells have no result."] if report.missing else []),
        *_against_plain(report),
        *_finding(report),
        *_matrices(report),
        *_wrapped(report),
        *_without_level(report),
        *differences(report.table, [line.cell for line in report.lines]),
    ]


def _against_plain(report: MethodsReport) -> list[str]:
    """Return which methods end below plain training's last epoch, on the seeds that both have."""
    pairs = []
    for line in report.lines:
        plain = report.plain(line)
        beside = None if plain in (None, line) or line.cell.rrm else line.beside(plain)
        if beside is not None:
            pairs.append((line.cell.row, *beside))
    if not pairs:
        return []
    below = [
        f"{row} ({mine:.1f} against {plain:.1f})" for row, mine, plain in pairs if mine < plain
    ]
    kinds = f"{len(pairs)} methods and kinds of noise"
    if not below:
        return [f"All of {kinds} end above plain training, or level with it."]
    reached = f"{len(pairs) - len(below)} of {kinds} end above plain training, or level with it"
    return [f"{reached}, not {'; '.join(below)}."]


def _finding(report: MethodsReport) -> list[str]:
    """Return how well those find wrong labels that have to."""
    sentences = []
    for line in report.lines:
        run = line.cell.run
        asked = run.method in FINDERS and run.noise == FINDERS_NOISE
        if asked and not line.cell.rrm and line.auc:
            least = min(line.auc)
            reached = f"at least {100 * least:.1f} in"
            if least < GOOD_AUC:
                reached = f"only {100 * least:.1f} in the worst of"
            sentences.append(
                f"{line.cell.row}: AUC of wrong labels {reached} {_seeds(line)} "
                f"(aim: {100 * GOOD_AUC:.0f})."
            )
    return sentences


def _matrices(report: MethodsReport) -> list[str]:
    """Return how far estimates of the noise are off where something is asked of them."""
    return [
        f"{line.cell.row}: T is off by at most "
        f"{max(line.matrix_error):.3f} in {_seeds(line)} (aim: {GOOD_MATRIX})."
        for line in report.lines
        if line.matrix_error and not line.cell.rrm and line.cell.run.noise == MATRIX_NOISE
    ]


def _wrapped(report: MethodsReport) -> list[str]:
    """Return what RRM adds to each method on the seeds that both have, by selection."""
    alone = {line.cell.row: line for line in report.lines if not line.cell.rrm}
    sentences = []
    for rule, epoch in (("last", "last epoch"), ("selected", "selected epoch")):
        gains = [
            f"{line.cell.row} {beside[0] - beside[1]:+.1f}"
            for line in report.lines
            if line.cell.rrm
            and line.cell.row in alone
            and (beside := line.beside(alone[line.cell.row], rule)) is not None
        ]
        if gains:
            sentences.append(f"RRM adds, {epoch}, in points: {'; '.join(gains)}.")
    return sentences


def _without_level(report: MethodsReport) -> list[str]:
    """Return where RRM left its weights as they were: too many losses tie at the smallest."""
    often = [
        f"{line.cell.row} {sum(line.without_level)} of {sum(line.reweightings)} times"
        for line in report.lines
        if sum(line.without_level)
    ]
    if not often:
        return []
    return [f"RRM found no level, and left its weights as they were: {'; '.join(often)}."]


def _seeds(line: MethodLine) -> str:
    """Return the number of seeds as text."""
    return f"{len(line.seeds)} seed{'s' if len(line.seeds) > 1 else ''}"
