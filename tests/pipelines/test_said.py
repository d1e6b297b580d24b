"""What a writer says of a clip field by field is stored with its texts, is a measure, and is written anew by another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from tests.chat import GOOD, ChatServer, says
from tests.pipelines.test_run import ask, go
from tests.products import shard_rows
from tests.tools import need
from tests.videos import draw_scenes

need("openai")

EVENTS = [{"at_s": 0.0, "text": "it runs"}, {"at_s": 0.5, "text": "it stops"}]


class Writers(ChatServer):
    """Answers questions for fields with `GOOD`, and writes texts anew."""

    def _say(self, handler) -> None:
        request = json.loads(handler.posted)
        self.asked.append(request)
        if isinstance(request["messages"][0]["content"], str):
            return says("SHORT: a rewritten dog\nDETAILED: A rewritten dog runs over the grass of a park.")(handler)
        return says(json.dumps({**GOOD, "events": EVENTS}))(handler)


@pytest.fixture(scope="module")
def server() -> Iterator[Writers]:
    with Writers() as server:
        yield server


def recipe(server: Writers, **caption: object) -> Recipe:
    endpoint = {"url": server.url, "tries": 1}
    main = {"captioner": "openai", "model": "tiny", "fields": True, "frames": 4, "endpoint": endpoint}
    anew = {"captioner": "rewrite", "model": "text", "endpoint": endpoint}
    told = {
        "measure": {"preview": True},
        "cut": {"preset": "ultrafast"},
        "caption": {**main, "also": {"anew": anew}, **caption},
    }
    return parse_recipe({"name": "test", **told})


@pytest.fixture(scope="module")
def done(server, tmp_path_factory) -> Path:
    """Two clips of a video, with fields and texts of two writers, in shards."""
    root = tmp_path_factory.mktemp("said") / "dataset"
    draw_scenes(root.parent / "v.mp4", scene_frames=(30, 25), seed=1)
    go(root, recipe(server), links=[str(root.parent / "v.mp4")])
    return root


def test_fields_are_columns_of_every_text_of_their_writer(done):
    rows = ask(done, "select writer, kind, said_subject, said_people, said_how, said_events from captions order by all")
    mine = ("a brown dog", 2, "asked", EVENTS)
    assert sorted(set(map(repr, rows))) == sorted(
        map(repr, [("anew", kind, None, None, None, None) for kind in ("detailed", "short")] + [("main", kind, *mine) for kind in ("detailed", "short")])
    )  # fmt: skip
    assert len(rows) == 8


def test_fields_are_measures_and_stand_in_the_shards(done):
    assert ask(done, "select distinct said_camera, said_shot_size from measures") == [("pan left", "wide shot")]
    assert {row["said_light"] for row in shard_rows(Dataset.open(done)).values()} == {"soft light"}


def test_frames_are_those_of_the_preview_with_their_seconds(done, server):
    questions = [
        one["messages"][0]["content"] for one in server.asked if not isinstance(one["messages"][0]["content"], str)
    ]
    texts = {content[-1]["text"].partition(" Describe")[0] for content in questions}
    assert all("frames of one video clip, in order of time, at 0.0" in text for text in texts)
    assert all(1 < len(content) - 1 <= 4 for content in questions)


def test_another_writer_writes_the_texts_anew_and_does_not_displace_them(done, server):
    questions = {content for one in server.asked if isinstance(content := one["messages"][0]["content"], str)}
    assert all("a brown dog runs over the grass in a park" in question for question in questions)
    assert ask(done, "select distinct writer from captions where best") == [("main",)]


def test_a_rewriting_writer_follows_the_one_it_rewrites(done, server):
    from hdvg.planning import make_plan

    before = Dataset.open(done).plan.fingerprints
    other = make_plan(recipe(server, frames=3)).fingerprints
    again = make_plan(recipe(server)).fingerprints
    assert again["caption-anew"] == before["caption-anew"]
    assert other["caption-anew"] != before["caption-anew"]


def test_frames_want_previews(server):
    with pytest.raises(UsageError, match=r"caption\.frames: .* set measure\.preview = true"):
        parse_recipe({"name": "x", "caption": {"captioner": "openai", "frames": 3}})
    with pytest.raises(UsageError, match=r"caption\.also\.b\.frames"):
        parse_recipe({"name": "x", "caption": {"also": {"b": {"captioner": "vlm", "frames": 3}}}})
