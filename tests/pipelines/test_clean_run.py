"""A run that crops to the clean rectangle, and reads what is written: from a file with bars and a line of text to its shard."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.reports.verify import verify
from pipelines.run import Task, run
from pipelines.where import Where
from tests.tools import need
from tests.videos import draw_frames
from tests.writing import Ink, clean_windows, written

need("onnxruntime", "rapidocr")

BAR, SIDE, SHIFT = 40, (640, 360), 3
"""Of black, above and below; size of the picture with its bars; px that it moves in a frame."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds that move between bars, under a line that stays."""
    path, ground = tmp_path_factory.mktemp("video") / "a.mp4", clean_windows()[4][0]
    pictures = []
    for at in range(50):
        picture = np.zeros((SIDE[1], SIDE[0], 3), np.uint8)
        picture[BAR : SIDE[1] - BAR] = ground[100 : 100 + SIDE[1] - 2 * BAR, SHIFT * at : SHIFT * at + SIDE[0]]
        pictures.append(
            np.ascontiguousarray(written(picture, "property of nobody", Ink(0.05, 0.5, 0.85))[0][:, :, ::-1])
        )
    draw_frames(path, pictures)
    return path


@pytest.mark.parametrize("mode", ["smart", "virtual"])
def test_clip_in_the_shard_is_the_clean_rectangle_and_its_row_says_what_was_written(video, tmp_path, mode):
    settings = parse_recipe(
        {
            "measure": {"also": ["written", "camera"]},
            "keep": {"cropped_too_far": "clean_area >= 0.4"},
            "cut": {"mode": mode, "crop": "clean"},
            "caption": {"captioner": "none"},
        }
    )
    task = Task(links=[str(video)], where=Where("serial"))
    assert run(tmp_path / "d", settings, task, Console(file=io.StringIO()))
    (row,) = [one for path in (tmp_path / "d" / "shards").glob("*.parquet") for one in pq.read_table(path).to_pylist()]
    top, bottom = row["clean_top"] * SIDE[1], (row["clean_top"] + row["clean_height"]) * SIDE[1]
    assert BAR <= top <= BAR + 4
    assert 0.7 * SIDE[1] < bottom < 0.82 * SIDE[1], "above the line"
    assert (row["clean_left"], row["clean_width"]) == (0, 1)
    assert (row["clip_width"], row["cut_mode"]) == (SIDE[0], "encode")
    assert row["clip_height"] == pytest.approx(bottom - top, abs=3)
    assert (row["text_written"], row["text_script"]) == ("property of nobody", "latin")
    assert row["camera_moves"] == "pan right"
    (tmp_path / "clip.mp4").write_bytes(row["video"])
    with av.open(str(tmp_path / "clip.mp4")) as clip:
        picture = next(clip.decode(video=0)).to_ndarray(format="gray")
    assert min(picture[:3].mean(), picture[-3:].mean()) > 30, "no bar is left"
    assert verify(Dataset.open(tmp_path / "d")) == []
