"""The papers' tables, and ours: which runs they are made of, and what was published."""

from __future__ import annotations

from experiments.catalogue import adversarial, colour, methods, own, table8, text
from experiments.catalogue.cell import Table

TABLES: dict[str, Table] = {
    one.name: one
    for part in (colour, adversarial, table8, methods, text, own)
    for one in part.TABLES
}


def table(name: str) -> Table:
    """Return the table of that name; a ValueError lists the known ones."""
    if name not in TABLES:
        msg = f"unknown table {name!r}; known: {', '.join(TABLES)}."
        raise ValueError(msg)
    return TABLES[name]
