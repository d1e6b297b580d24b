"""Shards have fixed homes: a change rewrites the shards it touches, and nothing is asked twice of the others."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.shard_homes import divided
from hdvg.dataset.shard_plan import STAMPS, plan_shards
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.purge import purge
from hdvg.takedown import find, hide
from tests.products import Clip, add, make, shard_rows

SMALL = {"max_mb": 0.03, "row_group_mb": 0.01}
MOST = 0.03 * 2**20


def videos(seed: int, count: int = 16) -> list[list[Clip]]:
    """Videos of one to eight clips of 2 kB, whose texts come again and again."""
    chance = random.Random(seed)
    return [
        [
            Clip(3000 * number, 3000 * number + 2500, chance.randbytes(2_000), f"clip {number}")
            for number in range(chance.randint(1, 8))
        ]
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make(tmp_path_factory.mktemp("made") / "dataset", videos(1), shard=SMALL)


@pytest.fixture
def mine(made: Dataset, tmp_path: Path) -> Dataset:
    return make(tmp_path / "dataset", videos(1), shard=SMALL)


def shards(dataset: Dataset) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((dataset.root / "shards").glob("*"))}


def shards_of_videos(dataset: Dataset) -> list[dict[str, str]]:
    """(video_id, shard) of every clip in a shard."""
    return [
        {"video_id": name, "shard": path.name}
        for path in sorted((dataset.root / "shards").glob("*"))
        for name in pq.read_table(path, columns=["video_id"])["video_id"].to_pylist()
    ]


def part_rows(dataset):
    return {path.name: pq.read_table(path).to_pylist() for path in (dataset.root / "parts/shard").iterdir()}


def write(dataset: Dataset) -> int:
    return write_shards(dataset, in_turn(dataset, lambda rows: {}))


def test_each_clip_lies_in_one_shard_and_a_videos_clips_together(made):
    homes: dict[str, set[str]] = {}
    seen: list[str] = []
    for path in sorted((made.root / "shards").glob("*")):
        rows = pq.read_table(path, columns=["clip_id", "video_id", "clip_bytes"])
        assert sum(rows["clip_bytes"].to_pylist()) <= MOST
        seen += rows["clip_id"].to_pylist()
        for video in rows["video_id"].to_pylist():
            homes.setdefault(video, set()).add(path.name)
    assert len(seen) == len(set(seen)) == sum(map(len, videos(1)))
    assert all(len(names) == 1 for names in homes.values())
    assert len({name for names in homes.values() for name in names}) > 4


def test_a_purged_video_rewrites_two_shards_at_most(mine):
    before = shards(mine)
    for video in sorted({row["video_id"] for row in shard_rows(mine).values()})[:3]:
        found = find(mine, {("video", video)})
        hide(mine, mine.store, found)
        purge(mine, found)
        write(mine)
        after = shards(mine)
        assert len({name for name in before | after if before.get(name) != after.get(name)}) <= 3  # two merge into one
        assert len([name for name in after if before.get(name) != after[name]]) <= 1
        assert video not in {row["video_id"] for row in shard_rows(mine).values()}
        before = after


def test_a_purge_opens_no_shard_but_those_of_its_videos(mine):
    """The others are no shards any more while it works, so that to read them raises."""
    add(mine, videos(2, 3))
    before = shards(mine)
    homes = {row["video_id"]: row["shard"] for row in shards_of_videos(mine)}
    video = min(homes)
    for name in before.keys() - {homes[video]}:
        (mine.root / "shards" / name).write_bytes(b"unread")
    found = find(mine, {("video", video)})
    hide(mine, mine.store, found)
    purge(mine, found)
    left = shards(mine)
    written = left.pop(homes[video])
    assert left == {name: b"unread" for name in before if name != homes[video]}
    assert len(left) > 4
    assert b"unread" not in written
    assert video.encode() not in written


def test_a_purge_writes_a_shard_as_a_run_would(mine):
    """Bytes and all: a run after it rewrites none, unless two have come to fit into one."""
    rows, alike = shards_of_videos(mine), 0
    for video in sorted({row["video_id"] for row in rows})[:6]:
        found = find(mine, {("video", video)})
        hide(mine, mine.store, found)
        purge(mine, found)
        purged, noted = shards(mine), part_rows(mine)
        write(mine)
        alike += (purged, noted) == (shards(mine), part_rows(mine))
        assert all(content == purged[name] for name, content in shards(mine).items() if name in purged)
    assert alike >= 3


def test_without_a_note_of_what_shards_hold_a_purge_opens_all(mine):
    (mine.root / STAMPS).unlink()
    homes = {row["video_id"]: row["shard"] for row in shards_of_videos(mine)}
    video, before = min(homes), shards(mine)
    (mine.root / "shards" / homes[video]).rename(
        mine.root / "shards/train-00077_1.parquet"
    )  # a name that says otherwise
    found = find(mine, {("video", video)})
    hide(mine, mine.store, found)
    purge(mine, found)
    assert shards(mine).keys() == before.keys() - {homes[video]} | {"train-00077_1.parquet"}
    assert video not in {row["video_id"] for row in shard_rows(mine).values()}


def test_a_later_list_leaves_all_shards_alone(mine):
    before = shards(mine)
    add(mine, videos(2, 3))
    after = shards(mine)
    assert after.items() > before.items()
    assert {name[:11] for name in after.keys() - before.keys()} == {"train-00001"}


def test_shards_hang_on_the_clips_alone(mine, made):
    """What came between does not show: here shards of another size, and all of them lost."""
    other = mine.plan.recipe.model_copy(update={"shard": mine.plan.recipe.shard.model_copy(update={"max_mb": 0.1})})
    changed = Dataset(mine.root, type(mine.plan)(other, mine.plan.fingerprints), mine.store)
    write(changed)
    assert shards(mine).keys() != shards(made).keys()
    write(mine)
    assert shards(mine) == shards(made)


def test_a_video_too_large_for_one_shard_is_divided_by_its_clips(tmp_path):
    chance = random.Random(3)
    long = [Clip(3000 * at, 3000 * at + 2500, chance.randbytes(6_000), f"clip {at}") for at in range(12)]
    dataset = make(tmp_path / "dataset", [long, *videos(4, 3)], shard=SMALL)
    sizes = [sum(pq.read_table(path)["clip_bytes"].to_pylist()) for path in (dataset.root / "shards").glob("*")]
    assert max(sizes) <= MOST
    assert len(shard_rows(dataset)) == 12 + sum(map(len, videos(4, 3)))


def test_what_fits_into_one_shard_is_one_with_the_name_it_always_had(tmp_path):
    dataset = make(tmp_path / "dataset", videos(5, 3))
    assert list(shards(dataset)) == ["train-00000.parquet"]


def test_stamps_spare_the_rows_and_losing_them_changes_nothing(made, tmp_path):
    before = shards(made)
    (tmp_path / "scratch").mkdir()
    asked: list[str] = []

    def counted(manifest: object, *words: object, **more: object) -> object:
        asked.append(str(words[0]))
        return batches(manifest, *words, **more)

    batches = Manifest.batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manifest, "batches", counted)
        plan = plan_shards(made, tmp_path / "scratch")
        assert (asked, plan.rows) == ([], {})
        (made.root / STAMPS).unlink()
        plan = plan_shards(made, tmp_path / "scratch")
        assert (len(asked), plan.rows) == (1, {})
    write(made)
    assert shards(made) == before
    assert (made.root / STAMPS).exists()


@pytest.mark.parametrize("seed", range(200))
def test_leaves_part_the_hashes_and_none_is_too_large(seed):
    chance = random.Random(seed)
    most = chance.randint(1, 40)
    top = chance.choice([3, 100, 2**64 - 1])
    keys = sorted(chance.randint(0, top) << chance.choice([0, 0, 50]) & 2**64 - 1 for _ in range(chance.randint(1, 60)))
    key_N = np.array(keys, np.uint64)
    size_N = np.array([chance.randint(1, 9) for _ in keys], np.int64)
    leaves = list(divided(key_N, size_N, most))
    assert [place for _, low, high in leaves for place in range(low, high)] == list(range(len(keys)))
    for bits, low, high in leaves:
        assert all(f"{keys[place]:064b}".startswith(bits) for place in range(low, high))
        assert size_N[low:high].sum() <= most or len(set(keys[low:high])) == 1
        assert not bits or size_N.sum() > most
    names = [bits for bits, _, _ in leaves]
    assert not any(one != other and other.startswith(one) for one in names for other in names)
