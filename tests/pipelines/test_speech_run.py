"""From a link to a shard: what is said in a video stands beside each clip, on the clip's own clock, and goes with a take-down."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pyarrow.parquet as pq
import pytest

from hdvg.config.caption import Caption
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.ids import video_id
from hdvg.reports.verify import verify
from pipelines.forget import forget
from pipelines.run import decide
from tests.pipelines.test_run import ask, go
from tests.servers import HostileServer, body, page
from tests.videos import draw_scenes

SHOTS = (40, 60, 25)
"""Frames at 25 a second: the shots end at 1.6, 4 and 5 seconds of the player's clock."""

LATE_S = 50
"""Where the source's own clock begins."""

CUES = """WEBVTT

00:00.200 --> 00:01.400
Welcome back.

00:01.200 --> 00:02.000
a b c d e f g h

00:03.900 --> 00:04.000
Unheard Marmalade.
"""
SAID = [("Welcome back. a b c d", 0.0), ("e f g h Unheard Marmalade.", 1.6)]
"""What is said in the shots; the fourth of the letters begins at 1.52 s, the fifth at 1.63 s. In the last nothing is said."""


def recipe(**caption: Any) -> Recipe:
    also = {"speech": {"captioner": "speech", "lower_case": False}}
    return parse_recipe(
        {
            "name": "test",
            "fetch": {"subtitles": ["en"]},
            "caption": {"captioner": "title", "also": also, **caption},
            "cut": {"preset": "ultrafast", "verify_share": 0.0},
        }
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileServer]:
    """A page whose film's clock begins late, with subtitles, and one of a film without."""
    folder = tmp_path_factory.mktemp("site")
    for name, seed in (("said", 1), ("mute", 2)):
        draw_scenes(folder / f"{name}.mp4", scene_frames=SHOTS, seed=seed)
        shift = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", folder / f"{name}.mp4", "-c", "copy"]
        subprocess.run([*shift, "-output_ts_offset", str(LATE_S), folder / f"{name}.mkv"], check=True)
    with HostileServer(folder=folder) as server:
        server.add("/en.vtt", body(CUES.encode(), "text/vtt"))
        track = '<track kind="subtitles" src="/en.vtt" srclang="en">'
        server.add("/said", page(f'<video src="/said.mkv">{track}</video>'))
        server.add("/mute", page('<video src="/mute.mkv"></video>'))
        yield server


@pytest.fixture(scope="module")
def made(site: HostileServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset of both; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "links.txt").write_text(f"{site.url('/said')}\n{site.url('/mute')}\n")
    go(folder / "dataset", recipe(), links=[str(folder / "links.txt")])
    return folder / "dataset"


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "dataset"))


def test_each_clip_has_the_words_that_begin_in_it(made):
    assert ask(made, "select round(min(start_s), 3) from clips") == [(LATE_S,)]
    rows = ask(
        made,
        "select text, round(start_s - 50, 3), language, split_part(model, ' ', 1), split_part(model, ' ', 2) from captions "
        "join clips using (clip_id) where kind = 'speech' order by start_s",
    )
    assert rows == [(*said, "en", "manual", "html5") for said in SAID]
    assert ask(made, "select count(*) from failures") == [(0,)]
    assert ask(made, "select count(*) from pending") == [(0,)]
    assert verify(Dataset.open(made)) == []


def test_lines_and_why_there_are_none_are_told_of_each_video(made):
    lines = "select start_s, end_s, text, word_starts_s, language, origin from subtitles order by start_s"
    assert ask(made, lines)[0] == (0.2, 1.4, "Welcome back.", None, "en", "manual")
    told = "select subtitles_language, subtitles_origin, subtitles_note from videos order by 2"
    assert ask(made, told) == [("en", "manual", None), (None, None, "not_offered")]


def test_speech_is_a_text_of_weight_0_and_no_clips_caption_unless_that_is_asked(dataset):
    """Both films have a title, and three of the six clips are of each."""
    asked = "select text, weight from captions where kind = 'speech' and best"
    assert {weight for _, weight in ask(dataset, asked)} == {0.0}
    captions = {row[0] for row in ask(dataset, "select caption from dataset")}
    assert captions == {"a page (1)"}
    heavy = recipe(weights=Caption().weights | {"speech": 1.0})
    decide(dataset, heavy)
    captions = ask(dataset, "select caption from dataset where caption <> 'a page (1)' order by caption")
    assert captions == sorted((text,) for text, _ in SAID)


def test_clip_with_speech_alone_has_no_caption(site, made, dataset):
    go(dataset, recipe(captioner="none"))
    rows = "select count(*), count(caption), count(texts), count(*) filter (keep) from dataset"
    assert ask(dataset, rows) == [(6, 0, 2, 6)]


def test_shards_hold_it_among_the_texts(made):
    rows = [row for path in sorted(made.glob("shards/*.parquet")) for row in pq.read_table(path).to_pylist()]
    texts = [text for row in rows for text in row["texts"] if text["kind"] == "speech"]
    assert sorted((text["text"], text["weight"], text["language"]) for text in texts) == [
        (text, 0.0, "en") for text, _ in sorted(SAID)
    ]


def test_take_down_leaves_no_word_of_it(dataset, site):
    def words() -> list[Path]:
        return [path for path in dataset.rglob("*.parquet") if "Marmalade" in str(pq.read_table(path).to_pylist())]

    assert {path.parent.name for path in words()} == {"download", "caption-speech", "shards"}
    forget(dataset, [("video", video_id(site.url("/said")))], purged=True)
    assert words() == []
    assert ask(dataset, "select count(*) from subtitles") == [(0,)]
    assert ask(dataset, "select count(*) from dataset") == [(3,)]


def test_dataset_of_an_earlier_version_is_read_as_one_without_subtitles(dataset):
    for path in dataset.glob("parts/download/*.parquet"):
        table = pq.read_table(path)
        later = {"language", "chapters", "subtitles", "subtitles_language", "subtitles_origin", "subtitles_note"}
        path.unlink()
        pq.write_table(table.select([name for name in table.column_names if name not in later]), path)
    assert ask(dataset, "select count(*), count(language), count(subtitles_note) from videos") == [(2, 0, 0)]
    assert ask(dataset, "select count(*) from subtitles") == [(0,)]
    assert ask(dataset, "select count(*) from pending") == [(0,)]
