"""The plug-ins that settings name: their files are kept in the folder that is made with them, and found there again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hdvg.config.settings import Settings
from hdvg.plugins import KEPT, kept_name, locate_name, read_file, read_reference
from hdvg.registry import ClassName, Registry

if TYPE_CHECKING:
    from hdvg.dataset.store import Store

Section = TypeVar("Section", bound=Settings)
Change = Callable[[Registry, str], str]


def keep(settings: Section, store: Store) -> Section:
    """The settings with every plug-in named so that they hold wherever the folder goes.

    A file is published in the folder, below `plugins/`, and named from there; an entry point is named by its class. Needs no
    run lock. Raises UsageError if a file is not there.
    """
    return _changed(settings, partial(_kept, store))


def locate(settings: Section, root: Path) -> Section:
    """The settings with the files that the folder `root` keeps named by their full paths: what loads them takes these."""
    return _changed(settings, lambda registry, name: locate_name(name, root))


def carry(settings: Settings, source: Path, target: Store) -> None:
    """Publish the plug-ins' files that the folder `source` keeps in the folder of `target`, under the same names."""

    def publish(registry: Registry, name: str) -> str:
        reference = read_reference(name)
        if reference and reference.is_file and (source / reference.where).is_file():
            content = read_file(source / reference.where)
            target.publish(reference.where, lambda path: path.write_bytes(content))
        return name

    _changed(settings, publish)


def _kept(store: Store, registry: Registry, name: str) -> str:
    if not registry.is_plugin(name) or name in registry.other_values or registry.problem(name):
        return name  # what is wrong with a name is said where it is used
    reference = registry.reference(name)
    if not reference.is_file:
        return str(reference)
    if (
        KEPT.fullmatch(reference.where)
        and not reference.path.is_absolute()
        and (store.root / reference.where).is_file()
    ):
        return name
    content = read_file(reference.path)
    place = kept_name(reference.path, content)
    if not (store.root / place).exists():
        with store.aside() as beside:
            beside.publish(place, lambda path: path.write_bytes(content))
    return f"{place}:{reference.attribute}"


def _changed(settings: Section, change: Change) -> Section:
    """The settings with every value changed that a `ClassName` marks, in all their sections."""
    changes: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        mark = next((one for one in field.metadata if isinstance(one, ClassName)), None)
        new = _section(value, change) if mark is None else _named(value, partial(change, mark.load()))
        if new != value:
            changes[name] = new
    return settings.model_copy(update=changes) if changes else settings


def _section(value: Any, change: Change) -> Any:
    if isinstance(value, Settings):
        return _changed(value, change)
    if isinstance(value, dict):
        return {name: _section(one, change) for name, one in value.items()}
    return value


def _named(value: Any, change: Callable[[str], str]) -> Any:
    """A name, or several."""
    if isinstance(value, str):
        return change(value)
    return type(value)(change(one) for one in value)
