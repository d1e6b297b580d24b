"""The latent store as a trainer reads it: clips, memory-mapped windows and text states; and how clips are forgotten.

Shapes: T frames, H, W of the latent, C channels (2C with a posterior), L tokens, X their width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.connection import connect
from hdvg.dataset.manifest import literal, no_glob
from hdvg.errors import DamagedError, UsageError, first_line
from hdvg.latents.buckets import NONE
from hdvg.latents.clips import wanted
from hdvg.latents.encoders import FACTOR
from hdvg.latents.lengths import Lengths
from hdvg.latents.settings import Encoding
from hdvg.latents.units import EMPTY, Keys, find_keys, indexes

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.units import Halves

    Shape = tuple[int, int, int, int]

FITTED = "patches-*.npz"
"""Codecs that were fitted on a dataset's own clips, in its latents/, or in that of a training run."""

MAPPED = 16384
"""Files that are mapped at once; Linux lets a process map 65530 stretches."""


WHY_NOT = ["clip_id", "reason", "detail", "bucket", "lacks", "shard"]
"""Columns that `why_not` asks for, and the clip they are of."""


@dataclass(frozen=True)
class Clip:
    """One clip of a store: its windows' shape (T, H, W, C), and for each text its row and how often to draw it."""

    clip_id: str
    video_id: str
    shape: Shape
    windows: int
    texts: tuple[tuple[int, float], ...]
    starts_s: tuple[float, ...]


class Clips(Sequence[Clip]):
    """Clips by clip_id, made when they are asked for: ten million take as much memory as their ids and numbers."""

    def __init__(self, rows: pa.Table, shapes: Sequence[Shape]) -> None:
        self._shapes = tuple(shapes)
        self._text_columns = [_one(rows, name) for name in ("clip_id", "video_id", "starts_s", "weights")]
        self._numbers = [_numbers(rows, name) for name in ("bucket", "windows")]
        counts = pc.list_value_length(rows["weights"]).to_numpy()
        self._numbers.append(np.cumsum(counts) - counts)  # the first of a clip's texts

    def __len__(self) -> int:
        return len(self._numbers[0])

    def __getitem__(self, at: Any) -> Any:  # Any: of an int a clip, of a slice a list
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        clip_id, video_id, starts_s, weights = (column[at].as_py() for column in self._text_columns)
        bucket, windows, first = (int(column[at]) for column in self._numbers)
        texts = tuple((first + number, weight) for number, weight in enumerate(weights))
        return Clip(clip_id, video_id, self._shapes[bucket], windows, texts, tuple(starts_s))

    def names(self, what: Literal["clip_id", "video_id"]) -> list[str]:
        """That of every clip: a hundred times as fast as clip by clip."""
        named: list[str] = self._text_columns[("clip_id", "video_id").index(what)].to_pylist()
        return named


class Mapped:
    """Memory-mapped .npy files by number; for any number of threads, and to be pickled."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._open = lru_cache(MAPPED)(self._map)

    def __getitem__(self, number: int) -> Halves:
        return self._open(number)

    def __reduce__(self) -> tuple[Any, ...]:
        return Mapped, (self._paths,)

    def _map(self, number: int) -> Halves:
        path = self._paths[number]
        try:
            return np.asarray(np.load(path, mmap_mode="r"))  # slices of a plain array cost a tenth
        except (EOFError, FileNotFoundError, ValueError) as error:
            lost = "is gone" if isinstance(error, FileNotFoundError) else f"is damaged ({first_line(error)})"
            raise DamagedError(
                f"{path} {lost}; `hdvg verify --repair {path.parents[2]}` makes it again, then the same command goes on"
            ) from error


class Latents:
    """What is encoded of a dataset's clips: read-only, for any number of threads; may be pickled.

    `wanted` is what the query counts; of the clips that cannot be encoded `failed` says why, by clip_id. `digest`
    depends on the clips, their texts and the encoders. `lengths` says how much of the texts is cut.
    """

    clips: Clips

    def __init__(self, root: Path, rows: pa.Table, texts: pa.Table, *, keys: Keys, encoding: Encoding) -> None:
        self.codec, self.text = keys.codec, keys.text
        self.wanted, self.failed = 0, dict[str, str]()
        self.digest = data_digest(rows, keys)
        folders = [root / "latents" / key for key in keys.windows]
        self.clips = Clips(
            rows, [_shape(folder, bucket) for folder, bucket in zip(folders, encoding.buckets, strict=True)]
        )
        units, self._unit = _units(rows)
        text_units, self._text_unit = _units(texts)
        self._first, self._row = _numbers(rows, "first"), _numbers(texts, "row")
        self._count = texts["states"].fill_null(-1).to_numpy()
        self._windows, self._states = Mapped(units), Mapped(text_units)
        self.lengths = Lengths.of(texts["tokens"].to_pylist(), encoding.text_tokens)
        self._empty: Halves = np.load(root / "latents" / keys.states / f"{EMPTY}.npy")
        self.text_shape: tuple[int, int] = self._empty.shape[1], self._empty.shape[2]

    @classmethod
    def open(cls, dataset: Dataset, encoding: Encoding, *, where: str | None = None) -> Latents:
        """The clips that are kept and of which `where` holds, by clip_id.

        Raises UsageError if clips are not encoded yet that could be.
        """
        keys = find_keys(dataset, encoding)
        rows = wanted(dataset, encoding, where)
        with indexes(dataset.root, keys) as connection:
            rows, texts, failed = _find(connection, rows, dataset, encoding)
        latents = cls(dataset.root, rows, texts, keys=keys, encoding=encoding)
        latents.wanted, latents.failed = len(rows) + len(failed), failed
        return latents

    def read(self, clip: int, window: int, out: Halves) -> None:
        """Copy a window of the clip of that number into `out`, float16 (T, H, W, C)."""
        np.copyto(out, self._windows[int(self._unit[clip])][self._first[clip] + window])

    def read_text(self, row: int, out: Halves) -> None:
        """Copy a text's states into `out`, float16 (L, X); row -1 is the empty text."""
        if row < 0:
            return np.copyto(out, self._empty[0])
        states, first, count = self._states[int(self._text_unit[row])], self._row[row], self._count[row]
        if count < 0:
            return np.copyto(out, states[first])
        out[:count] = states[first : first + count]
        out[count:] = 0


def _find(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, dataset: Dataset, encoding: Encoding
) -> tuple[pa.Table, pa.Table, dict[str, str]]:
    """Rows of the clips that are encoded, rows of their texts, and why others cannot be."""
    connection.register("wanted", rows)
    both = connection.sql("from wanted left join windows using (clip_id, bucket) order by clip_id").to_arrow_table()
    is_there = pc.fill_null(pc.greater(both["windows"], 0), False)
    failed: dict[str, str] = {}
    missing = 0
    for row in both.filter(pc.invert(is_there)).select(WHY_NOT).to_pylist():
        why = why_not(row)
        missing += why is None
        if why is not None:
            failed[row["clip_id"]] = why
    there = both.filter(is_there)
    connection.register("there", there)
    texts = connection.sql(
        "select unit, row, states, tokens from (select clip_id, unnest(text_ids) as text_id, generate_subscripts(text_ids, 1) as place "
        "from there) left join states using (clip_id, text_id) order by clip_id, place"
    ).to_arrow_table()
    texts_missing = texts["unit"].null_count
    if missing or texts_missing:
        raise UsageError(
            f"{dataset.root}: {missing} of {len(rows)} clips and {texts_missing} texts of others are not encoded for data.codec = "
            f"{encoding.codec!r}, data.text = {encoding.text!r}: hdvg encode {dataset.root} --recipe RECIPE, with the same "
            "recipe and --set as here"
        )
    return there, texts, failed


def why_not(row: dict[str, Any]) -> str | None:
    """Why a clip that is not there cannot be encoded; None if it only was not yet."""
    if row["reason"] is not None:
        return f"{row['reason']}: {row['detail']}"
    if row["lacks"] is not None and row["shard"] is None:
        return str(row["lacks"])
    return NONE.get(row["bucket"])


def data_digest(rows: pa.Table, keys: Keys) -> str:
    """32 hex digits of the clips, their texts with weights, and the encoders."""
    whole = hashlib.sha256(json.dumps([keys.codec, keys.text, keys.windows, keys.states]).encode())
    for batch in rows.select(["clip_id", "text_ids", "weights"]).combine_chunks().to_batches(max_chunksize=100_000):
        whole.update(json.dumps(list(batch.to_pydict().values())).encode())
    return whole.hexdigest()[:32]


def forget(dataset: Dataset, clip_ids: Collection[str]) -> int:
    """Remove every unit that holds latents or texts of any of these clips, and what of a unit was not committed.

    A codec that was fitted on the dataset's clips may hold something of them: it goes too, with all that it encoded, and the
    next `hdvg encode` fits it anew. Returns how many other clips must be encoded again. Under the run lock. What a process has
    mapped it keeps until it ends.
    """
    root = dataset.root / "latents"
    again: set[str] = set()
    if clip_ids and (fitted := sorted(root.glob(FITTED))):
        for folder in [path.parent for path in sorted(root.glob("*/about.json")) if _is_fitted(path)]:
            for path in [*sorted(folder.glob("*.parquet")), *sorted(folder.glob("*.npy")), folder / "about.json"]:
                if path.suffix == ".parquet":
                    again |= set(pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist()) - set(clip_ids)
                dataset.store.remove(str(path.relative_to(dataset.root)))
        for path in fitted:  # last: a purge that is stopped finds it again
            dataset.store.remove(str(path.relative_to(dataset.root)))
    if any(root.glob("*/*.parquet")):
        files = f"read_parquet({literal(no_glob(str(root)) + '/*/*.parquet')}, filename = true, union_by_name = true)"
        with connect(dataset.root) as connection:
            connection.register("gone", pa.table({"clip_id": pa.array(sorted(clip_ids), pa.string())}))
            connection.execute(f"create table held as select clip_id, filename from {files}")
            connection.execute("create view hit as select distinct filename from held semi join gone using (clip_id)")
            hit = connection.sql("from hit order by filename").fetchall()
            others = connection.sql(
                "select clip_id from held semi join hit using (filename) anti join gone using (clip_id)"
            )
            again |= {clip_id for (clip_id,) in others.fetchall()}
        for (name,) in hit:
            dataset.store.remove(str(Path(name).relative_to(dataset.root)))
    for numbers in sorted(root.glob("*/*.npy")):
        if numbers.stem != EMPTY and not numbers.with_suffix(".parquet").exists():
            dataset.store.remove(str(numbers.relative_to(dataset.root)))
    return len(again)


def _is_fitted(about: Path) -> bool:
    """Whether codec `patches`, fitted on the dataset, made what a folder of windows holds."""
    return str(json.loads(about.read_text(encoding="utf-8")).get("codec", "")).startswith("patches@")


def _shape(folder: Path, bucket: tuple[int, int, int]) -> Shape:
    """(T, H, W, C) of a window of a bucket; C is 0 where nothing is encoded yet."""
    about = folder / "about.json"
    channels = json.loads(about.read_text(encoding="utf-8"))["channels"] if about.exists() else 0
    return bucket[0], bucket[1] // FACTOR, bucket[2] // FACTOR, channels


def _units(rows: pa.Table) -> tuple[list[Path], Any]:
    """The files of a column `unit`, and the number of each row's."""
    coded = pc.dictionary_encode(rows["unit"].combine_chunks())
    return [Path(name) for name in coded.dictionary.to_pylist()], coded.indices.to_numpy()


def _one(rows: pa.Table, name: str) -> pa.Array:
    column = rows[name].combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _numbers(rows: pa.Table, name: str) -> Any:
    return rows[name].to_numpy()
