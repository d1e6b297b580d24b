"""A run whose recipe asks for sound ends in shards whose clips have it, in step with their pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from pipelines.run import Task, run
from pipelines.where import Where
from tests import servers as web
from tests.clapper import CLAPS_S, SOUND, VIDEO, claps, film

RECIPE = {
    "fetch": {"sound": True},
    "split": {"detector": "content", "content_threshold": 255.0},
    "keep": {"too_short": "duration_s >= 1"},
    "cut": {"audio": "keep"},
    "caption": {"captioner": "none"},
}
DASH = ("-f", "dash", "-adaptation_sets", "id=0,streams=v id=1,streams=a", "-seg_duration", "2")


def test_clips_of_a_stream_with_its_sound_apart_have_it_in_step(tmp_path: Path) -> None:
    (tmp_path / "stream").mkdir()
    film(tmp_path / "stream" / "index.mpd", *VIDEO, *SOUND, *DASH, sound_from_s=0.52)
    with web.serve_folder(tmp_path / "stream") as server:
        task = Task(links=[server.url("/index.mpd")], where=Where("serial"))
        assert run(tmp_path / "d", parse_recipe(RECIPE), task, Console(file=io.StringIO()))
    (row,) = [row for path in (tmp_path / "d" / "shards").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    parts = [pq.read_table(path) for path in (tmp_path / "d" / "parts" / "download").glob("*.parquet")]
    assert [part["format_id"][0].as_py() for part in parts if part.num_rows] == ["0+1"]
    (tmp_path / "clip.mp4").write_bytes(row["video"])
    flashes, beeps = claps(tmp_path / "clip.mp4")
    assert len(flashes) == len(beeps) == len(CLAPS_S)
    assert flashes == pytest.approx(beeps, abs=0.01)
