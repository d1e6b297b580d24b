"""Find a class by the name that a recipe or a command gives it: one of ours, or a plug-in.

A name is one of ours (`tags`), `path/to/file.py:Class`, `package.module:Class`, or an entry point's of the registry's group.
Nothing of a plug-in is imported before `Registry.find`; reading a recipe or opening a dataset runs nobody's code.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hdvg.environment import install_command
from hdvg.errors import UsageError, suggestion
from hdvg.ids import digest
from hdvg.plugins import Reference, code_digest, load_class, read_reference

Find = Callable[[str], object | None]
MANUAL = "docs/extending.md"


@dataclass(frozen=True)
class ClassName:
    """Marks a setting whose value names a class of a registry, `module:ATTRIBUTE`, which is imported when it is needed."""

    registry: str

    def load(self) -> Registry:
        """The registry."""
        module, _, attribute = self.registry.partition(":")
        found: Registry = getattr(importlib.import_module(module), attribute)
        return found


@dataclass(frozen=True)
class Registry:
    """Classes that do one sort of thing.

    `classes` are ours, name -> "module:Class"; such a module imports nothing heavy at its top. Everybody's class may have
    `needs`, the modules it cannot work without -> what people call them, and, so that other results are known as such,
    a static `fingerprint(settings)` or a `version`.
    """

    called: str
    """What such a class is, such as "captioner"."""
    group: str
    """Of entry points: `hdvg.captioners`."""
    setting: str
    """Where it is named: `caption.captioner`."""
    classes: Mapping[str, str]
    extra: str = ""
    """The extra of hdvg that brings what our own need."""
    methods: tuple[str, ...] = ()
    """What a plug-in's class must have."""
    attributes: tuple[str, ...] = ()
    """What an object of it must have besides."""
    other_values: tuple[str, ...] = ()
    """What the setting may be besides, such as `none`."""

    def names(self) -> list[str]:
        """Ours, then those of installed entry points."""
        return [*self.classes, *(name for name in _entry_points(self.group) if name not in self.classes)]

    def is_plugin(self, name: str) -> bool:
        """Whether the name is not one of ours."""
        return name not in self.classes

    def problem(self, name: str) -> str | None:
        """Why the name can be no class's, without looking into any file or package; None if it can."""
        if name in self.classes or read_reference(name) or name in _entry_points(self.group):
            return None
        hint = f"{suggestion(name, self.names())} ".lstrip()
        known = ", ".join([*self.names(), *self.other_values])
        return (
            f"{self.setting} = {name!r} is no {self.called}; {hint}known: {known}; "
            f"your own: file.py:Class or package.module:Class, see {MANUAL}"
        )

    def reference(self, name: str) -> Reference:
        """Where the plug-in of that name lies. Raises UsageError if it is no plug-in's name."""
        found = read_reference(name) or read_reference(_entry_points(self.group).get(name, ""))
        if found is None or not self.is_plugin(name):
            raise UsageError(self.problem(name) or f"{self.setting} = {name!r} is no plug-in")
        return found

    def find(self, name: str, *, find: Find = importlib.util.find_spec) -> Any:  # Any: its shape is the contract tests'
        """The class of that name, once all that it needs is installed. Raises UsageError saying what is missing."""
        if name in self.classes:
            module, _, attribute = self.classes[name].partition(":")
            kind = getattr(importlib.import_module(module), attribute)
        else:
            kind = load_class(self.reference(name))
            lacking = [method for method in self.methods if not callable(getattr(kind, method, None))]
            self._refuse_lacking(name, [f"{method}()" for method in lacking])
        require(getattr(kind, "needs", {}), called=f"{self.called} `{name}`", extra=self._extra(name), find=find)
        return kind

    def checked(self, name: str, made: Any) -> Any:
        """The object that was made of the class of that name. Raises UsageError if it lacks what the contract asks for."""
        if self.is_plugin(name):
            self._refuse_lacking(name, [one for one in self.attributes if not hasattr(made, one)])
        return made

    def fingerprint(self, name: str, *settings: Any, find: Find = importlib.util.find_spec) -> str:
        """What changes with all that shapes the results of that class: of ours its own fingerprint of the settings, of a
        plug-in 16 hex digits of its code and of its own fingerprint or version."""
        kind = self.find(name, find=find)
        if not self.is_plugin(name):
            return str(kind.fingerprint(*settings))
        own = kind.fingerprint(*settings) if hasattr(kind, "fingerprint") else getattr(kind, "version", None)
        return digest("plug-in", self.code(name), self.reference(name).attribute, own)[:16]

    def code(self, name: str) -> str:
        """64 hex digits of a plug-in's code, see `code_digest`; "" for ours."""
        return code_digest(self.reference(name)) if self.is_plugin(name) else ""

    def _extra(self, name: str) -> str:
        return "" if self.is_plugin(name) else self.extra

    def _refuse_lacking(self, name: str, lacking: list[str]) -> None:
        if lacking:
            raise UsageError(
                f"{self.called} {name} lacks {', '.join(lacking)}: {MANUAL} shows a whole {self.called}, "
                "and hdvg.testing holds the test of one"
            )


@cache
def _entry_points(group: str) -> Mapping[str, str]:
    """Names of the installed packages' entry points of a group -> `module:Class`."""
    from importlib.metadata import entry_points  # 30 ms, which no `hdvg --help` needs

    return {point.name: point.value for point in sorted(entry_points(group=group))}


def require(needs: Mapping[str, str], *, called: str, extra: str, find: Find = importlib.util.find_spec) -> None:
    """Raise UsageError if any of these modules (and what people call them) is missing, naming the command that brings them."""
    missing = [spoken for package, spoken in needs.items() if find(package) is None]
    if missing:
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        how = install_command(extra) if extra else "install it where hdvg is, on every machine that runs it"
        raise UsageError(f"{called} needs {listed}: {how}")
