"""Which files a call may touch: said in the types of its arguments, where the function is declared.

    def cut(path: Reads, out: Writes, ...): ...        # a text each, the path of a file or folder

A text marked `Reads` or `Writes` may stand deeper too, in a list, a dict or a TypedDict. A child's walls are made of
these alone: what no mark names, it cannot open. Its scratch folder it has anyway.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict


@dataclass(frozen=True)
class Mark:
    """What a text in an argument names."""

    means: str


READS, WRITES, CODE, MAY_NAME = Mark("reads"), Mark("writes"), Mark("code"), Mark("may name")

Reads = Annotated[str, READS]
"""A file or folder that the function reads."""
Writes = Annotated[str, WRITES]
"""A file or folder that the function writes; what lies in its scratch folder needs no mark to be written, but a reader does."""
Code = Annotated[str, CODE]
"""A class of the user's, as `hdvg.plugins` names one: its file, or its package, is read."""
MayName = Annotated[dict[str, Any], MAY_NAME]
"""Options of a user's class: absolute paths among their values are read."""


@dataclass(frozen=True)
class Paths:
    """What the arguments of a call name."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


def paths_in(hints: dict[str, Any], arguments: dict[str, Any]) -> Paths:
    """The paths that these arguments, of types with their marks, name."""
    found = [one for name, value in arguments.items() for one in _marked(hints.get(name), value)]

    def of(mark: Mark) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for text, said in found if said is mark))

    return Paths(of(READS), of(WRITES), of(CODE))


def _marked(hint: Any, value: Any) -> Iterator[tuple[str, Mark]]:
    if value is None or not _has_mark(hint):
        return
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        marks = [part for part in parts[1:] if isinstance(part, Mark)]
        if MAY_NAME in marks:
            yield from ((text, READS) for text in value.values() if isinstance(text, str) and text.startswith("/"))
        else:
            yield from ((value, mark) for mark in marks)
    elif is_typeddict(hint):
        fields = get_type_hints(hint, include_extras=True)
        yield from (one for name, part in value.items() for one in _marked(fields.get(name), part))
    elif origin is list:
        yield from (one for part in value for one in _marked(parts[0], part))
    elif origin is dict:
        yield from (one for part in value.values() for one in _marked(parts[1], part))
    else:  # NotRequired, or one of several types
        yield from (one for part in parts for one in _marked(part, value))


@functools.cache
def _has_mark(hint: Any) -> bool:
    """Whether a mark stands in a type: large arguments without one are not looked through."""
    if is_typeddict(hint):
        return any(map(_has_mark, get_type_hints(hint, include_extras=True).values()))
    if get_origin(hint) in (Annotated, list, dict, Union, UnionType, NotRequired, Required):
        return any(isinstance(part, Mark) or _has_mark(part) for part in get_args(hint) if part is not NoneType)
    return False
