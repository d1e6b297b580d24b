"""The code of plug-ins: what a reference to a class means, how it is loaded, and how its versions are distinguished."""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from hdvg.errors import UsageError, suggestion

FOLDER = "plugins"
"""Where a dataset keeps the files of its plug-ins, each as `plugins/<first 16 digits of its sha256>/<name>.py`."""

KEPT = re.compile(rf"(?:.*/)?{FOLDER}/([0-9a-f]{{16}})/[^/]+\.py", re.ASCII)
FILE = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.ASCII)
MODULE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)
FILES_MOST, BYTES_MOST = 500, 5_000_000
"""A package up to this size is hashed whole, of a larger one only the module's own file."""

_loading = threading.RLock()


@dataclass(frozen=True)
class Reference:
    """A class in a file, or in a module of an installed package."""

    where: str
    attribute: str
    is_file: bool

    def __str__(self) -> str:
        return f"{self.where}:{self.attribute}"

    @property
    def path(self) -> Path:
        """The file, of a reference to one."""
        return Path(self.where).expanduser()


def read_reference(text: str) -> Reference | None:
    """What `file.py:Class` or `package.module:Class` says; None for anything else."""
    if found := FILE.fullmatch(text):
        return Reference(found[1], found[2], is_file=True)
    found = MODULE.fullmatch(text)
    return Reference(found[1], found[2], is_file=False) if found else None


def load_class(reference: Reference) -> Any:  # Any: whatever the author wrote; a registry checks its shape
    """The class. Raises UsageError if the file, the module or the class is not there, or what it imports is not installed."""
    module = load_file(reference.path) if reference.is_file else _import(reference)
    if not hasattr(module, reference.attribute):
        there = [name for name, value in vars(module).items() if isinstance(value, type)]
        hint = suggestion(reference.attribute, there, f"its classes: {', '.join(there) or 'none'}")
        raise UsageError(f"{reference}: no `{reference.attribute}` in it; {hint}")
    return getattr(module, reference.attribute)


def load_named(text: str) -> Any:  # Any: as of `load_class`
    """The class that `file.py:Class` or `package.module:Class` names. Raises UsageError as `load_class`."""
    reference = read_reference(text)
    if reference is None:
        raise UsageError(f"{text!r} names no class; write file.py:Class or package.module:Class")
    return load_class(reference)


def load_file(path: Path) -> ModuleType:
    """The module that a file is, loaded once for its content; it leaves no bytecode beside it. Raises UsageError."""
    content = read_file(path)
    name = f"hdvg_plugin_{hashlib.sha256(content).hexdigest()[:16]}_{path.stem}"
    with _loading:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_loader(name, _Content(path.absolute(), content))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # before it runs: dataclasses ask for it
        loaded = False
        try:
            spec.loader.exec_module(module)
            loaded = True
        except (ImportError, SyntaxError) as error:
            raise UsageError(
                f"{path} cannot be loaded: {error}; a plug-in file stands alone: what it imports must be installed on every "
                "machine that runs hdvg (several files: make them a package, and name package.module:Class)"
            ) from error
        finally:
            if not loaded:
                del sys.modules[name]
    return module


def read_file(path: Path) -> bytes:
    """The bytes of a plug-in's file. Raises UsageError if it is not there, or is a dataset's copy that was changed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: no plug-in file ({error.strerror}); a path counts from the current folder, {Path.cwd()}"
        ) from error
    kept = KEPT.fullmatch(path.as_posix())
    if kept and not hashlib.sha256(content).hexdigest().startswith(kept[1]):
        raise UsageError(
            f"{path} is not what the dataset was made with: it was changed. Put the file back, or change a file of your "
            "own and name that: its results are then made anew"
        )
    return content


def kept_name(path: Path, content: bytes) -> str:
    """The name under which a dataset keeps a plug-in's file."""
    return f"{FOLDER}/{hashlib.sha256(content).hexdigest()[:16]}/{path.name}"


def locate_name(name: str, root: Path) -> str:
    """The reference, with a file that the folder `root` keeps named by its full path; any other name as it is."""
    reference = read_reference(name)
    if (
        reference is None
        or not reference.is_file
        or reference.path.is_absolute()
        or not KEPT.fullmatch(reference.where)
    ):
        return name
    return f"{root.absolute() / reference.where}:{reference.attribute}"


def code_digest(reference: Reference) -> str:
    """64 hex digits of a plug-in's code: of its file; of a module all Python files of its top package, or, where these are
    over 5 MB or 500 files, the module's own file. What the code imports from other packages does not count."""
    if reference.is_file:
        return hashlib.sha256(read_file(reference.path)).hexdigest()
    _import(reference)
    found = hashlib.sha256()
    for name, path in _files(reference.where):
        content = path.read_bytes()
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def _files(module: str) -> Iterator[tuple[str, Path]]:
    """The files that count for a module, by their names in its package."""
    top = importlib.util.find_spec(module.partition(".")[0])
    folders = [Path(folder) for folder in (top.submodule_search_locations or [])] if top else []
    every = sorted((path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py"))
    if 0 < len(every) <= FILES_MOST and sum(path.stat().st_size for _, path in every) <= BYTES_MOST:
        yield from every
        return
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin and Path(spec.origin).is_file():
        yield module, Path(spec.origin)


def _import(reference: Reference) -> ModuleType:
    try:
        return importlib.import_module(reference.where)
    except ImportError as error:
        mine = isinstance(error, ModuleNotFoundError) and f"{reference.where}.".startswith(f"{error.name}.")
        file = Path(*reference.where.split(".")).with_suffix(".py")
        hint = f"; {file} is here: name it {file}:{reference.attribute}" if file.is_file() else ""
        why = "its package is not installed on this machine" if mine else f"it cannot be imported: {error}"
        raise UsageError(
            f"{reference}: {why}; a plug-in named by module must be installed on every machine that runs hdvg{hint}"
        ) from error


class _Content(importlib.abc.ExecutionLoader):
    """Loads the very bytes that were hashed."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content = path, content

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._content)
