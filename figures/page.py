"""The gallery as one page: every picture with its caption and its commands."""

from __future__ import annotations

from html import escape
from pathlib import Path

from figures.pictures import PICTURES, Picture
from rrm_theory._files import write_atomically

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rockafellian toolkit: gallery</title>
<style>
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; }}
figure {{ margin: 3rem 0; }}
img {{ width: 100%; max-width: 650px; }}
code {{ background: #f2f2f2; padding: 0 .2em; }}
</style>
<h1>Gallery</h1>
<p>Every picture is drawn from committed results, or from the theory alone, by
<code>python -m figures --gallery</code>. To play with: <a href="explore.html">one re-weighting</a>,
by <code>python -m figures explore</code>.</p>
{figures}
</html>
"""
FIGURE = """<figure id="{name}">
<h2>{title}</h2>
<a href="{file}.png"><img src="{file}.png" alt="{title}"></a>
<figcaption>{caption} {made} (<a href="{file}.pdf">PDF</a>)</figcaption>
</figure>"""


def made_by(picture: Picture) -> str:
    """Return the sentence that names the commands, as Markdown."""
    if picture.results is None:
        return f"Drawn by `{picture.command}`."
    return f"Results of `{picture.results}`, drawn by `{picture.command}`."


def page() -> str:
    """Return the page."""
    return PAGE.format(figures="\n".join(map(_figure, PICTURES)))


def _figure(picture: Picture) -> str:
    """Return a picture's part of the page."""
    words = made_by(picture).split("`")
    made = "".join(
        f"<code>{escape(word)}</code>" if place % 2 else word for place, word in enumerate(words)
    )
    return FIGURE.format(
        name=picture.name,
        file=picture.file,
        title=escape(picture.title),
        caption=escape(picture.caption),
        made=made,
    )


def write(folder: Path) -> Path:
    """Write the page into the pictures' folder and return its path."""
    path = folder / "index.html"
    write_atomically(path, page().encode())
    return path
