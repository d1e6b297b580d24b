"""The folder of an export, here or in a bucket: its own or refused, and filled file by file, each under its name only when it is
whole.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdvg.dataset import run_lock
from hdvg.dataset.far import Far
from hdvg.dataset.far_looks import PROBE, hash_there, probe
from hdvg.dataset.object_lease import LEASE
from hdvg.dataset.store import FileOps, Store
from hdvg.environment import VERSION
from hdvg.errors import ResourceError, UsageError
from hdvg.exporting.piece import Piece
from hdvg.ids import file_sha256

MARK = "export.json"
"""Says what the folder holds: format, dataset, condition, and the identity of every file that is there or will be."""

_PASSING = {"tmp", "run.lock", "run.lease"}
PASSING_THERE = re.compile(rf"{re.escape(LEASE)}$|{PROBE}-\w+$|$")
"""What else may lie in a bucket; the empty name is a folder's, as some tools make it."""


class Target:
    """The folder, while one export works on it."""

    def __init__(self, store: Store, *, dataset: str, form: str) -> None:
        self.store = store
        self._looks: dict[str, tuple[int, str]] = {}
        self._header: dict[str, Any] = {"hdvg": VERSION, "format": form, "dataset": dataset}

    def expect(self, pieces: Sequence[Piece], settings: Mapping[str, Any]) -> None:
        """Say what the folder will hold, once all of an earlier export that is not the same is gone.

        So a file under its name always is what the mark says of it, whenever the machine stops.
        """
        files = {piece.name: piece.identity for piece in pieces}
        for name, identity in self._before().items():
            if files.get(name) != identity:
                self.store.remove(name)
        self.store.replace(MARK, json.dumps(self._header | dict(settings) | {"files": files}, indent=1) + "\n")

    def write(self, piece: Piece) -> bool:
        """Make the file appear, whole; False if it was there already. One that is in a bucket leaves this machine."""
        far, path = self.store.far, self.store.root / piece.name
        if far is None:
            return self.store.publish(piece.name, piece.write)
        if piece.name in (far.listed or ()):
            return False
        is_new = self.store.publish(piece.name, piece.write)
        far.hashes[piece.name] = file_sha256(path)
        path.unlink()
        return is_new

    def look(self, name: str) -> tuple[int, str]:
        """Bytes and SHA-256 of a file that is written; of one that an earlier try put into a bucket, by reading it there."""
        far, path = self.store.far, self.store.root / name
        if far is None:
            if name not in self._looks:
                self._looks[name] = path.stat().st_size, file_sha256(path)
            return self._looks[name]
        sha256 = hash_there(far, name)
        if sha256 is None:
            raise ResourceError(f"{far.link}{name}: somebody has taken it away meanwhile; run the same command again")
        return (far.listed or {})[name][0], sha256

    def lacks(self, piece: Piece) -> bool:
        """Whether it is not there yet."""
        return not (self.store.root / piece.name).exists()

    def bytes(self) -> int:
        """Size of all that is in the folder, but for what passes."""
        if self.store.far is not None:
            return sum(
                size for name, (size, _) in (self.store.far.listed or {}).items() if not PASSING_THERE.match(name)
            )
        found = (
            path for path in self.store.root.rglob("*") if path.relative_to(self.store.root).parts[0] not in _PASSING
        )
        return sum(path.stat().st_size for path in found if path.is_file())

    def _before(self) -> dict[str, str]:
        """The files that an earlier export meant to write, name -> identity."""
        files: dict[str, str] = mark_at(self.store.root / MARK).get("files", {})
        for name in files:
            if not (self.store.root / name).resolve().is_relative_to(self.store.root):
                raise UsageError(f"{self.store.root / MARK} names a file outside its folder: {name}")
        return files


@contextmanager
def opened(
    out: Path, *, dataset: str, form: str, ops: FileOps | None = None, far: Far | None = None
) -> Iterator[Target]:
    """The folder `out`, made if need be, or that of a bucket, for this process alone.

    Raises UsageError if it holds anything but an earlier export of this dataset in this format.
    """
    if far is None:
        _refuse_foreign(out, dataset=dataset, form=form)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{out}: cannot be made: {error.strerror or error}") from error
    store = Store(out.resolve(), ops, run=uuid.uuid4().hex)
    store.far = far
    with store.lock() if far is None else _held_there(far, store.run, dataset=dataset, form=form):
        store.begin()
        try:
            yield Target(store, dataset=dataset, form=form)
        finally:
            for name in ("tmp", "run.lease"):
                store.ops.remove_tree(store.root / name)
            store.ops.unlink(store.root / "run.lock")


@contextmanager
def _held_there(far: Far, run: str, *, dataset: str, form: str) -> Iterator[None]:
    """Hold the lease of a folder of a bucket, of which the mark is then in the folder that is worked in; none stays behind."""
    if not _list(far, dataset=dataset, form=form):
        probe(far, run)
    with run_lock.hold(far.root, run, far.shelf):
        _list(far, dataset=dataset, form=form)
        yield
    with far.speaking(LEASE):
        far.bucket.delete([LEASE])


def _list(far: Far, *, dataset: str, form: str) -> dict[str, Any]:
    """List the folder of the bucket; the mark in it. Raises as `opened`."""
    with far.speaking(""):
        listed = {one.name: (one.size, one.touched) for one in far.bucket.objects()}
    far.listed, far.followed = listed, 0
    strangers = sorted(name for name in listed if not PASSING_THERE.match(name))
    (far.root / MARK).unlink(missing_ok=True)
    if not strangers:
        return {}
    if MARK not in listed:
        raise UsageError(
            f"--out {far.link} holds other files ({', '.join(strangers[:3])}), no export; name a new folder of the bucket"
        )
    far.fetch(MARK)
    mark = mark_at(far.root / MARK)
    refuse_other(mark, far.link, dataset=dataset, form=form)
    return mark


def _refuse_foreign(out: Path, *, dataset: str, form: str) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out} is a file; name a new or empty folder")
    held = {path.name for path in out.iterdir()}
    strangers = sorted(held - _PASSING)
    if not held or (not strangers and "run.lock" in held):
        return
    if MARK not in strangers:
        listed = ", ".join(strangers[:3] or sorted(held))
        raise UsageError(f"--out {out} holds other files ({listed}), no export; name a new or empty folder")
    refuse_other(mark_at(out / MARK), str(out), dataset=dataset, form=form)


def refuse_other(mark: Mapping[str, Any], out: str, *, dataset: str, form: str) -> None:
    """Raise UsageError unless the mark of what lies at `out` is of an export of this dataset in this format."""
    if (mark.get("dataset"), mark.get("format")) != (dataset, form):
        held = f"an export of {mark.get('dataset')} as {mark.get('format')}" if mark else "other files, no export"
        raise UsageError(f"--out {out} holds {held}, not of {dataset} as {form}; name another place")


def mark_at(path: Path) -> dict[str, Any]:
    """The mark of an export, {} if there is none. Raises UsageError for what is no mark."""
    try:
        mark = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        mark = None
    if not isinstance(mark, dict) or not isinstance(mark.get("files", {}), dict):
        raise UsageError(f"{path} is not what hdvg export writes; name a new or empty folder")
    return mark
