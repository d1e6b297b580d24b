"""Find a class by its name in a plain dict `name -> "module:Class"`, once all that it needs is installed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hdvg.errors import UsageError

Find = Callable[[str], object | None]


def find_class(
    catalogue: Mapping[str, str], name: str, *, called: str, extra: str, find: Find = importlib.util.find_spec
) -> Any:  # Any: a class by its name in a string; contract tests check its shape
    """The class `name`, whose `needs` say which modules it cannot work without, and what people call them.

    Raises UsageError naming what is missing and the extra that brings it; `called` is what such a class is: "captioner".
    """
    module, _, attribute = catalogue[name].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    require(kind.needs, called=f"{called} `{name}`", extra=extra, find=find)
    return kind


def require(needs: Mapping[str, str], *, called: str, extra: str, find: Find = importlib.util.find_spec) -> None:
    """Raise UsageError if any of these modules (and what people call them) is missing, naming the extra that brings them."""
    missing = [spoken for package, spoken in needs.items() if find(package) is None]
    if missing:
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        raise UsageError(f"{called} needs {listed}: pip install 'hdvg[{extra}]'")


def load_class(made_by: str) -> Any:
    """The class that "module:Class" names."""
    module, _, attribute = made_by.partition(":")
    return getattr(importlib.import_module(module), attribute)


def code_digest(made_by: str) -> str:
    """sha256 of the file that holds a class, in hex."""
    path = inspect.getsourcefile(load_class(made_by))
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
