"""Where the files of a dataset lie and what their names say: the only module that lists its folders.

Everything else asks `files` for those that are there, `pattern` for what DuckDB is to read, and the `..._name` functions for
new names: files of several units together, a run's epoch in names, or an object store change this module alone.
"""

from __future__ import annotations

import fnmatch
import functools
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

from hdvg.dataset.stages import POOL
from hdvg.errors import UsageError

LAYOUT = 1
"""The newest layout; docs/layout.md says what changes it. Without a number in dataset.toml it is 1."""

CACHE = "cache"
"""The folder of what is made of other files alone, and may be deleted at any time."""

SEED = "seed"
"""What stands for a unit in the name of a file without rows: views find a file by it."""

EVERYTHING = "all"
"""What stands for a unit in the name of a part of the whole pool."""

THERE = "there"
"""In the mirror of a dataset in a bucket: the folder of files that are named as its shards, for a mirror may lack these. Each
holds the version of the shard in the bucket that the mirror has, or would fetch."""

SMALL_FILES, SMALL_BYTES = 500, 4_000_000

Sort = Literal[
    "inputs", "given", "rejected", "parts", "pieces", "shard_rows", "shards", "media", "tombstones", "tables"
]

PATTERNS: dict[Sort, str] = {
    "inputs": "inputs/*.parquet",
    "given": "given/{unit}-{of}.parquet",
    "rejected": "rejected/{of}.parquet",
    "parts": "parts/{stage}/{unit}-{fingerprint}-*.parquet",
    "pieces": "parts/{stage}/pieces/{unit}-{fingerprint}-*.parquet",
    "shard_rows": "parts/shard/{of}-*.parquet",
    "shards": "shards/{of}.parquet",
    "media": "media/*/{of}.*",
    "tombstones": "tombstones/*.parquet",
    "tables": "tables/{of}/*.parquet",
}
"""By sort of file, from the dataset's folder. `{of}`: the import, the shard, the hash or the table."""


def pattern(
    sort: Sort, *, stage: str = "*", unit: str = "*", fingerprint: str = "*", of: str = "*"
) -> str:  # a narrower one each
    """The files of a sort, of one stage, unit, fingerprint or name if that is given, as a pattern from the dataset's folder."""
    if sort == "parts" and stage == "shard":
        return "parts/shard/*.parquet"
    return PATTERNS[sort].format(stage=stage, unit=unit, fingerprint=fingerprint, of=of)


def files(
    root: Path, sort: Sort, *, stage: str = "*", unit: str = "*", fingerprint: str = "*", of: str = "*"
) -> list[Path]:
    """Those that are there, sorted by name; of shards also those that are in the bucket alone (`Store.near` brings them)."""
    return [root / name for name in names(root, sort, stage=stage, unit=unit, fingerprint=fingerprint, of=of)]


def names(
    root: Path, sort: Sort, *, stage: str = "*", unit: str = "*", fingerprint: str = "*", of: str = "*"
) -> list[str]:
    """Their names, from the dataset's folder: of a hundred thousand files paths take ten times as long as the listing."""
    wanted = pattern(sort, stage=stage, unit=unit, fingerprint=fingerprint, of=of)
    found = matching(root, wanted)
    if sort == "shards":
        afar = (name.removeprefix(f"{THERE}/") for name in matching(root, f"{THERE}/{wanted}"))
        return sorted({*found, *afar})
    return found


def matching(root: Path, wanted: str) -> list[str]:
    """The names of the files that a pattern of such names says, folder by folder, each sorted."""
    return Look(root).matching(wanted)


class Look:
    """What is in a dataset's folders at one moment: each is listed once, however often names of it are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, list[str]] = {}

    def matching(self, wanted: str) -> list[str]:
        """See `matching`."""
        *folders, last = wanted.split("/")
        places = [""]
        for folder in folders:
            places = [f"{place}{name}/" for place in places for name in self._of(place, folder)]
        return [place + name for place in places for name in self._of(place, last)]

    def digest(self, wanted: str) -> str:
        """A hash of these names, without those of seeds, which hold no row."""
        return hashlib.sha256("\n".join(self._grown(wanted)).encode()).hexdigest()

    def has_rows(self, wanted: str) -> bool:
        """Whether any of these files is not a seed."""
        return bool(self._grown(wanted))

    def whole(self, *folders: str) -> str:
        """A hash of all that is in the folders that these patterns say."""
        places = [f"{place}/" for folder in folders for place in self.matching(folder)]
        return hashlib.sha256(
            "\n".join(chain.from_iterable([place, *self._in(place)] for place in places)).encode()
        ).hexdigest()

    def _grown(self, wanted: str) -> list[str]:
        return [name for name in self.matching(wanted) if f"/{SEED}-" not in name]

    def _of(self, place: str, wanted: str) -> list[str]:
        if not glob.has_magic(wanted):
            return [wanted] * (self.root / place / wanted).exists()
        return list(filter(_fits(wanted), self._in(place)))

    def _in(self, place: str) -> list[str]:
        if place not in self._listed:
            try:
                self._listed[place] = sorted(os.listdir(self.root / place))
            except (FileNotFoundError, NotADirectoryError):
                self._listed[place] = []
        return self._listed[place]


@functools.lru_cache(maxsize=256)
def _fits(wanted: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(wanted)).match


def tables(root: Path) -> Iterator[Path]:
    """Every sealed table: all files but media and shards."""
    sorts: tuple[Sort, ...] = ("tombstones", "inputs", "given", "rejected", "tables")
    found = [path for sort in sorts for path in files(root, sort)]
    yield from sorted([*found, *root.glob("parts/*/*.parquet")])


def is_small(root: Path) -> bool:
    """Whether all tables together are so few and small that a query may as well read them whole."""
    found = chain(
        root.glob(pattern("inputs")), *(root.glob(place) for place in ("parts/*/*.parquet", "tables/*/*.parquet"))
    )
    left = SMALL_BYTES
    for _, path in zip(range(SMALL_FILES), found, strict=False):
        left -= path.stat().st_size
        if left < 0:
            return False
    return next(found, None) is None


def of_units(root: Path, units: Iterable[str], look: Look | None = None) -> Iterator[Path]:
    """The files of these units: their parts at every stage but the pool, by whatever settings, pieces of such, given scenes."""
    wanted, look = set(units), look or Look(root)
    sorts: tuple[Sort, ...] = ("given", "parts", "pieces")
    for sort in sorts:
        found = (root / name for name in look.matching(pattern(sort)) if _unit(name[name.rfind("/") + 1 :]) in wanted)
        yield from (path for path in found if stage_of_part(path) != POOL)


def unit_of(path: Path) -> str:
    """The unit that a part, a piece or a file of given scenes is of; `SEED` and `EVERYTHING` stand for none."""
    return _unit(path.name)


def _unit(name: str) -> str:
    return name.partition("-")[0].removesuffix(".parquet")


def stage_of_part(path: Path) -> str:
    """The stage that a part is of."""
    return path.parent.name


def newest_generation(paths: Iterable[Path]) -> int:
    """The highest generation among a unit's part files, -1 if there is none."""
    return max((int(path.stem.rsplit("-", 1)[1]) for path in paths), default=-1)


def number_of_list(path: Path) -> int:
    """Which accepted list it is; that of the seed is 0."""
    return int(path.name.partition("-")[0])


def next_list(root: Path) -> int:
    """The number of the next accepted list."""
    return 1 + max(map(number_of_list, files(root, "inputs")))


def list_name(number: int, content: str) -> str:
    """The name of an accepted list; `content` is a hash of its links, or `SEED`."""
    return f"inputs/{number:05d}-{content}.parquet"


def part_name(stage: str, unit: str, fingerprint: str, generation: int) -> str:
    """The name of a part."""
    return f"parts/{stage}/{unit}-{fingerprint}-{generation}.parquet"


def pool_part_name(unit: str, fingerprint: str, content: str) -> str:
    """The name of the part of a unit's clips in the pool; `content` is a hash of its rows."""
    return f"parts/{POOL}/{unit}-{fingerprint}-{content}.parquet"


def piece_name(stage: str, unit: str, fingerprint: str, *, run: str, number: int) -> str:
    """The name of what a run saves before its unit is done."""
    return f"parts/{stage}/pieces/{unit}-{fingerprint}-{run}-{number:06}.parquet"


def table_name(name: str, content: str) -> str:
    """The name of a file of a table that no stage makes."""
    return f"tables/{name}/{content}.parquet"


def shard_row_name(shard: str, content: str) -> str:
    """The name of the part that says what a shard holds; `content` is a hash of that."""
    return f"parts/shard/{shard}-{content}.parquet"


def row_content(name: str) -> tuple[str, str]:
    """The shard that a part of that name is of, and the hash of what it holds."""
    shard, _, content = name[name.rfind("/") + 1 :].removesuffix(".parquet").rpartition("-")
    return shard, content


def seed_name(stage: str, fingerprint: str | None) -> str:
    """The name of a stage's part without rows; shards have no fingerprint."""
    return f"parts/{stage}/{SEED}.parquet" if fingerprint is None else part_name(stage, SEED, fingerprint, 0)


def check_layout(layout: int, *, where: str) -> None:
    """Raise UsageError unless this hdvg reads that layout."""
    if not isinstance(layout, int) or not 1 <= layout <= LAYOUT:
        raise UsageError(f"{where}: layout {layout!r}; this hdvg reads 1 to {LAYOUT}: use the hdvg that made it")
