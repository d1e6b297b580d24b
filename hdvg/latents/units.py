"""The files of the latent store: keys, units, and which clips and texts they hold.

    latents/<key>/<unit>.npy        float16: windows (windows, T, H, W, C) of a unit's clips, or states (states, X) of its texts
    latents/<key>/<unit>.parquet    whose they are; published after the numbers, it commits them
    latents/<key>/about.json        what the key stands for, for people
    latents/<key>/empty.npy         of states: those of the empty text

A key is a digest of what shapes the numbers: for windows the codec and its weights, the bucket, fps, windows, what is kept
of a posterior, and how clips are cut; for states the text encoder, its weights and how many tokens. So other buckets or new
captions leave in use what is there. The name of a unit depends on its clips.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hdvg.dataset.connection import connect
from hdvg.dataset.inventory import NUMBERS
from hdvg.dataset.manifest import literal, no_glob
from hdvg.ids import digest, file_sha256
from hdvg.latents.encoders import codec_name, has_posterior, text_name
from hdvg.latents.settings import Encoding

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.store import Store

    Halves = npt.NDArray[np.float16]

VERSION = 1
"""Raise it when code changes the numbers of every encoder."""

EMPTY = "empty"

WINDOWS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("first", pa.int64()),  # its first window in the .npy
        ("windows", pa.int64()),  # 0 if it could not be decoded
        ("starts_s", pa.list_(pa.float64())),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
STATES = pa.schema(
    [
        ("clip_id", pa.string()),
        ("text_id", pa.string()),
        ("row", pa.int64()),  # its first state in the .npy
        # how many it has, zeros of the padding left out; null of an earlier hdvg, whose .npy is (texts, L, X): then `row` is the text
        ("states", pa.int64()),
        ("tokens", pa.int64()),  # of the whole text; null if its encoder, or an earlier hdvg, did not count
    ]
)


@dataclass(frozen=True)
class Keys:
    """The names of the encoders, and the keys of what they make: one a bucket, and that of states."""

    codec: str
    text: str
    windows: tuple[str, ...]
    states: str


def find_keys(dataset: Dataset, encoding: Encoding) -> Keys:
    """Where the store holds what this encoding makes. Raises UsageError if an encoder is not there, or not fitted."""
    codec, text = codec_name(encoding, dataset.root), text_name(encoding, dataset.root)
    settings = encoding.fps, encoding.windows, _kept(encoding, dataset.root), dataset.plan.fingerprints["cut"]
    windows = [digest("windows", VERSION, codec, bucket, *settings)[:16] for bucket in encoding.buckets]
    return Keys(codec, text, tuple(windows), digest("states", VERSION, text, encoding.text_tokens)[:16])


def describe(store: Store, found: Keys, encoding: Encoding, channels: int) -> None:
    """Say in each key's folder what it holds."""
    common = {
        "channels": channels,
        "fps": encoding.fps,
        "most_windows": encoding.windows,
        "keeps": _kept(encoding, store.root),
    }
    for key, bucket in zip(found.windows, encoding.buckets, strict=True):
        _say(store, key, {"codec": found.codec, "bucket": bucket, **common})
    _say(store, found.states, {"text": found.text, "tokens": encoding.text_tokens})


def _kept(encoding: Encoding, root: Path) -> str:
    return encoding.keeps if has_posterior(encoding, root) else "mean"


def _say(store: Store, key: str, said: dict[str, object]) -> None:
    text = json.dumps(said, indent=1) + "\n"
    store.publish(f"latents/{key}/about.json", lambda path: path.write_text(text, encoding="utf-8"))


def publish(store: Store, key: str, unit: str, *, numbers: Halves, index: pa.Table) -> None:
    """Publish a unit: the numbers, then the index that commits them and says their hash."""
    publish_numbers(store, key, unit, numbers)
    sha256 = file_sha256(store.root / f"latents/{key}/{unit}.npy")
    marked = index.replace_schema_metadata({**(index.schema.metadata or {}), NUMBERS: sha256.encode()})
    store.publish_table(f"latents/{key}/{unit}.parquet", marked)


def publish_numbers(store: Store, key: str, name: str, numbers: Halves) -> None:
    """Publish numbers alone."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, numbers)

    store.publish(f"latents/{key}/{name}.npy", write)


def unit_name(kind: str, members: Iterable[object]) -> str:
    """The name of a unit of these members."""
    return digest(kind, list(members))[:16]


@contextmanager
def indexes(root: Path, found: Keys) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the views `windows` (bucket, clip_id, unit, first, …) and `states` (clip_id, text_id, unit, row).

    `unit` is the path of its .npy. What two units hold (of two that wrote at once) counts once.
    """
    with connect(root) as connection:
        buckets = [
            f"select {number} as bucket, * from ({_read(root, key)})" for number, key in enumerate(found.windows)
        ]
        _view(connection, "windows", buckets, "bucket, clip_id", WINDOWS)
        _view(
            connection,
            "states",
            [f"select 0 as bucket, * from ({_read(root, found.states)})"],
            "clip_id, text_id",
            STATES,
        )
        yield connection


def _view(
    connection: duckdb.DuckDBPyConnection, name: str, queries: Sequence[str], once: str, schema: pa.Schema
) -> None:
    connection.register(f"no_{name}", schema.empty_table())
    none = f"select null::bigint as bucket, *, null::varchar as unit from no_{name} where false"
    there = [query for query in queries if "()" not in query]
    connection.execute(
        f"create view {name} as select * from ({' union all by name '.join([none, *there])}) "
        f"qualify row_number() over (partition by {once} order by unit) = 1"
    )


def _read(root: Path, key: str) -> str:
    """SQL of a key's indexes; "" if there are none."""
    if not any((root / "latents" / key).glob("*.parquet")):
        return ""
    pattern = f"{no_glob(str(root / 'latents' / key))}/*.parquet"
    return (
        f"select * exclude (filename), regexp_replace(filename, 'parquet$', 'npy') as unit "
        f"from read_parquet({literal(pattern)}, filename = true, union_by_name = true)"
    )
