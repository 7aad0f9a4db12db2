"""Findings as JSON, as Markdown, and as one HTML page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

from rrm_theory.ledger.claim import Comparison, Counterexample, Finding, Origin, Verdict, spell
from rrm_theory.ledger.runner import Findings


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture for the page.

    Attributes
    ----------
    title, caption
        What it shows, and what to see in it.
    data_uri
        The image itself, as a data URI.

    """

    title: str
    caption: str
    data_uri: str


def as_json(findings: Findings, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that was found, ready for JSON; fractions are texts such as "3/8".

    Parameters
    ----------
    findings
        What `verify` returned.
    environment
        Versions, processor, commit.

    Returns
    -------
    dict
        ``budget``, ``seed``, ``seconds``, ``environment``, and ``claims`` in their order.

    """
    return {
        "budget": findings.budget,
        "seed": findings.seed,
        "seconds": round(sum(finding.seconds for finding in findings), 2),
        "environment": dict(environment),
        "claims": [_claim_as_json(finding) for finding in findings],
    }


def _claim_as_json(finding: Finding) -> dict[str, Any]:
    """Return one finding."""
    claim = finding.claim
    return {
        "id": claim.id,
        "source": claim.source,
        "origin": claim.origin.value,
        "statement": claim.statement,
        "hypotheses": claim.hypotheses,
        "declared": claim.verdict.value,
        "verdict": finding.verdict.value,
        "as_declared": finding.as_declared,
        "method": claim.method,
        "instances": finding.instances,
        "worst_residual": finding.residual,
        "seconds": round(finding.seconds, 3),
        "counterexample": _counterexample_as_json(finding.counterexample),
        "by_hand": claim.by_hand or None,
        "correction": claim.correction or None,
        "correction_counterexample": _counterexample_as_json(finding.correction_counterexample),
    }


def _counterexample_as_json(found: Counterexample | None) -> dict[str, Any] | None:
    """Return an instance and both sides."""
    if found is None:
        return None
    return {
        "instance": {name: _plain(value) for name, value in found.instance.items()},
        "comparison": str(found.comparison),
        "left": _plain(found.comparison.left),
        "right": _plain(found.comparison.right),
    }


def _plain(value: Any) -> Any:
    """Return a value of JSON's types: fractions and infinities as text."""
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    return str(value) if isinstance(value, Fraction) else spell(value)


def summary(findings: Findings) -> str:
    """Return one sentence: how many claims hold, hold with a correction, are refuted."""
    counts = ", ".join(f"{findings.count(one)} {_PLURAL[one]}" for one in Verdict)
    wrong = findings.discrepancies
    ending = (
        "all as declared"
        if not wrong
        else f"NOT as declared: {', '.join(finding.claim.id for finding in wrong)}"
    )
    return f"{len(findings.findings)} claims: {counts}; {ending}."


_PLURAL = {
    Verdict.HOLDS: "hold",
    Verdict.CORRECTED: "hold with a correction",
    Verdict.REFUTED: "are refuted",
}


def residual(finding: Finding) -> str:
    """Return the worst residual of what holds; nothing is left of what is refuted."""
    if finding.verdict is Verdict.REFUTED:
        return "-"
    return f"{finding.residual:.0e}" if finding.residual else "0"


def markdown(record: Mapping[str, Any]) -> str:
    """Return verdicts by paper and a folded list of what is false, from the JSON of `as_json`."""
    claims, verdicts = record["claims"], [verdict.value for verdict in Verdict]
    lines = [f"| who says it | {' | '.join(verdicts)} |", "| --- | --- | --- | --- |"]
    for speaker in _SPEAKERS:
        found = [one["verdict"] for one in claims if _speaker(one) == speaker]
        counts = " | ".join(str(found.count(verdict)) for verdict in verdicts)
        lines.append(f"| {speaker} | {counts} |")
    false = [one for one in claims if one["counterexample"] is not None]
    tried = sum(one["instances"] for one in claims)
    lines += [
        "",
        f"{len(claims)} claims, {tried:,} instances, {record['seconds'] / 60:.1f} minutes.",
        "",
        f"<details><summary>The {len(false)} statements that are false as they stand</summary>",
        "",
        "| claim | where | who says it | verdict | smallest counterexample found |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in false:
        found = one["counterexample"]
        given = ", ".join(f"{name} = {_written(v)}" for name, v in found["instance"].items())
        shown = f"{given}: {found['comparison']}"
        cells = (one["id"], one["source"], one["origin"], one["verdict"], shown)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, "", "</details>"]) + "\n"


_PAPERS = {
    "ICLR paper": "ICLR paper, printed",
    "earlier version": "its earlier version, printed",
    "RMNW-Net paper": "RMNW-Net paper, printed",
    "LNL-flywheel paper": "LNL-flywheel paper, printed",
}
_READING, _OURS = "our reading of what they print or do", "ours, or common practice"
_SPEAKERS = (*_PAPERS.values(), _READING, _OURS)


def _speaker(one: Mapping[str, Any]) -> str:
    """Return who says a claim."""
    if one["origin"] != Origin.PRINTED.value:
        return _READING if one["origin"] == Origin.READING.value else _OURS
    return next(title for paper, title in _PAPERS.items() if one["source"].startswith(paper))


def _written(value: Any) -> str:
    """Return a JSON value of an instance as one writes it."""
    if isinstance(value, list):
        return f"({', '.join(map(_written, value))})"
    return spell(Fraction(value)) if _is_fraction(value) else spell(value)


def _is_fraction(value: Any) -> bool:
    """Whether a text is a fraction."""
    return isinstance(value, str) and re.fullmatch(r"-?\d+(/\d+)?", value) is not None


def html(findings: Findings, environment: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """Return one self-contained page: a table, every claim in full, the pictures.

    Parameters
    ----------
    findings
        What `verify` returned.
    environment
        Versions, processor, commit.
    pictures
        Shown after the table.

    Returns
    -------
    str
        HTML with Unicode mathematics; it loads nothing.

    """
    rows = "\n".join(_row(finding) for finding in findings)
    claims = "\n".join(_section(finding) for finding in findings)
    shown = "\n".join(
        f'<figure><img src="{picture.data_uri}" alt="{escape(picture.title)}">'
        f"<figcaption><b>{_math(picture.title)}.</b> {_math(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )
    made_by = ", ".join(f"{name} {value}" for name, value in environment.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The ledger of Rockafellian relaxation</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>What is true: the ledger</h1>
<p class="lead">{escape(summary(findings))}</p>
<p>Every statement of the papers, what we read into them, and every one of ours, checked;
each says which it is. <i>Holds</i>: no counterexample
among the instances tried, all of them small, rational and full of ties; a residual of 0 means that
all sides agreed as fractions. <i>Holds with a correction</i>: false as stated, and the corrected
statement has withstood the same search. <i>Refuted</i>: false, and the counterexample is a proof
that can be checked by hand. Rates of convergence, such as those of Theorem 2 of the RMNW-Net paper,
are no statements about finitely many numbers and are not here.</p>
<table>
<thead><tr><th>claim</th><th>where</th><th>verdict</th><th class="n">instances</th>
<th class="n">worst residual</th><th class="n">seconds</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{f"<h2>Pictures</h2>{shown}" if pictures else ""}
<h2>The claims</h2>
{claims}
<footer><p>Budget {findings.budget} instances a claim, seed {findings.seed}; {escape(made_by)}.
Made by <code>python -m rrm_theory verify --report</code>.</p></footer>
</main>
</body>
</html>
"""


def _row(finding: Finding) -> str:
    """Return a claim's line in the table."""
    claim = finding.claim
    wrong = "" if finding.as_declared else f" (declared: {claim.verdict.value})"
    return (
        f'<tr><td><a href="#{claim.id}">{claim.id}</a></td><td>{_math(claim.source)}</td>'
        f"<td>{_badge(finding.verdict)}{wrong}</td>"
        f'<td class="n">{finding.instances}</td>'
        f'<td class="n">{residual(finding)}</td>'
        f'<td class="n">{finding.seconds:.2f}</td></tr>'
    )


def _section(finding: Finding) -> str:
    """Return everything about a claim."""
    claim = finding.claim
    lines = [
        ("where", _math(claim.source)),
        ("who", _WHO[claim.origin]),
        ("for", _math(claim.hypotheses)),
        ("how", _math(claim.method)),
    ]
    parts = [
        f'<section id="{claim.id}" data-verdict="{finding.verdict.value}">',
        f"<h3>{claim.id} {_badge(finding.verdict)}</h3>",
        f'<p class="statement">{_math(claim.statement)}</p>',
        *(f'<p class="line"><span>{name}</span> {text}</p>' for name, text in lines),
    ]
    if finding.counterexample is not None:
        parts.append(_counterexample("Counterexample", finding.counterexample))
        parts.append(f'<p class="line"><span>by hand</span> {_math(claim.by_hand)}</p>')
    if claim.correction:
        parts.append(f'<p class="line"><span>correct</span> {_math(claim.correction)}</p>')
    if finding.correction_counterexample is not None:
        parts.append(
            _counterexample("Counterexample to the correction", finding.correction_counterexample)
        )
    parts.append("</section>")
    return "\n".join(parts)


_WHO = {
    Origin.PRINTED: "printed there",
    Origin.READING: "our reading of what is printed or done there",
    Origin.OURS: "ours",
}


def _counterexample(title: str, found: Counterexample) -> str:
    """Return an instance and the comparison it fails, spelled out."""
    given = "".join(
        f"<tr><th>{_math(name)}</th><td>{escape(spell(value))}</td></tr>"
        for name, value in found.instance.items()
    )
    return f"""<div class="counter"><p><b>{title}.</b> Take</p><table>{given}</table>
<p>Then {_sides(found.comparison)}.</p></div>"""


def _sides(comparison: Comparison) -> str:
    """Return both sides of a comparison, their values, and what is claimed of them."""
    left, right = _math(comparison.left_name), _math(comparison.right_name)
    found, other = escape(spell(comparison.left)), escape(spell(comparison.right))
    if isinstance(comparison.left, bool):
        values = f"“{left}”: <b>{found}</b>"
        if not right:
            return f"{values}, but the statement says {other}"
        return f"{values}, “{right}”: <b>{other}</b>, but the statement says that they agree"
    relation = escape(comparison.relation.value)
    sides = " and ".join(
        f"{name} = <b>{value}</b>"
        for name, value in ((left, found), (right, other))
        if name not in ("", value)
    )
    return f"{sides}, but the statement says {left} {relation} {right or other}"


def _badge(verdict: Verdict) -> str:
    """Return a verdict in its colour; the words say it too."""
    return f'<span class="verdict {verdict.name.lower()}">{verdict.value}</span>'


_GREEK = {
    "gamma": "γ", "theta": "θ", "lambda": "λ", "mu": "μ", "kappa": "κ", "rho": "ρ", "eta": "η",
    "sigma": "σ", "alpha": "α", "eps": "ε", "chi": "χ", "phi": "φ", "Theta": "Θ", "pi": "π",
    "prod": "Π",
}  # fmt: skip
_NAME = "|".join(_GREEK)
_LETTER = "A-Za-z0-9_"
# In a formula, not in a sentence such as "the sum of".
_SUM = re.compile(
    rf"(?<![{_LETTER}])(?<!the )(?<!The )(?<!\ba )(?<!\ban )"
    r"sum(?=_|[ (])(?! (?:to|of|is|are|over)\b)"
)
_SUBSCRIPT = re.compile(
    rf"(?<![{_LETTER}.])((?:{_NAME}|Σ|[A-Za-z∇]{{1,3}}|U\*|[a-z]+(?=_[ij]\b))[~']?)"
    rf"_(\{{[^{{}}]*\}}|[A-Za-z0-9∅]+)"
)
_POSITIVE_PART = re.compile(r"\)_\+")
_POWER = re.compile(r"\^(\([^()]*\)|-?\w+)")
_WORD = re.compile(rf"(?<![{_LETTER}])({_NAME})(?![{_LETTER}])")


def _math(text: str) -> str:
    """Return text as HTML with Greek letters, subscripts and powers.

    Examples
    --------
    >>> _math("(1/N) sum_i min(c_i, c_min + gamma), m 2^b")
    '(1/N) Σ<sub>i</sub> min(c<sub>i</sub>, c<sub>min</sub> + γ), m 2<sup>b</sup>'
    >>> _math("the sum of all u_i is -lambda p(y~_i)")
    'the sum of all u<sub>i</sub> is -λ p(y~<sub>i</sub>)'

    """

    def greek(match: re.Match[str]) -> str:
        return _GREEK[match[1]]

    def subscript(match: re.Match[str]) -> str:
        base = _GREEK.get(match[1], match[1])
        return f"{base}<sub>{_WORD.sub(greek, match[2].strip('{}'))}</sub>"

    marked = _SUM.sub("Σ", escape(text, quote=False))
    marked = _POSITIVE_PART.sub(")<sub>+</sub>", _SUBSCRIPT.sub(subscript, marked))
    marked = _POWER.sub(lambda match: f"<sup>{match[1].strip('()')}</sup>", marked)
    return _WORD.sub(greek, marked)


_STYLE = """
:root { color-scheme: light; --ink: #1b1b1f; --soft: #5c5f66; --line: #d9dbe0; --paper: #ffffff; }
body { margin: 0; font: 16px/1.5 "Source Serif 4", Georgia, "DejaVu Serif", serif;
  color: var(--ink); background: var(--paper); }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { margin: 3rem 0 1rem; border-bottom: 1px solid var(--line); }
h3 { margin: 0 0 .4rem; font-size: 1.05rem; }
.lead { font-size: 1.15rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td a { color: #0b57a4; white-space: nowrap; }
.verdict { font: 600 .78rem/1.5 system-ui, "DejaVu Sans", sans-serif; padding: .1rem .45rem;
  border-radius: .3rem; border: 1px solid; white-space: nowrap; }
.holds { color: #00563f; border-color: #009e73; }
.corrected { color: #7a4a00; border-color: #e69f00; }
.refuted { color: #8f2600; border-color: #d55e00; background: #fdf0ea; }
section { border-top: 1px solid var(--line); padding: 1.2rem 0; }
section:target { background: #fbf9ef; }
.statement { font-size: 1.1rem; margin: .2rem 0 .6rem; }
.line { margin: .15rem 0; padding-left: 5.5rem; text-indent: -5.5rem; }
.line span { display: inline-block; width: 5.5rem; text-indent: 0; color: var(--soft);
  font-size: .85rem; }
.counter { border-left: 3px solid #d55e00; padding: .2rem 0 .2rem 1rem; margin: .8rem 0; }
.counter p { margin: .2rem 0; }
.counter table { width: auto; margin: .3rem 0; }
.counter th { font-weight: normal; font-style: italic; }
figure { margin: 1.5rem 0; }
figure img { width: 100%; height: auto; }
figcaption { font-size: .92rem; color: var(--ink); }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { .line { padding-left: 0; text-indent: 0; } }
"""
