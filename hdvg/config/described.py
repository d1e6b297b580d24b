"""Every setting of a recipe with its sentence, what it takes, its default and its value, from the models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

ENDS = {"minimum": "at least", "exclusiveMinimum": "over", "maximum": "at most", "exclusiveMaximum": "under"}
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "nothing"}


@dataclass(frozen=True)
class Setting:
    """One setting: `name` as --set takes it, `takes` in words, `value` and `default` as JSON has them."""

    name: str
    value: Any
    default: Any
    takes: str
    sentence: str


def described(recipe: BaseModel) -> list[Setting]:
    """The settings of a recipe, in the order of its sections."""
    return list(_section(recipe, type(recipe)(), ""))


def as_text(settings: list[Setting]) -> Iterator[str]:
    """The settings as lines for people."""
    for setting in settings:
        same = setting.value == setting.default
        default = "the default" if same else f"default {_written(setting.default)}"
        yield f"{setting.name} = {_written(setting.value)}"
        yield f"    {setting.sentence}"
        yield f"    takes {setting.takes}; {default}"


def _section(section: BaseModel, default: BaseModel | None, prefix: str) -> Iterator[Setting]:
    schema = type(section).model_json_schema()
    for name, field in type(section).model_fields.items():
        value, usual = getattr(section, name), getattr(default, name, None)
        if isinstance(value, BaseModel):
            yield from _section(value, usual, f"{prefix}{name}.")
            continue
        entries = value if isinstance(value, Mapping) else {}
        tables = {key: entry for key, entry in entries.items() if isinstance(entry, BaseModel)}
        takes = _takes(schema["properties"][name], schema.get("$defs", {}))
        shown = list(tables) if tables else value
        yield Setting(f"{prefix}{name}", _plain(shown), _plain(usual), takes, field.description or "")
        for key, entry in tables.items():
            yield from _section(entry, type(entry).model_construct(), f"{prefix}{name}.{key}.")


def _takes(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if "$ref" in schema:
        return _takes(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "properties" in schema:
        return f"a table of {', '.join(schema['properties'])}"
    if "anyOf" in schema:
        return " or ".join(_takes(one, definitions) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "")
    if kind == "array":
        return _list(schema, definitions)
    if kind == "object":
        each = schema.get("additionalProperties")
        return f"a table of names, each with {_takes(each if isinstance(each, Mapping) else {}, definitions)}"
    ends = [f"{word} {schema[end]:g}" for end, word in ENDS.items() if end in schema]
    pattern = [f"of the pattern {schema['pattern']}"] if "pattern" in schema else []
    return " ".join(filter(None, [TYPES.get(kind, "any value"), " and ".join(ends + pattern)]))


def _list(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        return f"a list of {len(schema['prefixItems'])}: {_takes(schema['prefixItems'][0], definitions)} each"
    return f"a list, each {_takes(schema.get('items') or {}, definitions)}"


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value, default=str))


def _written(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
