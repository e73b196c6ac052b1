"""Documents: JSON and YAML that others wrote, refused where their size, depth, numbers or characters are not credible.

Size and depth are checked before a document is parsed: parsers written in C end the process at too many nested
brackets, and aliases of YAML can multiply a document. Every error of a parser becomes an XmedError. YAML is that of
1.2: its core schema (10.3) has no dates and no tags of Python; JSON is that of RFC 8259: no NaN, names given once
(section 4), text in UTF-8 (8.1).
"""

from __future__ import annotations

import csv
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from xmed.errors import XmedError
from xmed.files.document_limits import (
    finite_number,
    refuse_constant,
    refuse_depth,
    refuse_events,
    refuse_size,
    unique_members,
    whole_number,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

MAX_YAML = 4 << 20
"""Bytes of a YAML file; the names of 100,000 patients take 2 MB."""
MAX_JSON = 256 << 20
"""Bytes of a JSON file; rows.json of 5,000 patients, 10 structures and 5 arms takes 100 MB."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_DAMAGED = (csv.Error, zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError)
"""What tables and archives of arrays (.npz) raise beside ValueError."""


def read_json(path: Path, code: str = "DOCUMENT_INVALID", most: int = MAX_JSON, absent: str = "PATH_NOT_FOUND") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        code: Error code for a file that is damaged or too large.
        most: The largest size in bytes.
        absent: Error code for a missing file.

    Returns:
        The value that it contains.

    Raises:
        XmedError: `code` or `absent`.
    """
    return parse_json(_bytes(path, code, most, absent), str(path), code, most)


def read_mapping(path: Path, code: str = "DOCUMENT_INVALID") -> dict[str, JsonValue]:
    """Read a JSON file that contains an object.

    Args:
        path: The file.
        code: Error code for a file that is damaged or contains something else.

    Returns:
        Key → value.

    Raises:
        XmedError: `code`, and PATH_NOT_FOUND where there is no such file.
    """
    return mapping(read_json(path, code), str(path), code)


def parse_json(data: bytes | str, name: str, code: str = "DOCUMENT_INVALID", most: int = MAX_JSON) -> Any:
    """Parse JSON text.

    Args:
        data: The text; bytes are UTF-8.
        name: Where it comes from, for messages.
        code: Error code for text that is no JSON, or too large.
        most: The largest size in bytes.

    Returns:
        The value that it contains.

    Raises:
        XmedError: `code`.
    """
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    with guarded(name, code, "a JSON document (RFC 8259)"):
        refuse_size(len(data), most)
        refuse_depth(data)
        value = json.loads(
            data.decode("utf-8-sig"),
            parse_constant=refuse_constant,
            parse_float=finite_number,
            parse_int=whole_number,
            object_pairs_hook=unique_members,
        )
        if b"\\u" in data:  # UTF-8 itself cannot hold half of a pair, nor JSON a control character
            refuse_characters(value, _UNWRITABLE)
        return value


def read_yaml(path: Path, code: str = "SPEC_INVALID", absent: str = "SPEC_NOT_FOUND") -> Any:
    """Read a YAML file of one document; text that looks like a date stays text.

    Args:
        path: The file.
        code: Error code for a file that is damaged or too large.
        absent: Error code for a missing file.

    Returns:
        The value that it contains.

    Raises:
        XmedError: `code` or `absent`.
    """
    data = _bytes(path, code, MAX_YAML, absent)
    with guarded(str(path), code, "a YAML document"):
        text = data.decode("utf-8-sig")
        refuse_events(text)
        # ruamel reads YAML 1.2: 1e-3 is a number, `no` is a string, a key given twice is an error. PyYAML does none.
        reader = YAML(typ="safe")
        reader.Constructor = _Core
        value = reader.load(text)
        refuse_characters(value)
        return value


def mapping(value: Any, name: str, code: str = "DOCUMENT_INVALID") -> dict[str, JsonValue]:
    """Check that a value is a mapping of text to values.

    Args:
        value: What was read.
        name: Where it comes from, for messages.
        code: Error code for any other value.

    Returns:
        The value.

    Raises:
        XmedError: `code`.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        what = f"a {type(value).__name__}" if not isinstance(value, dict) else "a key that is no text"
        raise XmedError(code, f"{name}: {what}", "a mapping of keys to values")
    return value


def refuse_characters(value: Any, bad: re.Pattern[str] = _CONTROL) -> None:
    """Refuse a document with control characters or halves of surrogate pairs in any text.

    No name and no address has them. Terminals obey control characters, and no file can be written with half a pair.

    Args:
        value: The document.
        bad: Matches the characters that are refused.

    Raises:
        ValueError: Where there is one.
    """
    waiting, visited = [value], set[int]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            if character := bad.search(part):
                raise ValueError(f"the control character U+{ord(character[0]):04X} in a text")
        elif isinstance(part, dict | list) and id(part) not in visited:
            visited.add(id(part))
            waiting += [*part, *part.values()] if isinstance(part, dict) else part


@contextmanager
def guarded(name: str, code: str, expected: str, do: str = "") -> Iterator[None]:
    """Turn what a parser, or code that takes a document apart, raises in the block into an XmedError.

    Args:
        name: The document, for messages.
        code: The error code.
        expected: What would have been right, for messages.
        do: How to fix it, for messages.

    Yields:
        Nothing.

    Raises:
        XmedError: `code`. An XmedError or OSError of the block stays as it is.
    """
    try:
        yield
    except (XmedError, OSError):
        raise
    except UnicodeDecodeError as problem:
        raise XmedError(
            code, f"{name}: byte {problem.start} is no text in UTF-8", expected, "save it as UTF-8"
        ) from problem
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        what = ": ".join(part for part in (problem.context, problem.problem) if part)
        raise XmedError(code, f"{name}: {what}{where}", expected, do) from problem
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise XmedError(code, f"{name}: {problem.msg} ({where})", expected, do) from problem
    except RecursionError as problem:
        raise XmedError(code, f"{name}: parts in one another without end", expected, do) from problem
    except (KeyError, TypeError, AttributeError, IndexError) as problem:  # of another shape
        what = f"lacks {problem}" if isinstance(problem, KeyError) else "is of another shape"
        raise XmedError(code, f"{name} {what}", expected, do) from problem
    except (ValueError, ArithmeticError, MemoryError, YAMLError, AssertionError, *_DAMAGED) as problem:
        what = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise XmedError(code, f"{name}: {what}", expected, do) from problem


class _Core(SafeConstructor):
    """The core schema: what looks like a date is text."""


_Core.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def _bytes(path: Path, code: str, most: int, absent: str) -> bytes:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
            raise XmedError(absent, f"{path} is no ordinary file", "a file")
        if facts.st_size > most:
            raise XmedError(code, f"{path} has {facts.st_size} bytes", f"{most} at most")
        with path.open("rb") as file:
            return file.read(most + 1)  # it may grow meanwhile
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "a NUL in its name"
        raise XmedError(absent, f"{path}: {why}", "a file that can be read") from problem
