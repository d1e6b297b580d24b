"""Published scenes become clips, each one row: of one pass, in a dataset that goes on as before without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.config import Recipe, parse_recipe
from hdvg.dataset import Dataset
from hdvg.explain import explain
from hdvg.status import status
from hdvg.verify import verify
from schemas.given import GIVEN
from tests.pipelines.test_run import ask, go
from tests.videos import draw_scenes, read_numbers

FRAMES = 100
MS = 40
"""Of a frame of the drawn videos."""


def recipe(**more: Any) -> Recipe:
    return parse_recipe({"name": "test", "caption": {"captioner": "none"}, "storage": {"keep_sources": True}} | more)


def scene(name: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    """A scene of those frames of the video, by times."""
    return {"given_id": name, "start_ms": start * MS, "end_ms": end * MS} | more


def give(root: Path, scenes: dict[str, list[dict[str, Any]]], *, file: str = "a.json", name: str = "") -> None:
    """Write `given/`: scenes by the file name of the video."""
    rows = ask(root, "select link, video_id, unit from inputs where status = 'new'")
    units: dict[str, list[dict[str, Any]]] = {}
    for link, video, unit in rows:
        for place, one in enumerate(scenes.get(Path(link).name, []), 1):
            units.setdefault(unit, []).append({"video_id": video, "origin": "set", "file": file, "place": place} | one)
    (root / "given").mkdir(exist_ok=True)
    for unit, found in units.items():
        found.sort(key=lambda row: (row["video_id"], row["place"]))
        pq.write_table(pa.Table.from_pylist(found, schema=GIVEN), root / "given" / f"{unit}{name}.parquet")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(2):
        draw_scenes(folder / f"{number}.mp4", scene_frames=(40, 60), seed=number)
    return folder


def accepted(root: Path, videos: Path, settings: Recipe | None = None) -> Path:
    """A dataset that has fetched the videos and split none."""
    go(root, settings or recipe(), links=[str(videos)], stage="download")
    return root


def spans(root: Path, where: str = "true") -> list[tuple]:
    return ask(root, f"select given_id, start_frame, end_frame from clips where {where} order by 2, 3, 1")


SCENES = [
    scene("late", 70, 90),
    scene("first", 0, 30),
    scene("touching", 30, 50),
    scene("over the cut", 45, 75),
    scene("parent", 0, 100),
    scene("nested", 10, 20),
    scene("the same", 10, 20),
    scene("backwards", 60, 50),
    scene("over the end", 95, 300),
    scene("behind the end", 200, 220),
    scene("before the start", -50, 5),
    scene("one frame", 99, 100),
    scene("no frame", 99, 99),
]
CLIPS = [
    ("before the start", 0, 5), ("first", 0, 30), ("parent", 0, 100), ("nested", 10, 20), ("touching", 30, 50),
    ("over the cut", 45, 75), ("late", 70, 90), ("over the end", 95, 100), ("one frame", 99, 100),
]  # fmt: skip
FAILED = [
    ("backwards", "bad_span"),
    ("behind the end", "bad_span"),
    ("no frame", "bad_span"),
    ("the same", "same_span"),
]


@pytest.fixture(scope="module")
def finished(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first video has given scenes of every kind, the second none."""
    root = accepted(tmp_path_factory.mktemp("done") / "dataset", videos)
    give(root, {"0.mp4": SCENES})
    go(root, recipe())
    return root


def test_each_scene_is_one_clip_or_one_failure(finished):
    assert spans(finished, "given_id is not null") == CLIPS
    assert ask(finished, "select key, reason from failures order by key") == FAILED
    assert verify(Dataset.open(finished)) == []
    assert ask(finished, "select count(*) from videos where decoded_frames <> n_frames") == [(0,)]


def test_video_without_scenes_is_split_into_its_shots(finished):
    assert spans(finished, "given_id is null") == [(None, 0, 40), (None, 40, 100)]


def test_clips_hold_exactly_the_scenes_frames(finished):
    rows = ask(finished, "select given_id, clip_sha256 from clips where given_id is not null")
    store = Dataset.open(finished).store
    held = {name: read_numbers(store.find_media(sha256)) for name, sha256 in rows}
    assert held == {name: list(range(start, end)) for name, start, end in CLIPS}


def test_measures_of_a_given_span_are_those_of_a_shot_of_the_same_frames(finished, videos, tmp_path):
    free = "clip_id, video_id, phash"  # of the keyframe: samples are thinned as the frames come
    root = accepted(tmp_path / "d", videos)
    give(root, {"1.mp4": [scene("a", 0, 40), scene("b", 40, 100), scene("c", 20, 60)]})
    go(root, recipe(), stage="split")
    sql = f"select m.* exclude ({free}) from measures m join clips using (clip_id) join videos v on v.video_id = m.video_id "
    sql += "where source like '%1.mp4' and coalesce(given_id, '') <> 'c' order by start_frame"
    assert ask(root, sql) == ask(finished, sql)
