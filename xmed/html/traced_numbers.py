"""Traced numbers: the numbers that a page shows, compared with the document that it says they come from."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

TRACED = re.compile(r'<span data-json-path="([^"]*)">([^<]*)</span>')
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def shown_problems(page: str, report: Mapping[str, JsonValue]) -> list[str]:
    """Return where a traced number of report.html differs from report.json, beyond the digits it is shown with.

    Nothing but the two files is needed. So an edited page is found even where every digest was adapted to it.

    Args:
        page: The text of report.html, or a part of it.
        report: The document.

    Returns:
        One line for each difference; empty where there is none.
    """
    problems = []
    for pointer, element in TRACED.findall(page):
        path, text = html.unescape(pointer), html.unescape(element).strip()
        try:
            value = _value_at(report, path)
        except (KeyError, IndexError, ValueError, TypeError):
            problems.append(f"report.html: {path} is shown, and not in report.json")
            continue
        if not _agrees(text, value):
            problems.append(f"report.html: {path} is shown as {text}, and is {value} in report.json")
    return problems


def _value_at(document: Any, pointer: str) -> Any:
    """The value at a JSON Pointer (RFC 6901)."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def _agrees(text: str, value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    expected = [number for number in values if isinstance(number, int | float)]
    if isinstance(value, bool) or not expected:
        return True  # words, yes and no, and dashes: the manifest answers for them
    if text.startswith("<") and len(expected) == 1:
        return bool(expected[0] < float(NUMBER.findall(text)[0]))
    written = NUMBER.findall(text.replace("−", "-").replace("\u2009", ""))
    return len(written) == len(expected) and all(_rounds(digits, number) for digits, number in zip(written, expected))


def _rounds(text: str, value: float) -> bool:
    """Whether a number, or its percentage, may be written so."""
    mantissa, _, power = text.partition("e")
    digits = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(power or 0) - digits)
    return any(abs(float(text) - scale * value) <= 0.5 * unit * (1 + 1e-9) + 1e-12 for scale in (1, 100))
