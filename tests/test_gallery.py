"""The gallery: every picture is what committed results give, and says what to see."""

import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.demo import demo_store
from experiments.store import RESULTS
from figures.__main__ import GALLERY, KNOWN, main
from figures.page import made_by, page
from figures.pictures import PICTURES
from figures.style import save

mpl.use("agg")

README = (Path(__file__).parent.parent / "README.md").read_text()
# Of the pixels: a mark of the smallest size is more.
MAY_DIFFER = 1e-4


class Images(HTMLParser):
    """Sources of images, and all links."""

    def __init__(self, text):
        """Read a page."""
        super().__init__()
        self.images, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Take note of an image or a link."""
        found = dict(attrs)
        if tag == "img":
            self.images.append((found["src"], found["alt"]))
        if tag == "a":
            self.links.append(found["href"])


@pytest.mark.parametrize("one", PICTURES, ids=lambda one: one.name)
def test_a_picture_is_what_committed_results_draw(one, tmp_path):
    """Python -m figures NAME, pixel by pixel."""
    figure = one.draw(demo_store(RESULTS, RESULTS))
    drawn, committed = save(figure, tmp_path, one.file)[0], GALLERY / f"{one.file}.png"
    plt.close(figure)
    ours, theirs = plt.imread(drawn), plt.imread(committed)
    assert ours.shape == theirs.shape
    assert np.mean((ours != theirs).any(axis=2)) <= MAY_DIFFER
    assert (GALLERY / f"{one.file}.pdf").read_bytes()[:4] == b"%PDF"


def test_nothing_else_is_in_the_gallery():
    """No picture whose command has gone."""
    files = {f"{one.file}.{suffix}" for one in PICTURES for suffix in ("png", "pdf")}
    assert {path.name for path in GALLERY.iterdir()} == files | {"explore.html", "index.html"}


def test_the_page_shows_every_picture_with_its_caption_and_commands():
    """In order, without a link that leads nowhere."""
    text = (GALLERY / "index.html").read_text()
    assert text == page()
    found = Images(text)
    assert [src for src, _ in found.images] == [f"{one.file}.png" for one in PICTURES]
    assert [alt for _, alt in found.images] == [one.title for one in PICTURES]
    assert all((GALLERY / link).is_file() for link in found.links)
    plain = re.sub(r"<[^>]+>", "", text)
    for one in PICTURES:
        assert f"python -m figures {one.name}" in plain
        assert one.results is None or one.results in plain


def test_every_picture_has_a_name_and_a_file_of_its_own():
    """And a caption that is a sentence, under a title that is none."""
    assert len({one.file for one in PICTURES}) == len(KNOWN) == len(PICTURES)
    assert all(one.caption.endswith(".") for one in PICTURES)
    assert not any(one.title.endswith(".") for one in PICTURES)


def test_readme_shows_six_of_them_with_their_captions():
    """Title, caption and commands, to the character."""
    shown = re.findall(r"!\[(.*)\]\(figures/gallery/(.*)\.png\)\n\n(.*)\n", README)
    assert len(shown) == len(re.findall(r"!\[", README)) == 6
    known = {one.file: one for one in PICTURES}
    for title, file, caption in shown:
        one = known[file]
        assert (title, caption) == (one.title, f"{one.caption} {made_by(one)}")


def test_gallery_stands_for_everything(tmp_path, capsys):
    """A figure beside it is refused; without results the first missing one is named."""
    with pytest.raises(SystemExit):
        main(["--gallery", "face"])
    assert "--gallery draws everything; 'face' is part of it" in capsys.readouterr().err
    assert main(["--gallery", "--results", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "run python -m experiments demo first" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()


def test_gallery_draws_everything_and_writes_the_page(tmp_path, capsys, monkeypatch):
    """Of stand-ins here; the pictures themselves are compared above."""
    drawn = []
    monkeypatch.setattr("figures.__main__._make", lambda name, *_: drawn.append(name) or [])
    assert main(["--gallery", "--output", str(tmp_path)]) == 0
    assert drawn == [*KNOWN, "explore"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "index.html")]
    assert (tmp_path / "index.html").read_text() == page()
