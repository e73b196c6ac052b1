"""Strict: the base class of every part of a spec, the types of its values, and a sentence for each wrong key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=200)]
"""A name that can be used as a file name with an ending; file systems allow 255 bytes."""
Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""A number of steps, patients or images."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that NumPy and torch both accept."""
Edge = Annotated[int, Field(ge=1, le=1 << 14)]
"""Voxels along one axis; whole-body CT in half-millimetre slices has 4,000."""
Millimetres = Annotated[float, Field(ge=1e-3, le=1e3, allow_inf_nan=False)]
"""A length in mm, from a micrometre to a metre."""
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Share = Annotated[float, Field(gt=0, lt=1)]
"""A share strictly between 0 and 1."""
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
"""Type of pydantic error → what is expected; other types keep pydantic's own message."""
PATTERNS = {
    NAME: "letters, digits, '.', '_' and '-', the first a letter or digit",
    r"^[A-Z]{2,4}$": "a DICOM modality in capital letters, such as MR, CT, PT or US",
    r"^https://[^/\s]+/\S+$": "an address that begins with https://",
    r"^[0-9a-f]{64}$": "a sha256: 64 hexadecimal digits",
}
PERSONAL = ("splits", "pacs")
"""Values below these keys may name patients, so messages do not quote them."""
Place = tuple[int | str, ...]
"""The keys and indices that lead to a value of a document."""


class Strict(BaseModel):
    """A part of a spec: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def validation_messages(problem: ValidationError, model: type[BaseModel], given: Any) -> list[str]:
    """Describe each wrong key of a document: where it is, its value, and what is expected.

    Args:
        problem: What pydantic found.
        model: The model of the document.
        given: The document as it was read.

    Returns:
        One sentence for each wrong key.
    """
    messages: dict[str, tuple[str, list[str]]] = {}
    for error in problem.errors():
        place = _place_in_file(error["loc"], given, error["type"] in ("missing", "extra_forbidden"))
        head, expected = _describe(error, place, model)
        _, alternatives = messages.setdefault(".".join(map(str, place)) or "document", (head, []))
        if expected and expected not in alternatives:
            alternatives.append(expected)  # a key that allows several types has one for each
    return [f"{where}: {head}{' or '.join(expected)}" for where, (head, expected) in messages.items()]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Suggest a name for a misspelled one.

    Args:
        name: A misspelled name.
        names: The names that there are.

    Returns:
        The text "; did you mean …?" with the most similar name, or an empty text.
    """
    by_lower_case = {candidate.lower(): candidate for candidate in names}
    similar = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.7)
    return f"; did you mean '{by_lower_case[similar[0]]}'?" if similar else ""


def _describe(error: ErrorDetails, place: Place, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong, and what is expected instead."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "is missing", ""
    if kind == "extra_forbidden":
        keys = sorted(_keys(model, place[:-1]))
        suggestion = did_you_mean(str(place[-1]), keys)
        return "no such key" + (suggestion or f"; there are {', '.join(keys)}"), ""
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
        allowed = context["expected"].replace(" or ", ", ").split(", ")
        expected += did_you_mean(value, [word.strip("'") for word in allowed])
    return f"{_value(value, place)} stands there, expected is ", expected


def _value(value: Any, place: Place) -> str:
    if isinstance(value, dict | list | tuple):
        return "a list" if isinstance(value, list | tuple) else "a mapping"
    if value is None:
        return "nothing"
    return "a value" if place[:1] and place[0] in PERSONAL else repr(value)[:60]


def _place_in_file(place: Sequence[int | str], given: Any, named: bool) -> Place:
    """The part of pydantic's location that is in the file; pydantic inserts names of union members."""
    in_file: list[int | str] = []
    for number, part in enumerate(place):
        last = number == len(place) - 1
        if isinstance(given, dict):
            key = next((key for key in given if key == part or str(key) == str(part)), None)
            exists = key is not None
        else:
            key, exists = part, isinstance(given, list) and isinstance(part, int) and part < len(given)
        if exists:
            in_file.append(part)
            given = given[key]
        elif (last and named) or (not isinstance(given, dict | list) and isinstance(part, int)):
            in_file.append(part)
    return tuple(in_file)


def _keys(model: type[BaseModel], place: Place) -> set[str]:
    """The keys that are allowed at a place of a document."""
    models = [model]
    for part in place:
        fields = [kind.model_fields[part] for kind in models if part in kind.model_fields]
        models = [kind for field in fields for kind in _models(field.annotation)] if fields else models
    return {name for kind in models for name in kind.model_fields}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
