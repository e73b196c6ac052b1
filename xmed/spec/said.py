"""Said: what is wrong with a spec, key by key as they stand in the file, in words that tell what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from xmed.spec.strict import NAME

EXPECTED = {
    "string_type": 'text; in quotes where it looks like a number: "001"',
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of credible size",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a finite number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "list_type": "a list", "tuple_type": "a list", "dict_type": "keys and their values",
    "model_type": "keys and their values", "model_attributes_type": "keys and their values",
    "greater_than": "more than {gt}", "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}", "less_than_equal": "{le} or less",
    "literal_error": "one of {expected}", "enum": "one of {expected}",
    "too_short": "at least {min_length} of them, not {actual_length}",
    "too_long": "at most {max_length} of them, not {actual_length}",
    "string_too_short": "text that is not empty", "string_too_long": "at most {max_length} letters",
}  # fmt: skip
"""By pydantic's kind of error; what is not here keeps pydantic's own sentence."""
PATTERNS = {
    NAME: "letters, digits, '.', '_' and '-', the first a letter or digit",
    r"^[A-Z]{2,4}$": "a DICOM modality in capital letters, such as MR, CT, PT or US",
    r"^https://[^/\s]+/\S+$": "an address that begins with https://",
    r"^[0-9a-f]{64}$": "a sha256: 64 hexadecimal digits",
}
PERSONAL = ("splits", "pacs")
"""Below these keys stand names of patients: messages do not repeat them."""
Place = tuple[int | str, ...]


def sentences(problem: ValidationError, model: type[BaseModel], given: Any) -> list[str]:
    """One sentence for each key that is wrong: where, what stands there, what is expected.

    model: what the document should be. given: the document as it was read.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for error in problem.errors():
        place = _written(error["loc"], given, error["type"] in ("missing", "extra_forbidden"))
        head, expected = _told(error, place, model)
        known = found.setdefault(".".join(map(str, place)) or "document", (head, []))
        if expected and expected not in known[1]:
            known[1].append(expected)  # of a key that may be of several kinds, one for each
    return [f"{where}: {head}{' or '.join(expected)}" for where, (head, expected) in found.items()]


def meant(name: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" for a misspelled name, nothing where no known one is near."""
    near = difflib.get_close_matches(name.lower(), {one.lower(): one for one in known}, n=1, cutoff=0.7)
    spelled = {one.lower(): one for one in known}
    return f"; did you mean '{spelled[near[0]]}'?" if near else ""


def _told(error: ErrorDetails, place: Place, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong, and what is expected in its place."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "is missing", ""
    if kind == "extra_forbidden":
        known = sorted(_keys(model, place[:-1]))
        near = meant(str(place[-1]), known)
        return "no such key" + (near or f"; there are {', '.join(known)}"), ""
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"])), ""
    if kind == "string_pattern_mismatch":
        expected = PATTERNS.get(context["pattern"], f"text like {context['pattern']}")
    elif kind in EXPECTED:
        expected = EXPECTED[kind].format(**context)
    else:
        expected = error["msg"]
    value = error["input"]
    if kind == "literal_error" and isinstance(value, str):
        expected += meant(value, [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")])
    return f"{_value(value, place)} stands there, expected is ", expected


def _value(value: Any, place: Place) -> str:
    if isinstance(value, dict | list | tuple):
        return "a list" if isinstance(value, list | tuple) else "a mapping"
    if value is None:
        return "nothing"
    return "a value" if place[:1] and place[0] in PERSONAL else repr(value)[:60]


def _written(place: Sequence[int | str], given: Any, named: bool) -> Place:
    """The keys of a place that stand in the file; pydantic puts names of its own kinds between them."""
    out: list[int | str] = []
    for number, part in enumerate(place):
        last = number == len(place) - 1
        if isinstance(given, dict):
            key = next((key for key in given if key == part or str(key) == str(part)), None)
            there = key is not None
        else:
            key, there = part, isinstance(given, list) and isinstance(part, int) and part < len(given)
        if there:
            out.append(part)
            given = given[key]
        elif (last and named) or (not isinstance(given, dict | list) and isinstance(part, int)):
            out.append(part)
    return tuple(out)


def _keys(model: type[BaseModel], place: Place) -> set[str]:
    """The keys that may stand at a place of a document."""
    models = [model]
    for part in place:
        fields = [one.model_fields[part] for one in models if part in one.model_fields]
        models = [kind for field in fields for kind in _models(field.annotation)] if fields else models
    return {name for one in models for name in one.model_fields}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
