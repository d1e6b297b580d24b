"""Find a class by its name in a plain dict `name -> "module:Class"`, once all that it needs is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from hdvg.environment import install_command
from hdvg.errors import UsageError

Find = Callable[[str], object | None]


def find_class(
    catalogue: Mapping[str, str], name: str, *, called: str, extra: str, find: Find = importlib.util.find_spec
) -> Any:  # Any: a class by its name in a string; contract tests check its shape
    """The class `name`, whose `needs` say which modules it cannot work without, and what people call them.

    Raises UsageError naming what is missing and the command that brings it; `called` is what such a class is: "captioner".
    """
    module, _, attribute = catalogue[name].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    require(kind.needs, called=f"{called} `{name}`", extra=extra, find=find)
    return kind


def require(needs: Mapping[str, str], *, called: str, extra: str, find: Find = importlib.util.find_spec) -> None:
    """Raise UsageError if any of these modules (and what people call them) is missing, naming the command that brings them."""
    missing = [spoken for package, spoken in needs.items() if find(package) is None]
    if missing:
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        raise UsageError(f"{called} needs {listed}: {install_command(extra)}")
