"""What a reader sees of an HTML page: its visible words, its tiles, the rows of its tables."""

import re
from html.parser import HTMLParser

NUMBER = re.compile(r"[−-]?\d+(?:\.\d+)?")
UNSEEN = {"style", "script", "svg", "code", "pre", "title"}
VOID = {"meta", "br", "input", "img", "link", "hr"}


class Page(HTMLParser):
    """words: what is seen, without code and drawings. tiles: {label: text}. rows: cells of every table row, by section."""

    def __init__(self, text):
        super().__init__()
        self.words, self.tiles, self.rows, self.sections = "", {}, [], {}
        self._open, self._section, self._cells, self._label = [], "", None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self._open.append((tag, attrs))
        if tag == "section":
            self._section = attrs.get("id", "")
        if tag == "tr":
            self._cells = []
        if tag in ("td", "th") and self._cells is not None:
            self._cells.append("")
        if tag in ("p", "li", "td", "th", "dt", "dd", "h2", "h3", "div", "br", "tr", "span"):
            self._say(" ")
        if tag == "dt":
            self._label = ""

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag == "tr" and self._cells is not None:
            self.rows.append((self._section, [" ".join(cell.split()) for cell in self._cells]))
            self._cells = None
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        self._say(data)

    def _say(self, data):
        tags = [tag for tag, _ in self._open]
        if UNSEEN & set(tags):
            return
        self.words += data
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if self._cells:
            self._cells[-1] += data
        if "dt" in tags and self._label is not None:
            self._label += data
        if "dd" in tags and any(attrs.get("class") == "strip" for _, attrs in self._open):
            label = " ".join((self._label or "").split())
            self.tiles[label] = self.tiles.get(label, "") + data


def numbers(text):
    return [float(one.replace("−", "-")) for one in NUMBER.findall(text)]


def seen(path_or_text):
    text = path_or_text if isinstance(path_or_text, str) else path_or_text.read_text(encoding="utf-8")
    return Page(text)
