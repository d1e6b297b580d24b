"""Fit codec `patches` on a dataset's own clips, once: a dataset that grows keeps its codec, and its latents."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from hdvg.errors import ItemError, UsageError
from hdvg.latents.clips import Found, found, refuse_unsharded, videos
from hdvg.latents.decoding import ahead, decode
from hdvg.latents.patches import by_hash, fit, fitted_name
from hdvg.latents.settings import Encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.encoders import Frames
    from hdvg.latents.settings import Bucket

CLIPS = 60
"""Most clips of each bucket that are looked at, chosen by the hash of their ids."""
PICTURES = 8
"""Of each, spread over it."""


def fit_patches(dataset: Dataset, rows: pa.Table, encoding: Encoding) -> None:
    """Publish the codec as `fitted_name`, if it is not there. `rows` as `wanted` gives them.

    Raises UsageError if no clip is in a shard, or not one decodes.
    """
    name = fitted_name(encoding)
    if encoding.codec != "patches" or (dataset.root / name).exists():
        return
    refuse_unsharded(dataset, rows)
    pictures: list[Frames] = []
    for number, bucket in enumerate(encoding.buckets):
        mine = rows.filter(pc.and_(pc.equal(rows["bucket"], number), pc.is_valid(rows["shard"])))
        names = sorted(mine["clip_id"].to_pylist(), key=by_hash)[:CLIPS]
        chosen = mine.filter(pc.is_in(mine["clip_id"], pa.array(names, pa.string())))
        taken = dict(_pictures(dataset, chosen, bucket))
        pictures += [picture for clip_id in names for picture in taken.get(clip_id, ())]
    if not pictures:
        raise UsageError(
            "codec `patches` cannot be fitted: not one clip in the shards decodes; see `hdvg verify DATASET`"
        )
    dataset.store.publish(name, lambda path: fit(pictures, encoding.codec_channels, path))


def _pictures(dataset: Dataset, rows: pa.Table, bucket: Bucket) -> Iterator[tuple[str, list[Frames]]]:
    """clip_id and its pictures, of the clips that decode."""
    one: Bucket = (1, *bucket[1:])
    with dataset.store.scratch() as scratch:

        def work(item: tuple[Found, bytes]) -> Frames:
            clip, video = item
            times = [clip.length_s * Fraction(2 * number + 1, 2 * PICTURES) for number in range(PICTURES)]
            return decode(clip, video, one, starts_s=times, fps=1.0, where=(dataset.plan.recipe, scratch))

        for (clip, _), decoded in ahead(work, _stored(dataset, rows), depth=os.cpu_count() or 1):
            try:
                yield clip.clip_id, [window[0] for window in decoded.result()]
            except ItemError:
                continue  # `encode` names it


def _stored(dataset: Dataset, rows: pa.Table) -> Iterator[tuple[Found, bytes]]:
    """Clips with their bytes, shard by shard."""
    for shard in sorted(set(rows["shard"].to_pylist())):
        clips = {clip.row: clip for clip in found(rows.filter(pc.equal(rows["shard"], shard)))}
        for row, video in videos(dataset.root / shard, list(clips)):
            yield clips[row], video
