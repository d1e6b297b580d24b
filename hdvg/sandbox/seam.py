"""Typed calls into limited child processes: a function is declared once, and both sides of the process are held to it.

Beside the child's code, in a module that imports nothing heavy:

    @seam("hdvg.media.probe:probe")
    def probe(path: str, max_pixels: int) -> Probed: ...   # the body is never run: raise NotImplementedError

In the child's module `@calls.probe.serves` stands over the function itself; mypy compares the two. A caller writes
`sandbox.call(calls.probe(path, max_pixels), scratch, limits)` and gets a `Probed`, whose shape is checked, for a child is not
trusted. Arguments and results are what JSON holds: TypedDicts (of typing_extensions), lists, numbers, texts; no tuples.
A text that is a path says so (`hdvg.sandbox.paths`): the child's walls leave open what these name, and nothing else.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, ParamSpec, TypeVar, get_type_hints

from hdvg.errors import ItemError
from hdvg.sandbox.paths import Paths, paths_in

FAULTS_MOST = 3
"""Faults of a result that are listed; it may have thousands."""

P = ParamSpec("P")
Result = TypeVar("Result")
Shape = TypeVar("Shape")

Needs = Literal["files", "network", "program"]
"""What a child needs of the system: the files that its arguments name; the network too; or to start a program, around which
it puts up walls itself."""

_served: dict[str, Callable[..., Any]] = {}
"""By target: what a child may run. Filled as the modules of children are imported."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """A child's function with its arguments, for `Sandbox.call`; `result` is the type that it must return."""

    target: str
    arguments: dict[str, Any]
    result: Any
    paths: Paths = field(default_factory=Paths)
    needs: Needs = "files"

    def checked(self, given: object) -> Result:
        """What a child returned, if it is of the type that was declared. Raises ItemError `error` if not."""
        from pydantic import ValidationError

        try:
            found: Result = _adapter(self.result).validate_python([given])[0]
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            said = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in faults[:FAULTS_MOST])
            raise ItemError("error", f"{self.target} returned what it may not: {said}"[:1000]) from None
        return found


@functools.cache
def _adapter(result: Any) -> Any:
    """What checks a value of that type: nothing is converted, and no key may be there that is not declared."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(list[result], config=ConfigDict(strict=True, extra="forbid"))


class Seam(Generic[P, Result]):
    """A function of a child as both sides know it; calling it makes a `Call`, and runs nothing."""

    def __init__(self, declared: Callable[P, Result], target: str, needs: Needs = "files") -> None:
        self.declared = declared
        self.target = target
        self.needs = needs
        self._names = tuple(inspect.signature(declared).parameters)
        functools.update_wrapper(self, declared)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[Result]:
        arguments = dict(zip(self._names, args, strict=False)) | kwargs
        return Call(self.target, arguments, self.result, paths_in(self._hints, arguments), self.needs)

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.declared, include_extras=True)

    @functools.cached_property
    def result(self) -> Any:
        """The declared type of the result."""
        return get_type_hints(self.declared)["return"]

    def serves(self, function: Callable[P, Result]) -> Callable[P, Result]:
        """Makes a function the one that a child runs. Raises TypeError if it is not the one that was declared."""
        if self.target != place_of(function):
            raise TypeError(f"{place_of(function)} cannot serve {self.target}: declare it where it is")
        _served[self.target] = function
        return function


def seam(target: str, *, needs: Needs = "files") -> Callable[[Callable[P, Result]], Seam[P, Result]]:
    """Declares the function `module:function` of a child by its signature; the body of what is decorated is never run."""
    return lambda declared: Seam(declared, target, needs)


def in_child(function: Callable[P, Result]) -> Seam[P, Result]:
    """A seam that a light function serves where it is declared: it then runs in children only."""
    return in_child_that("files")(function)


def in_child_that(needs: Needs) -> Callable[[Callable[P, Result]], Seam[P, Result]]:
    """As `in_child`, of a function with such needs."""

    def declare(function: Callable[P, Result]) -> Seam[P, Result]:
        made = Seam(function, place_of(function), needs)
        made.serves(function)
        return made

    return declare


def open_ended(shape: type[Shape]) -> type[Shape]:
    """A TypedDict that may have further keys, whose values nobody checks here; those below it may too, unless `closed`."""
    shape.__pydantic_config__ = {"extra": "allow"}  # type: ignore[attr-defined]  # pydantic's own name for it
    return shape


def closed(shape: type[Shape]) -> type[Shape]:
    """A TypedDict below an open-ended one that has its own keys only."""
    shape.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]  # pydantic's own name for it
    return shape


def place_of(function: Callable[..., Any]) -> str:
    """`module:function`."""
    return f"{function.__module__}:{function.__qualname__}"


def served(target: str) -> Callable[..., Any]:
    """In a child: the function of that name, if it serves a seam. Raises LookupError if not."""
    importlib.import_module(target.partition(":")[0])
    if target not in _served:
        raise LookupError(f"{target} serves no seam (hdvg.sandbox.seam), so that no child may run it")
    return _served[target]
