"""What is heard of clips in a run: a rule on speech has it measured, of the source, or of the cut files where that is gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdvg.config.own_measures import SOUND_HZ
from hdvg.dataset.dataset import Dataset
from hdvg.reports.verify import verify
from tests.chat import ChatServer
from tests.pipelines.test_run import ask, decide, go, parse_recipe
from tests.tools import need
from tests.voices import film_with, melody, speech

need("onnxruntime", "silero_vad", "openai")

BASE = {"name": "test", "caption": {"captioner": "none"}, "cut": {"audio": "keep"}, "split": {"detector": "content", "content_threshold": 255.0}}  # fmt: skip
TALK = {"talk": "speech_share >= 0.4"}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talk, a tune, half of each, and a film without a sound."""
    folder = tmp_path_factory.mktemp("films")
    film_with(folder / "talk.mp4", speech(4))
    film_with(folder / "tune.mp4", melody(4))
    film_with(folder / "half.mkv", np.concatenate([speech(2), np.zeros(2 * SOUND_HZ, np.float32)]), codec=("-c:a", "libopus"))  # fmt: skip
    film_with(folder / "mute.mp4", speech(4), "-an")
    return folder


def shares(root: Path) -> dict[str, tuple]:
    rows = ask(root, "select parse_filename(link), keep, speech_share from dataset join videos using (video_id)")
    return {row[0].partition(".")[0]: row[1:] for row in rows}


EXPECTED = {
    "talk": (True, pytest.approx(1, abs=0.05)),
    "tune": (False, pytest.approx(0, abs=0.03)),
    "half": (True, pytest.approx(0.5, abs=0.05)),
    "mute": (False, 0.0),
}


def test_a_rule_on_speech_has_it_measured_of_clips_and_their_shards_say_it(films, tmp_path):
    import pyarrow.parquet as pq

    go(tmp_path / "d", parse_recipe(BASE | {"keep": TALK}), links=[str(films)])
    assert Dataset.open(tmp_path / "d").plan.measures == ("speech",)
    assert shares(tmp_path / "d") == EXPECTED
    assert verify(Dataset.open(tmp_path / "d")) == []
    rows = [row for path in (tmp_path / "d" / "shards").glob("*") for row in pq.read_table(path).to_pylist()]
    assert sorted(row["speech_share"] for row in rows) == [EXPECTED["half"][1], EXPECTED["talk"][1]]
    assert all(row["audio_channels"] == 1 and row["speech_model"].startswith("silero-vad@") for row in rows)


def test_a_later_rule_has_it_taken_of_cut_files_where_the_sources_are_gone(films, tmp_path):
    root = tmp_path / "d"
    go(root, parse_recipe(BASE | {"storage": {"keep_sources": False}}), links=[str(films)])
    store = Dataset.open(root).store
    assert [name for (name,) in ask(root, "select sha256 from videos") if store.find_media(name)] == []
    gone = films.rename(films.with_name("gone"))
    try:
        decide(root, parse_recipe(BASE | {"storage": {"keep_sources": False}, "keep": TALK}))
        done = go(root, parse_recipe(BASE | {"storage": {"keep_sources": False}, "keep": TALK}))
    finally:
        gone.rename(films)
    assert {job.stage for job in done} == {"speech"}
    assert shares(root) == EXPECTED


def test_what_is_said_is_written_down_of_clips_in_which_somebody_speaks(films, tmp_path):
    root = tmp_path / "d"
    with ChatServer() as server:
        said = {
            "captioner": "transcribe",
            "model": "tiny",
            "where": "speech_share >= 0.4",
            "endpoint": {"url": server.url},
        }
        named = BASE | {"caption": {"captioner": "title", "also": {"said": said}}}
        go(root, parse_recipe(named), links=[str(films)])
        asked = [np.frombuffer(one["file"][44:], "<i2") for one in server.asked]
    rows = ask(
        root,
        "select parse_filename(v.link), c.text, c.language, c.captioner, c.model from captions c "
        "join videos v using (video_id) where kind = 'speech' order by 1",
    )
    assert [row[0] for row in rows] == ["half.mkv", "talk.mp4"]
    assert all(row[1].startswith("words of") and row[3] == "transcribe" and row[4].startswith("tiny @") for row in rows)
    assert sorted(len(one) for one in asked) == [4 * SOUND_HZ] * 2
    assert ask(root, "select count(*) from failures") == [(0,)]
    assert verify(Dataset.open(root)) == []
