"""Write settings files with comments, generated from the descriptions of the settings.

The file contains the given settings. Important settings that are not given are comments with their defaults; removing
the `#` sets them, and one without a default also needs a value. Other settings are listed by name.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from shared.errors import InvalidError

WIDTH: Final = 100

Values = Mapping[str, Mapping[str, Any]]


def render_settings_file(kind: type[BaseSettings], values: Values, important: Mapping[str, tuple[str, ...]]) -> str:
    """Return a settings file as TOML with comments.

    Args:
        kind: settings class of the program; every field of it is a group.
        values: given values, by group and field; secrets are written in plain text.
        important: fields to write as comments when they are not given, by group.

    Raises:
        InvalidError: the settings reject a value.
    """
    parts = []
    for name, field in kind.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            try:
                group = annotation.model_validate(dict(values.get(name, {})))
            except ValidationError as error:
                faults = [f"{'.'.join(map(str, (name, *e['loc'])))}: {e['msg']}" for e in error.errors()]
                raise InvalidError("settings: " + "; ".join(faults)) from error
            parts.append("\n".join(_group(name, group, important.get(name, ()))))
    return "\n\n".join(parts) + "\n"


def _group(name: str, group: BaseModel, important: tuple[str, ...]) -> Iterator[str]:
    yield from _comment(group.__doc__ or "")
    yield f"[{name}]"
    tables: list[tuple[str, Mapping[str, BaseModel]]] = []
    others = []
    for field, info in type(group).model_fields.items():
        value = getattr(group, field)
        if field in group.model_fields_set:
            if _is_table(value):
                tables.append((field, value))
                continue
            yield from _comment(info.description or "")
            yield f"{field} = {_toml(value)}"
        elif field in important:
            yield from _comment(_described(info))
            yield f"# {field} = {_toml(_example(value))}"
        else:
            others.append(field)
    if others:
        yield from _comment(f"also: {', '.join(others)}")
    for field, named in tables:
        for key, table in named.items():
            yield ""
            yield f"[{name}.{field}.{key}]"
            for inner in sorted(table.model_fields_set):
                yield from _comment(type(table).model_fields[inner].description or "")
                yield f"{inner} = {_toml(getattr(table, inner))}"


def _is_table(value: object) -> bool:
    return (
        isinstance(value, Mapping) and bool(value) and all(isinstance(table, BaseModel) for table in value.values())
    )


def _described(info: FieldInfo) -> str:
    return f"{info.description or ''}{' (not set)' if info.default is None else ''}"


def _example(value: object) -> object:
    """Return the default to write; an empty text for None."""
    return "" if value is None else value


def _comment(text: str) -> Iterator[str]:
    paragraph = " ".join(text.split())
    yield from textwrap.wrap(paragraph, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _toml(value: object) -> str:
    """Return a value as TOML; texts, numbers and lists are written as in JSON."""
    match value:
        case list() | tuple():
            return f"[{', '.join(_toml(element) for element in value)}]"
        case dict():
            pairs = (f"{json.dumps(key)} = {_toml(element)}" for key, element in value.items())
            return f"{{{', '.join(pairs)}}}"
        case SecretStr():
            return _toml(value.get_secret_value())
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            return json.dumps(str(value), ensure_ascii=False)
