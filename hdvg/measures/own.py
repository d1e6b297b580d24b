"""Measures of the user's own: how a recipe names one, what its class declares, and which values its columns hold.

Such a class is named `package.module:Class` or `file.py:Class` under `[measure.own]` of a recipe. It declares

    version   an integer, to be raised when its values change
    input     what it is given, see `Input`
    columns   {"name": ("number", "a sentence: unit and range")}, the first being one of `Kind`

and, by its input, is a `hdvg.measures.measure.Measure` ("frames") or has `measure(self, given)`, which returns a value for
each column; for "sound" it runs inside the sandbox, for others in the stage's process, where it may hold a model or ask one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from hdvg.errors import ItemError, UsageError
from schemas.columns import BOOL, REAL, STR, column

Input = Literal["frames", "sound", "keyframes", "preview", "clip", "text"]
"""frames: each as the pass shows it; sound: mono samples; keyframes: the stored pictures; preview: a few small frames a
second; clip: the bytes of the cut file; text: the clip's captions."""

EARLY: frozenset[Input] = frozenset({"frames", "sound", "keyframes", "preview"})
"""Taken before the cut, so that rules on them spare it; the others need what is made behind it."""

Kind = Literal["number", "flag", "label", "list", "series"]
ARROW: Mapping[Kind, pa.DataType] = {"number": REAL, "flag": BOOL, "label": STR, "list": pa.list_(STR), "series": STR}
"""Stored types; of a series the table holds which pack section it lies in (hdvg/dataset/packs.py)."""

LABEL_MOST, LIST_MOST, SERIES_MOST = 10_000, 1_000, 1_000_000
"""Characters of a label, entries of a list, numbers of a series."""

SOUND_HZ = 16_000
PREVIEW_FPS, PREVIEW_PX = 2.0, 144


@dataclass(frozen=True)
class Declared:
    """What a measure's class says of itself: its version, input, and the kind and sentence of each column."""

    version: int
    input: Input
    columns: Mapping[str, tuple[Kind, str]]

    def fields(self) -> list[pa.Field]:
        """Its columns in a table."""
        return [column(name, ARROW[kind], doc, later=True) for name, (kind, doc) in self.columns.items()]

    def checked(self, values: Any, *, name: str) -> dict[str, Any]:
        """The values of every column. Raises ItemError naming the column if they are not of the kinds that are declared."""
        if not isinstance(values, Mapping) or set(values) != set(self.columns):
            found = ", ".join(sorted(values)) if isinstance(values, Mapping) else type(values).__name__
            raise ItemError("error", f"measure `{name}` gave {found}; it declares {', '.join(self.columns)}")
        return {key: _checked(values[key], kind, f"{name}.{key}") for key, (kind, _) in self.columns.items()}


def declared(made: Any, *, where: str) -> Declared:
    """What the class `made` declares. Raises UsageError naming what it lacks; `where` is how the recipe names it."""
    version, columns = getattr(made, "version", None), getattr(made, "columns", None)
    given: Any = getattr(made, "input", None)
    if not isinstance(version, int) or version < 1:
        raise UsageError(f"{where}: `version` = {version!r}; a whole number from 1, raised when its values change")
    if given not in get_args(Input):
        raise UsageError(f"{where}: `input` = {given!r}; one of {', '.join(get_args(Input))}")
    if not isinstance(columns, Mapping) or not columns:
        raise UsageError(f'{where}: `columns` = {columns!r}; such as {{"vignette": ("number", "darker corners, 0-1")}}')
    for name, entry in columns.items():
        if not (isinstance(entry, tuple | list) and len(entry) == 2 and entry[0] in get_args(Kind)):
            raise UsageError(
                f"{where}: column {name} = {entry!r}; (kind, sentence), kind of {', '.join(get_args(Kind))}"
            )
    method = "see" if given == "frames" else "measure"
    if not callable(getattr(made, method, None)):
        raise UsageError(f"{where}: no method `{method}`, which a measure of {given} has; see docs/extending.md")
    return Declared(version, given, {name: (kind, str(doc)) for name, (kind, doc) in columns.items()})


def _checked(value: Any, kind: Kind, where: str) -> Any:
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "number" if number:
            return float(value) if math.isfinite(value) else None
        case "flag" if isinstance(value, bool):
            return value
        case "label" if isinstance(value, str) and len(value) <= LABEL_MOST:
            return value
        case "list" if isinstance(value, list | tuple) and len(value) <= LIST_MOST:
            if all(isinstance(one, str) for one in value):
                return list(value)
        case "series" if isinstance(value, list | tuple) and len(value) <= SERIES_MOST:
            if all(isinstance(one, int | float) for one in value):
                return [float(one) for one in value]
    raise ItemError("error", f"measure {where} gave {str(value)[:80]!r}, which is no {kind}")
