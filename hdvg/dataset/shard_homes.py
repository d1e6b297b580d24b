"""Which shard a clip lies in: it follows from its video's name, so that a change rewrites the shards it touches and no other.

The videos of an accepted list stand in the order of a hash. What fits into one shard is one; what does not is divided by the
hash's first bit, then by its next, until it fits: the shards are the leaves of a binary tree over the hashes (extendible
hashing: Fagin et al., 1979). They hang on the clips that there are, not on the way these came.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hdvg.dataset.connection import connect
from hdvg.dataset.layout import pattern
from hdvg.dataset.manifest import Manifest, literal, no_glob
from hdvg.dataset.parts import read_as
from hdvg.ids import digest
from schemas.inputs import INPUTS

NAME = re.compile(r".+-(?P<list>[0-9]{5,})(_(?P<bits>[01]+))?(c[01]*)?")
"""A shard's: the number of its list, the first bits of its videos' hashes, and of its clips' if it has some of one large video."""

BITS = 64
"""Of a hash: videos that share them all stay together."""

SIZED = (
    "select d.*, v.seq, coalesce(d.clip_bytes, v.bytes * d.n_frames // coalesce(v.n_frames, v.decoded_frames)) as size "
    "from dataset d join videos v using (video_id)"
)
"""SQL: clips with the number of their list, and `size`: a clip's bytes, or what a virtual one will about have."""


@dataclass(frozen=True)
class Homes:
    """The shards that should be. `stamps`: by name, a hash of all its rows, cheap and of this DuckDB alone; `clips` in all."""

    stamps: dict[str, str]
    of_videos: pa.Table
    """(video_id, shard)."""
    of_clips: pa.Table
    """(clip_id, shard): of the videos that are too large for one shard, which have no row in `of_videos`."""
    clips: int


def find_homes(manifest: Manifest, *, ready: str, columns: str, split: str, seed: int, most: float) -> Homes:
    """The shards of the clips of which the SQL `ready` holds, at most `most` bytes of clips each; `columns` shape the stamps.

    Memory is that of a row a video.
    """
    clips = f"({SIZED} where {ready})"
    videos = manifest.table(
        f"select seq, {key_sql(seed)} as key, video_id, sum(size)::bigint as size, "
        f"count(*) as clips, {stamp_sql(columns)} as stamp "
        f"from {clips} group by all order by seq, key, video_id"
    )
    names, large = [""] * videos.num_rows, dict[str, str]()
    for name, low, high in _leaves(videos, split, most):
        names[low:high] = [name] * (high - low)
        if high - low == 1 and videos["size"][low].as_py() > most:
            large[videos["video_id"][low].as_py()] = name
    of_clips = _of_large(manifest, clips, large, seed, most)
    videos = videos.append_column("shard", pa.array(names, pa.string()))
    small = videos.filter(pa.array([name not in large for name in videos["video_id"].to_pylist()], pa.bool_()))
    stamps = dict(zip(videos["video_id"].to_pylist(), videos["stamp"].to_pylist(), strict=True))
    return Homes(
        _of_shards(stamps, small, of_clips),
        small.select(["video_id", "shard"]),
        of_clips.select(["clip_id", "shard"]),
        sum(videos["clips"].to_pylist()),
    )


def stamp_sql(columns: str) -> str:
    """SQL: what the rows of a video, which are grouped, come to in these columns, in this DuckDB."""
    return f"bit_xor(hash(video_id, {columns}))::varchar"


def key_sql(seed: int) -> str:
    """SQL: the hash of a `video_id`."""
    return f"md5_number_upper({literal(f'{seed}:')} || video_id)"


def homes_of(root: Path, videos: Collection[str], seed: int) -> list[tuple[int, int]]:
    """(list, hash) of these videos, as the accepted lists have them; lists are numbered from 0 here."""
    lists = read_as(INPUTS, literal(f"{no_glob(str(root))}/{pattern('inputs')}"))
    asked = f"select distinct seq - 1, {key_sql(seed)} from {lists} where video_id in (select unnest(?::varchar[]))"
    with connect(root) as connection:
        return connection.execute(asked, [sorted(videos)]).fetchall()


def may_hold(shard: str, homes: Iterable[tuple[int, int]]) -> bool:
    """Whether a shard of that name may have clips of videos of these homes, see `homes_of`."""
    found = NAME.fullmatch(shard)
    if found is None:
        return True
    return any(
        number == int(found["list"]) and f"{key:0{BITS}b}".startswith(found["bits"] or "") for number, key in homes
    )


def _leaves(videos: pa.Table, split: str, most: float) -> Iterator[tuple[str, int, int]]:
    """(name, first, last + 1) of the shards of videos, which stand in the order of (list, hash)."""
    seq_N, key_N, size_N = (videos[name].to_numpy() for name in ("seq", "key", "size"))
    ends = np.flatnonzero(np.diff(seq_N, append=-1)) + 1
    for low, high in itertools.pairwise([0, *ends.tolist()]):
        for bits, first, end in divided(key_N[low:high], size_N[low:high], most):
            yield f"{split}-{seq_N[low] - 1:05d}{'_' * bool(bits)}{bits}", low + first, low + end


def divided(
    key_N: npt.NDArray[np.uint64], size_N: npt.NDArray[np.int64], most: float
) -> Iterator[tuple[str, int, int]]:
    """(leading bits of the hash, first, last + 1) of the leaves over rising hashes; `size_N` are bytes, at most `most` a
    leaf unless it holds one hash alone."""
    ends = np.concatenate([[0], np.cumsum(size_N)])
    left = [("", 0, len(key_N))]
    while left:
        bits, low, high = left.pop()
        if ends[high] - ends[low] <= most or key_N[low] == key_N[high - 1]:
            yield bits, low, high
            continue
        edge = np.uint64(int(f"{bits}1".ljust(BITS, "0"), 2))
        middle = low + int(np.searchsorted(key_N[low:high], edge))
        halves = (f"{bits}1", middle, high), (f"{bits}0", low, middle)
        left += [half for half in halves if half[1] < half[2]]


def _of_large(manifest: Manifest, clips: str, large: dict[str, str], seed: int, most: float) -> pa.Table:
    """(video_id, clip_id, shard) of the clips of videos that are too large for one: divided by their own hashes."""
    found = manifest.table(
        f"select video_id, clip_id, md5_number_upper({literal(f'{seed}:')} || clip_id) as key, size::bigint as size "
        f"from {clips} where list_contains(?::varchar[], video_id) order by video_id, key, clip_id",
        [list(large)],
    )
    names = [""] * found.num_rows
    start = 0
    for video, members in itertools.groupby(found["video_id"].to_pylist()):
        count = len(list(members))
        mine = found.slice(start, count)
        for bits, low, high in divided(mine["key"].to_numpy(), mine["size"].to_numpy(), most):
            names[start + low : start + high] = [f"{large[video]}c{bits}"] * (high - low)
        start += count
    return found.select(["video_id", "clip_id"]).append_column("shard", pa.array(names, pa.string()))


def _of_shards(stamps: dict[str, str], *homes: pa.Table) -> dict[str, str]:
    """By shard a hash of what its videos hold, of which `stamps` says so; each shard of a large video has that of the whole."""
    members: dict[str, set[str]] = {}
    for table in homes:
        for video, shard in zip(table["video_id"].to_pylist(), table["shard"].to_pylist(), strict=True):
            members.setdefault(shard, set()).add(video)
    return {name: shard_stamp({video: stamps[video] for video in held}) for name, held in sorted(members.items())}


def shard_stamp(stamps: Mapping[str, str]) -> str:
    """The stamp of a shard, of those of its videos."""
    return digest([[video, stamps[video]] for video in sorted(stamps)])
