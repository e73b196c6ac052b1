"""Render: HTML from templates, in which every string is escaped and every number can be traced to the document.

The functions below `traced` are the filters of the templates: each writes one kind of value as people read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

Keys = Sequence[str | int]
"""Keys and indices from the root of a document to one value."""
NONE = "–"
"""What is written for null."""


@cache  # compiling the templates takes longer than drawing a page
def drawing(*packages: str, folders: tuple[Path, ...] = ()) -> Environment:
    """Return the environment in which a page is drawn: every string is escaped, and an undefined name is an error.

    Args:
        packages: Packages with a folder `templates`, looked up in this order; those of xmed.html come last.
        folders: Folders with further templates, looked up before xmed.html.
    """
    loaders = [*map(PackageLoader, packages), FileSystemLoader(folders), PackageLoader("xmed.html")]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        **FORMS,
        "span": span,
        "word": word,
        "initial": initial,
        "commands": commands,
        "ranges": ranges,
    }
    return environment


def text_of_template(environment: Environment, name: str) -> str:
    """Return a template's text as it stands in its file."""
    assert isinstance(environment.loader, BaseLoader)
    return environment.loader.get_source(environment, name)[0]


def traced(report: dict[str, Any]) -> Callable[..., Markup]:
    """Return the function `at(keys, form, digits)` with which templates write a number of the document.

    `at` writes the value at these keys in one of FORMS, within an element that names the value's JSON Pointer. So a
    number with a data-json-path cannot differ from the document's.
    """

    def at(keys: Keys, form: str = "number", *digits: Any) -> Markup:
        value: Any = report
        for key in keys:
            value = value[key]
        text = span(value, form, *digits) if isinstance(value, list) else FORMS[form](value, *digits)
        return Markup('<span data-json-path="{}">{}</span>').format(_pointer(keys), text)

    return at


def _pointer(keys: Keys) -> str:
    """A JSON Pointer (RFC 6901): /summary/adapted/prostate/dice/mean."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with fixed decimals and a true minus sign; never minus zero, and a dash for null."""
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign, unless it rounds to zero."""
    text = number(value, digits)
    return text if value is None or value < 0 or float(text) == 0 else "+" + text


def percent(value: float | None, digits: int = 0) -> str:
    """Return a share as percent."""
    return NONE if value is None else f"{100 * value:.{digits}f} %".replace("-", "−")


def chance(p: float | None) -> str:
    """Return a p-value with three decimals; "< 0.001" where it would be 0.000."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else number(p, 3)


def weighed(p: float | None, limit: float) -> str:
    """Return a p-value with so many decimals that it is not rounded to the other side of `limit`."""
    text = chance(p)
    if p is None or text.startswith("<"):
        return text
    digits = 3
    while digits < 12 and (float(text) <= limit) != (p <= limit):
        digits += 1
        text = number(p, digits)
    return text


def short(value: float | None) -> str:
    """Return a measurement with four significant figures and without an exponent: 65535, 12.35, 0.00001235."""
    if value is None:
        return NONE
    if abs(value) >= 1000:
        return number(value, 0)
    text = format(Decimal(f"{value:.4g}"), "f")
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def plain(value: Any) -> str:
    """Return any value of a JSON document as short readable text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


FORMS: dict[str, Callable[..., str]] = {
    "number": number,
    "signed": signed,
    "percent": percent,
    "chance": chance,
    "weighed": weighed,
    "short": short,
    "plain": plain,
}


def span(ci: list[float] | None, form: str = "number", digits: int | None = None) -> str:
    """Return an interval as text, empty where there is none."""
    if ci is None or None in ci:
        return ""
    write = FORMS[form]
    low, high = (write(end) if digits is None else write(end, digits) for end in ci)
    return f"{low} to {high}"


def ranges(ends: dict[str, list[float]], digits: int) -> str:
    """Return the lowest and highest value of each axis, one number where both are written alike.

    For example 1.41–1.55 × 1.41–1.55 × 3.00.

    Args:
        ends: `min` and `max`, a value per axis each.
        digits: Decimals.
    """
    parts = []
    for lowest, highest in zip(ends["min"], ends["max"]):
        low, high = number(lowest, digits), number(highest, digits)
        parts.append(low if low == high else f"{low}–{high}")
    return " × ".join(parts)


def word(name: str) -> str:
    """Return a name of the data as people write it: without underscores."""
    return name.replace("_", " ")


def commands(text: str) -> Markup:
    """Return a sentence in which `a command` stands between backticks, with the command as code."""
    parts = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def initial(text: str) -> str:
    """Return a sentence with its first letter in upper case; the rest stays, so names keep their capitals."""
    return text[:1].upper() + text[1:]
