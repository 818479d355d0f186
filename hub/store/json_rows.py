"""Rows of the store as JSON objects with a version.

1. A row is `{"v": 1, ...}` with named fields. Earlier hubs wrote no `v`, and kept some values as lists.
2. A later version only adds fields. A field whose meaning changes gets another name. So a reader takes the fields
   that it knows, ignores others, and uses the default value of a field that is missing.
3. A row with many values of one kind names their fields once: `{"v": 1, "fields": [...], "episodes": [[...], ...]}`.

Source: docs/decisions/0020-stored-rows.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as fields_of
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic_core import to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION: Final = 1

Value = TypeVar("Value", bound="DataclassInstance")


def encode(fields: Mapping[str, Any]) -> bytes:
    """Return named fields as a row."""
    return to_json({"v": VERSION, **fields})


def encode_merged(into: str) -> bytes:
    """Return the row of an episode or a source that became a part of another, whose id this is."""
    return encode({"merged_into": into})


def merged_into(document: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Return the id of the other one from a row of `encode_merged`; None if the row is something else.

    Earlier hubs wrote the id alone.
    """
    if isinstance(document, str):
        return document
    into = document.get("merged_into") if isinstance(document, dict) else None
    return into if isinstance(into, str) else None


class Record(Generic[Value]):
    """Converts the values of one class to JSON and back.

    Args:
        kind: a dataclass with at least two fields, all of them JSON values; `Record` checks no types.
    """

    def __init__(self, kind: type[Value]) -> None:
        self._kind: Callable[..., Value] = kind
        self.names = tuple(field.name for field in fields_of(kind))
        self._known = list(self.names)
        self._attributes = attrgetter(*self.names)
        self._items = itemgetter(*self.names)

    def fields(self, value: Value) -> dict[str, Any]:
        """Return a value as named fields."""
        return dict(zip(self.names, self._attributes(value), strict=True))

    def values(self, value: Value) -> tuple[Any, ...]:
        """Return the fields of a value in the order of `names`."""
        return tuple(self._attributes(value))

    def of_fields(self, fields: Mapping[str, Any]) -> Value:
        """Return a value from named fields.

        Raises:
            TypeError: a field without a default is missing, or these are no named fields.
        """
        try:
            return self._kind(*self._items(fields))
        except KeyError:
            return self._kind(**{name: fields[name] for name in self.names if name in fields})

    def of_values(self, values: Sequence[Any]) -> Value:
        """Return a value from its fields in the order of `names`, as earlier hubs kept it; ignore what follows.

        Raises:
            TypeError: a field without a default is missing, or this is no sequence.
        """
        return self._kind(*values[: len(self.names)])

    def reader(self, names: Sequence[str] | None) -> Callable[[Sequence[Any]], Value]:
        """Return a function that reads the lists of a row.

        Args:
            names: fields of each list in their order, as the row names them; None for a row of an earlier hub.
        """
        if names is None or names == self._known:
            return self.of_values
        own = list(names)
        return lambda values: self.of_fields(dict(zip(own, values, strict=False)))
