"""What decides Table 5: accuracy without an attack after one change of the settings at a time."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from experiments.catalogue import TABLES
from experiments.catalogue.adversarial import ABLATION
from experiments.report_attacked import AttackedReport, attacked_report
from experiments.store import Store
from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH

METHODS = ((False, "AT", CONTAMINATED, "s"), (True, "A-RRM", CLEAN, "o"))
RULES = (
    ("selected", "selected"),
    ("selected_attacked", "selected under attack"),
    ("last", "last epoch"),
)


def ablation_report(store: Store) -> AttackedReport:
    """Return the report of the ablation.

    Raises
    ------
    FileNotFoundError
        If there is no result.

    """
    table = TABLES["ablation5"]
    where = replace(store, experiment=table.experiment)
    report = attacked_report(table, where, preset=table.presets[0], scale=table.scales[0])
    if not report.lines:
        msg = f"no result in {where.results}: run python -m experiments run ablation5 first."
        raise FileNotFoundError(msg)
    return report


def draw(store: Store) -> Figure:
    """Return the figure: a row a change, a mark a seed, a column a selection."""
    report = ablation_report(store)
    there = {line.cell.row for line in report.lines}
    names = [name for name in ABLATION if name in there]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(RULES), sharex=True, sharey=True, figsize=(TEXT_WIDTH, 3.4)
        )
        for axis, (rule, title) in zip(axes, RULES, strict=True):
            for line in report.lines:
                _, label, colour, marker = METHODS[line.cell.rrm]
                values = np.array(line.each[rule])[:, 0]
                # Above and below the row's middle, where the two would cover each other.
                height = names.index(line.cell.row) + (0.15 if line.cell.rrm else -0.15)
                axis.plot(
                    values,
                    np.full(len(values), height),
                    marker,
                    color=colour,
                    label=label if line.cell.row == names[0] else None,
                    markersize=5,
                    alpha=0.8,
                )
            axis.set_title(title)
            axis.set_xlim(0, 100)
            axis.grid(axis="x", color="0.9")
            axis.set_axisbelow(True)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        handles, labels = axes[0].get_legend_handles_labels()
        # Outside: marks are everywhere inside.
        figure.legend(handles, labels, frameon=False, loc="outside right upper")
        figure.supxlabel("test accuracy without an attack, %, a mark a seed", fontsize=9)
    return figure
