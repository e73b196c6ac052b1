"""Traced numbers: the numbers that a page shows, each held against the document that it says it comes from."""

from __future__ import annotations

import html
import re
from typing import Any

TRACED = re.compile(r'<span data-json-path="([^"]*)">([^<]*)</span>')
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def shown_problems(page: str, report: dict[str, Any]) -> list[str]:
    """Where a traced number of report.html differs from report.json, beyond the digits it is shown with.

    This needs nothing but the two files: it finds an edited page also where every digest was made to fit.
    """
    problems = []
    for pointer, text in TRACED.findall(page):
        path, said = html.unescape(pointer), html.unescape(text).strip()
        try:
            value = _at(report, path)
        except (KeyError, IndexError, ValueError, TypeError):
            problems.append(f"report.html: {path} is shown, and not in report.json")
            continue
        if not _agrees(said, value):
            problems.append(f"report.html: {path} is shown as {said}, and is {value} in report.json")
    return problems


def _at(report: Any, pointer: str) -> Any:
    """The value at a JSON Pointer (RFC 6901)."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        report = report[int(key)] if isinstance(report, list) else report[key]
    return report


def _agrees(said: str, value: Any) -> bool:
    expected = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int | float)]
    if isinstance(value, bool) or not expected:
        return True  # words, yes and no, and dashes: the manifest answers for them
    if said.startswith("<") and len(expected) == 1:
        return bool(expected[0] < float(NUMBER.findall(said)[0]))
    found = NUMBER.findall(said.replace("−", "-").replace("\u2009", ""))
    return len(found) == len(expected) and all(_rounds(text, number) for text, number in zip(found, expected))


def _rounds(text: str, value: float) -> bool:
    """Whether a number, or its percentage, may be written so."""
    mantissa, _, power = text.partition("e")
    digits = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(power or 0) - digits)
    return any(abs(float(text) - scale * value) <= 0.5 * unit * (1 + 1e-9) + 1e-12 for scale in (1, 100))
