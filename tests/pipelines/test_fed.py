"""From links to training samples: a feed over a real dataset sees the clips that the query counts, and no others."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.latents.encode import encode
from hdvg.latents.store import Latents
from hdvg.training import provenance
from hdvg.training.feed import DataFeed
from hdvg.training.settings import TrainRecipe
from hdvg.training.sources import Member
from pipelines.run import Task, run
from pipelines.where import Where
from tests.videos import draw_scenes

BUCKETS = [(8, 64, 64), (8, 64, 112)]
SIZES = ((192, 108), (128, 128), (192, 108), (128, 128))
LONG = "duration_s >= 1.5"


def train_recipe(**changes: object) -> TrainRecipe:
    return TrainRecipe.model_validate(
        {"data": {"codec_channels": 4, "buckets": BUCKETS}, "run": {"batch": 8}, **changes}
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    """Of each of four videos, two of them square, kept shots of 1.6, 0.8 (too short for a bucket) and 2.6 s."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("fed")
    (folder / "videos").mkdir()
    for number, size in enumerate(SIZES):
        draw_scenes(folder / f"videos/{number}.mp4", scene_frames=(40, 20, 65), size=size, seed=number)
    settings = parse_recipe({"caption": {"captioner": "none"}})
    task = Task(where=Where("serial"), links=[str(folder / "videos")])
    assert run(folder / "d", settings, task, Console(file=io.StringIO()))
    made = Dataset.open(folder / "d")
    encode(made, train_recipe().data, workers=1)
    yield made
    torch.set_num_threads(threads)


def counted(dataset: Dataset, where: str) -> int:
    with dataset.manifest() as manifest:
        return int(manifest.one(f"select count(*) from dataset where keep and ({where})"))


@pytest.mark.parametrize("where", ["true", LONG, "duration_s >= 2"])
def test_record_counts_what_the_query_counts(dataset, where):
    latents = Latents.open(dataset, train_recipe().data, where=where)
    [source] = DataFeed([Member(latents, "d")], train_recipe()).record().sources
    total = {"true": 12, LONG: 8, "duration_s >= 2": 4}[where]
    assert source.wanted == counted(dataset, where) == total
    assert source.failed == (4 if where == "true" else 0)
    assert len(source.trained) + len(source.held) + source.failed == total
    assert len(source.held) == 2


def test_every_trained_clip_is_fed_as_it_is_stored_and_found_again(dataset, tmp_path):
    recipe = train_recipe(run={"batch": 8, "micro_batch": 3}, draw={"images": 0.3})
    latents = Latents.open(dataset, recipe.data)
    feed = DataFeed([Member(latents, "d")], recipe)
    provenance.write(tmp_path / "run", feed.record())
    record = provenance.read(tmp_path / "run")
    number = {clip_id: place for place, clip_id in enumerate(latents.clips.names("clip_id"))}
    seen: dict[str, list[int]] = {}
    shapes = set()
    for step in range(6):
        for piece in feed.step(step):
            shapes.add(tuple(piece.latents_BCTHW.shape[1:]))
            for clip_id, latent in zip(piece.clip_ids, piece.latents_BCTHW, strict=True):
                seen.setdefault(clip_id, []).append(step)
                assert stands_in(latents, number[clip_id], latent.permute(1, 2, 3, 0).numpy())
    assert shapes == {(4, frames, 8, width) for frames in (1, 8) for width in (8, 14)}
    assert sorted(seen) == sorted(record.sources[0].trained)
    for clip_id, steps in seen.items():
        assert [sight.step for sight in provenance.which_steps(record, clip_id, until=6).seen] == sorted(steps)


def stands_in(latents: Latents, number: int, found: np.ndarray) -> bool:
    """Whether these are the frames, or a frame, of one of the clip's windows."""
    clip = latents.clips[number]
    stored = np.empty(clip.shape, np.float16)
    for window in range(clip.windows):
        latents.read(number, window, stored)
        if any(np.array_equal(found, run) for run in (stored, *stored[:, None])):
            return True
    return False


def test_another_query_is_told_apart(dataset):
    def record(**draw: str) -> provenance.Record:
        recipe = train_recipe(draw=draw)
        return DataFeed([Member(Latents.open(dataset, recipe.data, where=recipe.draw.where), "d")], recipe).record()

    first, second = record(), record(where="duration_s >= 2")
    gone = set(first.sources[0].trained) - set(second.sources[0].trained)
    lines = provenance.difference(first, second)
    assert lines[0] == '`draw.where` was null, now it is "duration_s >= 2"'
    [fewer] = [line for line in lines if "fewer trained on" in line]
    assert fewer == f"d: {len(gone)} clips fewer trained on: {provenance.some(sorted(gone))}"
    assert first.digest != second.digest
    assert provenance.difference(first, record()) == []
