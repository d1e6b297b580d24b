"""The search for copies in parts: buckets of like pictures, then blocks of clips, each by itself, in any order and place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hdvg.duplicates.candidates import FOUND, Found, buckets, counted, first_code, foremost, near_in
from hdvg.duplicates.likeness import Pairs, Settings, copies, joint, none
from hdvg.duplicates.series import Ints, Series

BLOCK, BLOCKS = 2**16, 512
"""Clips of a block, more if there were more blocks than so many."""

Do = Callable[[Any, Series], Any]


@dataclass(frozen=True)
class Parts:
    """A search that goes on: what `do(item, series)` gives for each item, in any order; `folder` is seen wherever that is done."""

    folder: Path
    each: Callable[[Do, Iterable[Any]], Iterator[Any]]


Spread = Callable[[Series], AbstractContextManager[Parts]]
"""Does the parts of a search in these clips."""


def here(scratch: Path | None = None) -> Spread:
    """One part after the other, in this process; files that pass lie in `scratch`."""

    @contextmanager
    def opened(series: Series) -> Iterator[Parts]:
        with TemporaryDirectory(dir=scratch, prefix="search-") as folder:
            yield Parts(Path(folder), lambda do, items: (do(item, series) for item in items))

    return opened


def find_copies(series: Series, settings: Settings, spread: Spread, *, across: int = 0) -> Pairs:
    """Copies among the clips, sorted; with `across`, only pairs of a clip before that index and one from it on."""
    if len(series) < 2:
        return none()
    with spread(series) as parts:
        found = _Blocks(parts.folder, len(series))
        for some in parts.each(partial(near_in, across=across), buckets(series)):
            found.add(some)
        pairs = dict(parts.each(partial(_copies_of, settings=settings), found.paths()))
    return joint([none(), *(pairs[number] for number in sorted(pairs))])


class _Blocks:
    """What buckets found, a file for each block of lower clips."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        size = max(BLOCK, math.ceil(count / BLOCKS))
        self._edges = np.array([first_code(clip) for clip in range(0, count, size)], np.uint64)

    def add(self, found: Found) -> None:
        """Take in what one bucket found."""
        places: Ints = np.searchsorted(found["code"], self._edges)
        for number, part in enumerate(np.split(found, places[1:])):
            if len(part):
                with self._path(number).open("ab") as file:
                    part.tofile(file)

    def paths(self) -> list[Path]:
        """The files there are."""
        return [path for number in range(len(self._edges)) if (path := self._path(number)).exists()]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.found"


def _copies_of(path: Path, series: Series, *, settings: Settings) -> tuple[str, Pairs]:
    """The block's name, and the copies whose lower clip is in it."""
    found = np.fromfile(path, FOUND)
    found = found[np.argsort(found["code"])]
    return path.name, copies(series, *foremost(counted(found["code"], found["votes"])), settings=settings)
