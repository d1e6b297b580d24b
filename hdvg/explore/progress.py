"""Units done by stage, as part files say: a folder is listed again only after it has changed, and of each file the time is read once."""

from __future__ import annotations

import fnmatch
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import SEED, files, pattern, unit_of

SETTLED_NS = 1_000_000_000
"""A folder that changed so shortly before it was listed is listed again: the next change may have the same time."""


@dataclass
class Folder:
    """The part files of one stage by one fingerprint: units, and when files that are younger than `window_s` were written."""

    place: Path
    wanted: str
    """A pattern of their names."""
    seen: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    fresh: list[float] = field(default_factory=list)
    changed_ns: int = -1
    listed_ns: int = 0

    def look(self, window_s: float) -> None:
        """Take in what has come since the last time; what has gone makes it begin anew."""
        changed = _changed_ns(self.place)
        if changed == self.changed_ns and changed < self.listed_ns - SETTLED_NS:
            return
        self.changed_ns, self.listed_ns = changed, time.time_ns()
        names = set(os.listdir(self.place)) if changed else set()
        if self.seen - names:
            self.seen, self.units, self.fresh = set(), set(), []
        for name in fnmatch.filter(names - self.seen, self.wanted):
            path = self.place / name
            if unit_of(path) != SEED:
                self.units.add(unit_of(path))
                written = _written(path)
                self.fresh += [written] if time.time() - written < window_s else []
        self.seen = names


class Progress:
    """What was seen of one dataset's part files; for many threads."""

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {}
        self._lists: tuple[str, ...] = ()
        self._units = 0
        self._lock = threading.Lock()

    def done(self, dataset: Dataset, stage: str, *, window_s: float) -> tuple[int, list[float]]:
        """Units that a stage has done by today's settings, and when each file of the last `window_s` was written (Unix time)."""
        where = Path(pattern("parts", stage=stage, fingerprint=dataset.plan.fingerprints[stage]))
        with self._lock:
            folder = self._folders.get(stage)
            if folder is None or folder.wanted != where.name:
                folder = self._folders[stage] = Folder(dataset.root / where.parent, where.name)
            folder.look(window_s)
            oldest = time.time() - window_s
            folder.fresh = [written for written in folder.fresh if written > oldest]
            return len(folder.units), list(folder.fresh)

    def units(self, dataset: Dataset) -> int:
        """Units of all accepted lists."""
        lists = files(dataset.root, "inputs")
        names = tuple(path.name for path in lists)
        with self._lock:
            if names != self._lists:
                columns = [pc.unique(pq.read_table(path, columns=["unit"])["unit"]) for path in lists]
                self._units = len({unit for column in columns for unit in column.to_pylist() if unit})
                self._lists = names
            return self._units


def _changed_ns(folder: Path) -> int:
    """0 if there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
