"""Render: HTML from templates, in which every string is escaped and every number can be traced to the document.

The functions below `traced` are the filters of the templates: each writes one kind of value as people read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from pydantic import JsonValue

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

    Returns:
        The environment, with the functions of this module as filters.
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
    """Return a template's text as it stands in its file.

    Args:
        environment: The environment that finds the template.
        name: Name of the template.

    Returns:
        The text, not rendered.
    """
    assert isinstance(environment.loader, BaseLoader)
    return environment.loader.get_source(environment, name)[0]


def traced(document: Mapping[str, JsonValue]) -> Callable[..., Markup]:
    """Return the function `at(keys, form, digits)` with which templates write a number of a document.

    `at` writes the value at these keys in one of FORMS, within an element that names the value's JSON Pointer. So a
    number with a data-json-path cannot differ from the document's.

    Args:
        document: The JSON document that the page shows.

    Returns:
        The function `at`; it returns HTML.
    """

    def at(keys: Keys, form: str = "number", *digits: Any) -> Markup:
        value: Any = document
        for key in keys:
            value = value[key]
        text = span(value, form, *digits) if isinstance(value, list) else FORMS[form](value, *digits)
        return Markup('<span data-json-path="{}">{}</span>').format(_pointer(keys), text)

    return at


def _pointer(keys: Keys) -> str:
    """A JSON Pointer (RFC 6901): /summary/adapted/prostate/dice/mean."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def number(value: float | None, digits: int = 2) -> str:
    """Write a number with fixed decimals and a true minus sign.

    Args:
        value: The number, or None.
        digits: Decimals.

    Returns:
        The text; never minus zero, and a dash for None.
    """
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """Write a number with its sign.

    Args:
        value: The number, or None.
        digits: Decimals.

    Returns:
        The text; without a sign where the number rounds to zero, and a dash for None.
    """
    text = number(value, digits)
    return text if value is None or value < 0 or float(text) == 0 else "+" + text


def percent(value: float | None, digits: int = 0) -> str:
    """Write a share as percent.

    Args:
        value: The share, 0 to 1, or None.
        digits: Decimals of the percentage.

    Returns:
        The text, a dash for None.
    """
    return NONE if value is None else f"{100 * value:.{digits}f} %".replace("-", "−")


def chance(p: float | None) -> str:
    """Write a p-value with three decimals.

    Args:
        p: The p-value, or None.

    Returns:
        The text; "< 0.001" where it would be 0.000, and a dash for None.
    """
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else number(p, 3)


def weighed(p: float | None, limit: float) -> str:
    """Write a p-value with so many decimals that it is not rounded to the other side of a limit.

    Args:
        p: The p-value, or None.
        limit: The limit that it is compared with.

    Returns:
        The text, with three decimals or more; a dash for None.
    """
    text = chance(p)
    if p is None or text.startswith("<"):
        return text
    digits = 3
    while digits < 12 and (float(text) <= limit) != (p <= limit):
        digits += 1
        text = number(p, digits)
    return text


def short(value: float | None) -> str:
    """Write a measurement with four significant figures and without an exponent: 65535, 12.35, 0.00001235.

    Args:
        value: The measurement, or None.

    Returns:
        The text, a dash for None.
    """
    if value is None:
        return NONE
    if abs(value) >= 1000:
        return number(value, 0)
    text = format(Decimal(f"{value:.4g}"), "f")
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def plain(value: Any) -> str:
    """Write any value of a JSON document as short readable text.

    Args:
        value: The value.

    Returns:
        The text: a dash for null, yes or no, numbers with four significant figures, the items of a list with commas.
    """
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
    """Write an interval.

    Args:
        ci: Lower and upper limit, or None.
        form: The form of both limits, a key of FORMS.
        digits: Decimals; None for the form's own.

    Returns:
        "low to high", empty where there is no interval.
    """
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

    Returns:
        The text, an axis after the other.
    """
    parts = []
    for lowest, highest in zip(ends["min"], ends["max"]):
        low, high = number(lowest, digits), number(highest, digits)
        parts.append(low if low == high else f"{low}–{high}")
    return " × ".join(parts)


def word(name: str) -> str:
    """Write a name of the data as people do.

    Args:
        name: The name, for example of a structure.

    Returns:
        The name with spaces in place of underscores.
    """
    return name.replace("_", " ")


def commands(text: str) -> Markup:
    """Mark up the commands in a sentence.

    Args:
        text: A sentence in which `a command` stands between backticks.

    Returns:
        HTML with each command as code; the rest is escaped.
    """
    parts = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def initial(text: str) -> str:
    """Begin a sentence with a capital letter.

    Args:
        text: The sentence.

    Returns:
        The sentence; the rest stays as it is, so that names keep their capitals.
    """
    return text[:1].upper() + text[1:]
