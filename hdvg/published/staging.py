"""A metadata file read into a scratch folder: its scenes, links and rejected entries as tables that need not fit in memory."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.errors import ItemError
from hdvg.ids import video_id
from hdvg.published.entries import SCENE, Bad, Entry, Scene, said
from hdvg.sources.canonical import canonical
from schemas.columns import INT, STR
from schemas.given import GIVEN
from schemas.rejected import REJECTED

BATCH_ROWS = 65_536
TABLES = {
    "scenes": pa.schema([*(GIVEN.field(name) for name in ("video_id", "place", *SCENE)), pa.field("at", INT)]),
    "links": pa.schema([("link", STR), ("source", STR), ("video_id", STR), ("line", INT)]),
    "rejected": REJECTED,
}
"""`links` has a row for each entry that something was taken of."""
VIDEO, PLACE, NAME, AT = 0, 1, 2, -1
"""Columns of `scenes`."""
WATCH = re.compile(r"https://www\.youtube\.com/watch\?v=[\w-]{11}", re.ASCII)
"""Links that are canonical as they stand; looking at each part of them takes longer than reading their scenes."""
UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What a value of another type, or text that is no UTF-8, raises where a column is made of it."""


class Spill:
    """Writes `TABLES` into a folder; a context manager, at whose end they are whole."""

    def __init__(self, folder: Path, *, origin: str, file: Path) -> None:
        self.paths = {name: str(folder / f"{name}.parquet") for name in TABLES}
        self.n_entries = self.n_scenes = 0
        self.reasons: Counter[str] = Counter()
        self.first_bad = ""
        self._of_file = {"origin": origin, "file": file.name}
        self._place = 0
        self._rows: dict[str, list[Any]] = {name: [] for name in TABLES}
        self._of: list[tuple[str, int, int]] = []  # for each entry: video, at, how many of the scenes are its
        self._places: list[int] = []
        self._resolve = lru_cache(1 << 16)(partial(_resolve, base=file.absolute().parent))
        self._open = ExitStack()

    def __enter__(self) -> Spill:
        self._writers = {
            name: self._open.enter_context(
                pq.ParquetWriter(
                    self.paths[name],
                    schema,
                    compression="none",
                    use_dictionary=["video_id", "parent"],
                    write_statistics=False,
                )
            )
            for name, schema in TABLES.items()
        }
        return self

    def __exit__(self, *error: Any) -> None:
        with self._open:
            if error[0] is None:
                self._flush()

    def add(self, entry: Entry) -> bool:
        """Take an entry in; whether anything of it can be used."""
        self.n_entries += 1
        first, self._place = self._place + 1, self._place + len(entry.scenes)
        why, found = entry.why, None
        try:
            if entry.link is not None:
                found = self._resolve(entry.link)
        except (ItemError, TypeError, ValueError) as error:
            why = f"its link: {error.detail if isinstance(error, ItemError) else said(error)}"
        good: Sequence[Scene | Bad] = entry.scenes if found else ()
        places: Sequence[int] = range(first, self._place + 1)
        if found is None or Bad in map(type, entry.scenes):
            numbered = list(enumerate(entry.scenes, start=first))
            kept = [one for one in numbered if found and type(one[1]) is not Bad]
            self._refuse(entry, [one for one in numbered if not found or type(one[1]) is Bad], why, found)
            good, places = [scene for _, scene in kept], [place for place, _ in kept]
        if found and good:
            self._places += places
            self._rows["scenes"] += good
            self._of.append((found[1], entry.at, len(good)))
            self._rows["links"].append((entry.link, *found, entry.number))
        if max(map(len, self._rows.values())) >= BATCH_ROWS:
            self._flush()
        return bool(good)

    def _refuse(
        self, entry: Entry, numbered: Iterable[tuple[int, Scene | Bad]], why: str, found: tuple[str, str] | None
    ) -> None:
        for place, scene in numbered:
            name, own = (scene.name, scene.why) if isinstance(scene, Bad) else (scene[0], "")
            columns = {"link": _clean(entry.link), "video_id": found[1] if found else None}
            self._reject(place, entry.at, name, own or why, columns)

    def _reject(self, place: int, at: int, name: object, why: str, columns: dict[str, str | None]) -> None:
        self.reasons["bad_input"] += 1
        self.first_bad = self.first_bad or f"at {at}: {why}"
        row = {"place": place, "at": at, "given_id": _clean(name), "reason": "bad_input", "detail": _clean(why)}
        self._rows["rejected"].append(self._of_file | row | columns)

    def _flush(self) -> None:
        scenes = list(map(list, zip(*self._rows["scenes"], strict=True))) or [[] for _ in SCENE]
        videos = [video for video, _, count in self._of for _ in range(count)]
        at = [at for _, at, count in self._of for _ in range(count)]
        for table in self._tables([videos, self._places, *scenes, at]):
            self.n_scenes += len(table)
            self._writers["scenes"].write_table(table)
        links = list(zip(*self._rows["links"], strict=True)) or [()] * len(TABLES["links"])
        self._writers["links"].write_table(pa.table(list(map(pa.array, links)), schema=TABLES["links"]))
        self._writers["rejected"].write_table(pa.Table.from_pylist(self._rows["rejected"], schema=REJECTED))
        self._of, self._places, self._rows = [], [], {name: [] for name in TABLES}

    def _tables(self, columns: list[list[Any]]) -> Iterator[pa.Table]:
        """The rows that fit the columns' types; those that do not are rejected, found by halving."""
        try:
            schema = TABLES["scenes"]
            yield pa.table([_array(one, field) for one, field in zip(columns, schema, strict=True)], schema=schema)
        except UNFIT as error:
            half = len(columns[0]) // 2
            if half:
                yield from self._tables([column[:half] for column in columns])
                yield from self._tables([column[half:] for column in columns])
            else:
                row = [column[0] for column in columns]
                self._reject(row[PLACE], row[AT], row[NAME], said(error), {"video_id": row[VIDEO]})


def _resolve(link: str, *, base: Path) -> tuple[str, str]:
    """Canonical source and video id; a path of a file is taken from `base`. Raises ItemError, TypeError, ValueError."""
    if not isinstance(link, str):
        raise TypeError("no text")
    link.encode()
    source = link if WATCH.fullmatch(link) else canonical(link, base=base)
    return source, video_id(source)


def _clean(value: object) -> str | None:
    """Text as it can be stored: at most 1000 characters, what is no UTF-8 marked."""
    return value[:1000].encode("utf-8", "replace").decode() if isinstance(value, str) else None


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of reference cycles, which doubles the time of reading JSON: there are none in it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    """The values as the field wants them. Raises one of `UNFIT`; Arrow itself would cut 10.5 frames down to 10."""
    if field.name == "given_id" and not (set(map(type, values)) <= {str} and "" not in values):
        raise TypeError("it has no id that is text")
    if field.name in ("start_frame", "end_frame") and not set(map(type, values)) <= {int, type(None)}:
        raise TypeError(f"`{field.name}` is no whole number")
    return pa.array(values, field.type)
