"""Measures of the user's own: how a recipe names one, what its class declares, and which values its columns hold.

Such a class is named `package.module:Class` or `file.py:Class` under `[measure.own]` of a recipe. It declares

    version   an integer, to be raised when its values change
    input     what it is given, see `Input`
    columns   {"name": ("number", "a sentence: unit and range")}, the first being one of `Kind`

and, by its input, is a `hdvg.measures.measure.Measure` ("frames") or has `measure(self, given)`, which returns a value for
each column; for "sound" it runs inside the sandbox, for others in the stage's process, where it may hold a model or ask one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import pyarrow as pa
from pydantic import Field

from hdvg.config.settings import Settings
from hdvg.errors import ItemError
from hdvg.ids import digest
from hdvg.registry import ClassName, Registry
from schemas.annotations import MARKED
from schemas.captions import CAPTION as CAPTION_COLUMNS
from schemas.clips import CUT, GIVEN_SPAN, OF_VIEW, SPAN
from schemas.columns import BOOL, REAL, STR, column, doc, is_later
from schemas.measures import ALL_MEASURED, HOMES
from schemas.pass_measures import PASS
from schemas.videos import FETCHED, SCANNED

Input = Literal["frames", "sound", "keyframes", "preview", "shots", "clip", "text"]
"""frames: each as the pass shows it; sound: mono samples; keyframes: the stored pictures; preview: a few small frames a
second; shots: the stored pictures of several clips at once; clip: the bytes of the cut file; text: the clip's captions."""

Stage = Literal["remeasure", "learned", "assess"]
STAGE: Mapping[Input, Stage] = {
    **dict.fromkeys(("frames", "sound", "keyframes", "preview"), "remeasure"),
    "shots": "learned",
    **dict.fromkeys(("clip", "text"), "assess"),
}
"""By input, the stage that takes such measures: the first two before the cut, so that rules on them spare it; dear ones behind
cheap ones; those of `assess` need what is made behind the cut."""

Kind = Literal["number", "flag", "label", "list", "series"]
ARROW: Mapping[Kind, pa.DataType] = {"number": REAL, "flag": BOOL, "label": STR, "list": pa.list_(STR)}
"""Types of columns; a series is a section of its video's pack (hdvg/dataset/packs.py)."""

LABEL_MOST, LIST_MOST, SERIES_MOST = 10_000, 1_000, 1_000_000
"""Characters of a label, entries of a list, numbers of a series."""

MEASURE = Registry(called="measure of your own", group="hdvg.measures", setting="measure.own", classes={})
"""Where they are found: all are plug-ins."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
TAKEN_NAMES = frozenset({*PASS, *HOMES.values(), *HOMES})
"""Measures and stages that there are already."""

COLUMN_NAMES = frozenset(
    field.name
    for group in (SPAN, GIVEN_SPAN, OF_VIEW, CUT, ALL_MEASURED, FETCHED, SCANNED, CAPTION_COLUMNS, MARKED)
    for field in group
) | {"keep", "reasons", "caption", "texts", "video_id", "source", "own_measures"}

SOUND_HZ = 16_000
PREVIEW_FPS, PREVIEW_PX = 2.0, 144
PREVIEW, PREVIEW_VERSION = "preview", "1"
"""The section of a pack that `measure.preview` asks for (schemas/previews.py)."""


Declaration = Mapping[str, tuple[Kind, str]]
"""Columns by name: the kind of their values, and a sentence."""


@dataclass(frozen=True)
class Taken:
    """A measure that is taken alone: of the pass, in that version, or the user's own, whose version holds its code's hash."""

    name: str
    version: str
    made_by: str
    options: Mapping[str, Any]
    input: Input
    columns: Declaration
    is_own: bool
    """Whether no split holds it: so it is with the user's own, and with previews."""

    @classmethod
    def of_pass(cls, name: str, version: int) -> Taken:
        """One of `schemas.pass_measures.PASS`."""
        one = PASS[name]
        kinds = {kind: name for name, kind in ARROW.items()}
        columns: Declaration = {field.name: (kinds[field.type], doc(field)) for field in one.columns}
        return cls(name, str(version), one.made_by, {}, "frames", columns, is_own=False)

    @classmethod
    def of_preview(cls) -> Taken:
        """Small frames of a clip, a section of its video's pack: no value that rules or queries see."""
        return cls(PREVIEW, PREVIEW_VERSION, "", {}, "preview", {}, is_own=True)

    @property
    def mark(self) -> str:
        """How rows that hold it say so."""
        return f"{self.name}={self.version}"

    @property
    def stage(self) -> Stage:
        """The stage that takes it."""
        return STAGE[self.input]

    @property
    def is_late(self) -> bool:
        """Whether it needs what is made behind the cut."""
        return self.stage == "assess"

    @property
    def is_new(self) -> bool:
        """Whether some datasets' splits hold no value of it, of any version."""
        return self.is_own or is_new(self.name)

    def judged(self) -> list[tuple[str, pa.DataType, str]]:
        """Name, type and home of its columns, for rules: of one that all splits hold, the older value is judged meanwhile."""
        return [(field.name, field.type, self.name) for field in self.fields() if self.is_new]

    def fields(self) -> list[pa.Field]:
        """Its columns in a view: all but series."""
        return [column(name, ARROW[kind], text) for name, (kind, text) in self.columns.items() if kind in ARROW]

    def checked(self, values: Any) -> dict[str, Any]:
        """The values of every column. Raises ItemError naming the column if they are not of the declared types."""
        if not isinstance(values, Mapping) or set(values) != set(self.columns):
            found = ", ".join(sorted(values)) if isinstance(values, Mapping) else type(values).__name__
            raise ItemError("error", f"measure `{self.name}` gave {found}; it declares {', '.join(self.columns)}")
        return {key: _checked(values[key], kind, f"{self.name}.{key}") for key, (kind, _) in self.columns.items()}


class Own(Settings):
    """A measure of the user's own; what its class declares is noted here, so that a dataset is read without its code."""

    made_by: Annotated[str, ClassName("hdvg.config.own_measures:MEASURE")] = Field(
        description="its class: `package.module:Class` or `file.py:Class`"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="what the class is made with")
    version: int = Field(0, ge=0, description="noted from the class")
    input: Input = Field("frames", description="noted from the class")
    columns: dict[str, tuple[Kind, str]] = Field(default_factory=dict, description="noted from the class")
    code: str = Field("", description="noted: 8 hex digits of the class's file and of `options`")


def of_class(name: str, one: Own) -> Taken:
    """The measure of a class of the user's own."""
    return Taken(name, f"{one.version}.{one.code}", one.made_by, one.options, one.input, one.columns, is_own=True)


def is_new(name: str) -> bool:
    """Whether a measure of the pass came after the first release."""
    return all(is_later(field) for field in PASS[name].columns)


def note_classes(own: Mapping[str, Any]) -> dict[str, Any]:
    """`[measure.own]` with what the classes declare, of those that do not say yet: their code is loaded for it.

    Raises ValueError naming the measure: a bad name, a column that there is already, or what `declared` says.
    """
    noted: dict[str, Any] = {}
    for name, entry in own.items():
        one = {"made_by": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, Mapping) else entry
        if not NAME.fullmatch(name) or name in TAKEN_NAMES:
            raise ValueError(f"measure.own: {name!r} is no free name; small letters, digits and _, such as vignette")
        if isinstance(one, dict) and "made_by" in one and not one.get("version"):
            one |= _note(name, one["made_by"], one.get("options", {}))
        noted[name] = one
    return noted


def _note(name: str, made_by: str, options: Mapping[str, Any]) -> dict[str, Any]:
    where = f"measure.own.{name} = {made_by!r}"
    version, given, columns = declared(MEASURE.find(made_by), where=where)
    for key in columns:
        if not NAME.fullmatch(key) or key in COLUMN_NAMES:
            raise ValueError(
                f"{where}: column {key!r} is no free name; small letters, digits and _, no column of hdvg's"
            )
    code = digest(MEASURE.code(made_by), json.dumps(options, sort_keys=True))[:8]
    return {"version": version, "input": given, "columns": columns, "code": code}


def declared(made: Any, *, where: str) -> tuple[int, Input, Declaration]:
    """What the class `made` declares. Raises ValueError naming what it lacks; `where` is how the recipe names it."""
    version, columns = getattr(made, "version", None), getattr(made, "columns", None)
    given: Any = getattr(made, "input", None)
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{where}: `version` = {version!r}; a whole number from 1, raised when its values change")
    if given not in get_args(Input):
        raise ValueError(f"{where}: `input` = {given!r}; one of {', '.join(get_args(Input))}")
    if not isinstance(columns, Mapping) or not columns:
        raise ValueError(f'{where}: `columns` = {columns!r}; such as {{"vignette": ("number", "darker corners, 0-1")}}')
    for name, entry in columns.items():
        if not (isinstance(entry, tuple | list) and len(entry) == 2 and entry[0] in get_args(Kind)):
            raise ValueError(
                f"{where}: column {name} = {entry!r}; (kind, sentence), kind of {', '.join(get_args(Kind))}"
            )
    method = "see" if given == "frames" else "measure"
    if given == "shots" and any(kind == "series" for kind, _ in columns.values()):
        raise ValueError(f"{where}: a measure of shots has no series; numbers, flags, labels and lists it has")
    if not callable(getattr(made, method, None)):
        raise ValueError(f"{where}: no method `{method}`, which a measure of {given} has; see docs/extending.md")
    return version, given, {name: (kind, str(text)) for name, (kind, text) in columns.items()}


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
