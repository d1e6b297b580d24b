"""Shards that the nodes of a cluster write are those that one process writes, and what goes wrong there is said here."""

from __future__ import annotations

import pytest

from hdvg.dataset.shards import write_shards
from hdvg.errors import UsageError
from pipelines.shards_on_ray import on_cluster
from pipelines.virtual_clips import VirtualClips
from tests.products import Clip, add, make

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_shards_are_the_same_bytes_and_a_clip_that_cannot_be_read_stops_the_run(tmp_path):
    def clips(*numbers):
        return [[Clip(0, 3000, bytes([number]) * 50, f"clip {number}")] for number in numbers]

    def shards():
        return {path.name: path.read_bytes() for path in (dataset.root / "shards").iterdir()}

    def forget():
        written = [*dataset.root.glob("parts/shard/[!s]*.parquet"), *dataset.root.glob("shards/*.parquet")]
        for path in written:
            dataset.store.remove(str(path.relative_to(dataset.root)))

    def lose_a_clip_first(some):
        dataset.store.remove(str(next(dataset.root.glob("media/*/*.mp4")).relative_to(dataset.root)))
        write_all(some)

    dataset = make(tmp_path / "d", clips(1, 2))
    add(dataset, clips(3, 4))
    expected = shards()
    assert len(expected) == 2
    with dataset.store.scratch() as scratch:
        write_all = on_cluster("local")(dataset, VirtualClips(dataset, scratch))
        forget()
        assert write_shards(dataset, write_all) == 4
        assert shards() == expected
        forget()
        with pytest.raises(UsageError, match="its file is gone from media/"):
            write_shards(dataset, lose_a_clip_first)
