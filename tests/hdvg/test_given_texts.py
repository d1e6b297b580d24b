"""Texts of a list are kept as captions of whole videos; what a list's rows cannot give is said, and ends the run badly."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.captioners.published import Given
from hdvg.config.caption import Writer
from hdvg.config.child_settings import Scene
from hdvg.dataset import intake
from hdvg.dataset.dataset import Dataset
from hdvg.keyframes import Shot
from hdvg.media.scenes import place_scenes
from hdvg.sources.links import Columns
from hdvg.sources.lists.filter import Choice
from pipelines.caption_stages import _rows
from pipelines.listing import accept_all
from tests.test_cli import hdvg
from tests.videos import draw_scenes

WEB = [f"https://e.com/{number}.mp4" for number in range(5)]


def give(dataset: Dataset, rows: str, **columns: str) -> intake.Accepted:
    path = dataset.root.parent / "list.csv"
    path.write_text(rows)
    return intake.accept(dataset, str(path), columns=Columns(**columns))


def texts(dataset: Dataset) -> list[tuple[str, str, int, int]]:
    sql = "select v.source, g.caption, g.start_frame, g.end_frame from given g join inputs v using (video_id) where v.status = 'new' order by all"
    with dataset.manifest() as manifest:
        return [tuple(row.values()) for row in manifest.rows(sql)]


def test_texts_become_given_scenes_that_are_whole_videos(new_dataset):
    accepted = give(new_dataset, f"url,caption\n{WEB[0]},It's a Dog.\n{WEB[1]},\n{WEB[2]},Ein Hund läuft\n")
    assert (accepted.new, accepted.texts) == (3, 2)
    assert texts(new_dataset) == [(WEB[0], "It's a Dog.", 0, -1), (WEB[2], "Ein Hund läuft", 0, -1)]
    assert give(new_dataset, f"url,caption\n{WEB[0]},It's a Dog.\n").texts == 0
    assert len(texts(new_dataset)) == 2


def test_first_of_several_texts_of_a_video_counts(new_dataset):
    accepted = give(new_dataset, f"url,caption\n{WEB[0]},one\n{WEB[0]},two\n")
    assert (accepted.new, accepted.duplicates, accepted.texts) == (1, 1, 1)
    assert [row[1] for row in texts(new_dataset)] == ["one"]


def test_known_videos_get_texts_only_when_their_column_is_asked_for(new_dataset):
    give(new_dataset, f"url\n{WEB[0]}\n{WEB[1]}\n")
    assert give(new_dataset, f"url,caption\n{WEB[0]},one\n").texts == 0  # an upgrade makes no new work
    assert give(new_dataset, f"url,caption\n{WEB[0]},one\n", text="caption").texts == 1
    assert give(new_dataset, f"url,caption\n{WEB[0]},other\n{WEB[1]},two\n", text="caption").texts == 1
    assert [row[1] for row in texts(new_dataset)] == ["one", "two"]


def test_source_without_a_good_link_is_known_as_such_each_time(new_dataset):
    for _ in range(2):
        accepted = give(new_dataset, "url\nftp://e.com/1\nhttps://me:secret@e.com/\n")
        assert "line 2: `ftp:` links are not fetched" in accepted.only_bad
    assert give(new_dataset, f"url\nftp://e.com/1\n{WEB[0]}\n").only_bad == ""


def test_run_in_which_every_link_is_bad_says_so_and_fails(new_dataset):
    path = new_dataset.root.parent / "l.txt"
    path.write_text("nope.mp4\nftp://e.com/2\n")
    said = io.StringIO()
    assert not accept_all(new_dataset, [str(path)], Choice(), Console(file=said, width=300))
    assert "every link is bad, the first: line 1: neither an http(s) link nor an existing file" in said.getvalue()
    path.write_text(f"nope.mp4\n{WEB[0]}\n")
    assert accept_all(new_dataset, [str(path)], Choice(), Console(file=said, width=300))


@pytest.mark.slow
def test_command_without_a_good_link_exits_1(tmp_path):
    (tmp_path / "l.txt").write_text("nope.mp4\nftp://e.com/2\n")
    command = ("run", "demo", "--links", str(tmp_path / "l.txt"), "--out", str(tmp_path / "d"), "--runner", "serial")
    for _ in range(2):
        said = hdvg(*command, code=1)
        assert "every link is bad" in said.stdout + said.stderr


def test_unknown_header_stops_the_command_before_a_dataset_is_made(tmp_path):
    (tmp_path / "l.csv").write_text(f"nr;where\n1;{WEB[0]}\n")
    said = hdvg("run", "demo", "--links", str(tmp_path / "l.csv"), "--out", str(tmp_path / "d"), code=2).stderr
    assert "first row: nr;where" in said
    assert "--link-column" in said
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_whole_video_is_a_place_whatever_its_times_are(tmp_path: Path, name: str):
    draw_scenes(tmp_path / name, scene_frames=(9,), codec="mpeg4", options={})
    scene = dict.fromkeys(("parent", "parent_start_ms", "parent_end_ms", "start_ms", "end_ms")) | {
        "start_frame": 0,
        "end_frame": -1,
    }
    placed = place_scenes(str(tmp_path / name), [scene], mode="published", max_pixels=10**6)
    assert len(placed.places) == 1
    assert not placed.failed


def by_times(start_ms: int, end_ms: int) -> Scene:
    return {**NO_SCENE, "start_ms": start_ms, "end_ms": end_ms}


def by_parent(start_ms: int, end_ms: int, frames: tuple[int, int] = (0, -1)) -> Scene:
    parent = {"parent": "p.mp4", "parent_start_ms": start_ms, "parent_end_ms": end_ms}
    return {**NO_SCENE, **parent, "start_frame": frames[0], "end_frame": frames[1]}


NO_SCENE: Scene = {
    "parent": None, "parent_start_ms": None, "parent_end_ms": None, "start_frame": None, "end_frame": None, "start_ms": None, "end_ms": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """100 frames of 40 ms, a key frame every 12."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    draw_scenes(path, scene_frames=(100,))
    return str(path)


@pytest.mark.parametrize("mode", ["published", "exact"])
@pytest.mark.parametrize("scene", [by_times(4000, 9000), by_times(900_000, 925_000), by_parent(4000, 9000), by_parent(900_000, 925_000),
                                   by_parent(900_000, 925_000, (0, 20)), by_parent(0, 2000, (60, 90))])  # fmt: skip
def test_scene_past_the_end_of_its_video_is_no_other_scenes_clip(film, scene, mode):
    placed = place_scenes(film, [scene], mode=mode, max_pixels=10**6)
    assert (
        not placed.places or scene["end_frame"] == 90
    )  # frames 60-89 of a parent of 50 are in the video, if counted exactly
    if not placed.places:
        assert placed.failed[0][0] == "bad_span"


@pytest.mark.parametrize(
    ("scene", "short_ms"),
    [(by_times(2000, 4000), None), (by_times(2000, 4040), None), (by_times(2000, 5000), 1000), (by_times(0, 3000), None),
     ({**NO_SCENE, "start_frame": 90, "end_frame": 120}, 800), ({**NO_SCENE, "start_frame": 90, "end_frame": 100}, None),
     ({**NO_SCENE, "start_frame": 0, "end_frame": -1}, None), (by_parent(2000, 6000), 2000), (by_parent(2000, 4000), None)],
)  # fmt: skip
def test_scene_that_its_video_cuts_short_says_by_how_much(film, scene, short_ms):
    placed = place_scenes(film, [scene], mode="exact", max_pixels=10**6)
    assert [place.short_ms for place in placed.places] == [short_ms]


def test_given_captions_keep_their_letters_and_their_language_is_found_out():
    settings = Writer(captioner="given")
    german = "Ein Hund läuft über die grüne Wiese und bellt laut."
    for text, code in (
        ("It's a Dog running over the green grass.", "en"),
        (german, "de"),
        ("Два человека разговаривают в комнате", "ru"),
        ("Dog", None),
    ):
        answer = Given(settings).prepare(Shot("c", {}, {"given_caption": text, "given_origin": "list"}))
        (row,) = _rows({"video_id": "v", "clip_id": "c"}, answer, settings, Given(settings))
        assert (row["text"], row["language"]) == (text, code)
