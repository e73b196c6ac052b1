"""Record: what all JSON documents have in common, how one is read, and how one is written.

Unknown keys are kept, not refused: a later version may add some, and what is copied from one document into another
(the environment of a run into its report) must not lose them. Values are strict: text is no number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    ModelWrapValidatorHandler,
    PrivateAttr,
    RootModel,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.json_numbers import as_json

Number = int | float
"""A JSON number as it is written: 1 stays 1 and 1.0 stays 1.0, so that a copied document keeps its bytes."""
Content = TypeVar("Content")


def _as_read(value: Any) -> Any:
    """A value as JSON gives it back: what Python has as a tuple is a list."""
    if isinstance(value, list | tuple):
        return [_as_read(part) for part in value]
    return {key: _as_read(part) for key, part in value.items()} if isinstance(value, dict) else value


Plain = Annotated[JsonValue, BeforeValidator(_as_read)]
"""Any JSON value, of whatever shape."""


class Stored(BaseModel):
    """A model that may be a whole document: then it has the name of its file."""

    FILE: ClassVar[str] = ""


class Record(Stored):
    """One JSON object of a document, or a whole document where it has a FILE.

    Keys are written in the order in which they were given, and only those that were given: what is read and written
    again keeps its bytes. A field with a default is one that some version, or some kind of run, does not write, and
    that readers can do without.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True, protected_namespaces=())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        record = handler(data)
        if isinstance(data, dict):
            values = record.__dict__
            given = {name: values[name] for key in data if (name := _field_of(cls, key)) in values}
            object.__setattr__(record, "__dict__", {**given, **values})
        return record


class AnswerRecord(Record):
    """What a job returns, or a command prints with --json.

    Version 0.1.0 returned dictionaries. Its scripts keep working: `answer["run"]`, `answer.get("run")`,
    `"run" in answer`, `dict(answer)` and `{**answer}` read the keys of the JSON document. Keys without a field, such as
    tags that somebody gave a version, keep their place among the others.
    """

    _given: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        record = handler(data)
        if isinstance(data, dict):
            record._given = tuple(data)
        return record

    @model_serializer(mode="wrap")
    def _in_given_order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {key: document[key] for key in self._given if key in document} | document

    def keys(self) -> list[str]:
        """List the keys of the JSON document, in its order.

        Returns:
            The keys that are set.
        """
        return list(content(self))

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value by its key in the JSON document.

        Args:
            key: The key.
            default: What to return where the key is not set.

        Returns:
            The value, as the attribute has it.
        """
        name = _field_of(type(self), key)
        if name in type(self).model_fields:
            return getattr(self, name) if name in self.model_fields_set else default
        return (self.model_extra or {}).get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return self.get(key)


class ListRecord(Stored, RootModel[Content], Generic[Content]):
    """A document whose outermost value is a list, or an object with free keys."""

    model_config = ConfigDict(frozen=True, strict=True, defer_build=True)


AnyRecord = TypeVar("AnyRecord", bound=Stored)


def _field_of(kind: type[BaseModel], key: str) -> str:
    """Return the field of a JSON key: keys that Python or pydantic reserves have an alias."""
    return next((name for name, field in _aliased(kind) if field == key), key)


def _aliased(kind: type[BaseModel]) -> list[tuple[str, str]]:
    if "_aliases" not in kind.__dict__:
        pairs = [(name, field.alias) for name, field in kind.model_fields.items() if field.alias]
        type.__setattr__(kind, "_aliases", pairs)
    return list(kind.__dict__["_aliases"])


def content(record: Stored) -> Any:
    """Return a record as the plain JSON value that its file contains.

    Args:
        record: The record.

    Returns:
        A dictionary, or a list for a `ListRecord`. Only what was given when the record was made is in it.
    """
    return record.model_dump(by_alias=True, exclude_unset=True)


def read_record(
    kind: type[AnyRecord], path: Path, code: str = "DOCUMENT_INVALID", absent: str = "PATH_NOT_FOUND"
) -> AnyRecord:
    """Read the record in a JSON file.

    Args:
        kind: The model of the record.
        path: The file.
        code: Error code for a file that is damaged or does not fit the model.
        absent: Error code for a missing file.

    Returns:
        The record.

    Raises:
        XmedError: `code`, or `absent`.
    """
    return parse(kind, documents.read_json(path, code, absent=absent), str(path), code)


def parse(kind: type[AnyRecord], value: Any, name: str, code: str = "DOCUMENT_INVALID") -> AnyRecord:
    """Make a record of a plain JSON value.

    Args:
        kind: The model of the record.
        value: The value, or another record with the same keys.
        name: Where the value comes from, for messages.
        code: Error code for a value that does not fit the model.

    Returns:
        The record.

    Raises:
        XmedError: `code`.
    """
    try:
        return kind.model_validate(content(value) if isinstance(value, Stored) else value)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        what = f"lacks '{place}'" if first["type"] == "missing" else f"{place}: {first['msg']}"
        raise XmedError(code, f"{name}: {what}"[:400], "the document as xmed writes it") from problem
    except RecursionError as problem:
        raise XmedError(
            code, f"{name}: parts in one another without end", "the document as xmed writes it"
        ) from problem


def write(record: Stored, path: Path, *, indent: int | None = 1, ensure_ascii: bool = True) -> None:
    """Write a record as JSON, atomically, with null in place of NaN and infinities.

    Args:
        record: The record.
        path: The file.
        indent: Spaces per level of nesting; None writes one line.
        ensure_ascii: Whether to write other characters than ASCII as escapes.
    """
    write_atomically(path, as_json(content(record), indent=indent, ensure_ascii=ensure_ascii))
