"""A lab's files and a table in WebVid's layout become captioned clips, in any script, and go out again to the trainers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.layouts import asked, call
from tests.videos import draw_scenes

TEXTS = [
    "كلب يركض على العشب، ثم يقف",
    "כלב רץ על הדשא ואז עוצר",
    "一只狗在草地上奔跑，然后停下",
    "a dog 🐕‍🦺 runs, then stops",
]
SETTINGS = ("cut.preset=ultrafast", "cut.verify_share=0", "keep={}", "keep.short=duration_s >= 0.5")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """Four files, named by relative paths, imported and run."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "videos").mkdir()
    for number in range(len(TEXTS)):
        draw_scenes(folder / f"videos/{number}.mp4", scene_frames=(20, 25), seed=number)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["videoid", "contentUrl", "duration", "page_dir", "name"])
        writer.writerows([n, f"videos/{n}.mp4", "PT00H00M02S", "000_050", text] for n, text in enumerate(TEXTS))
    settings = [word for one in SETTINGS for word in ("--set", one)]
    call("import", "webvid", folder / "results.csv", "--out", folder / "d", *settings)
    call("run", folder / "d", "--runner", "serial")
    return folder / "d"


def test_each_video_is_one_clip_with_its_text_in_its_own_letters(done):
    rows = asked(done, "select d.given_id, caption, n_frames, keep from dataset d order by given_id")
    assert [row["caption"] for row in rows] == TEXTS
    assert [(row["given_id"], row["n_frames"], row["keep"]) for row in rows] == [(str(n), 45, True) for n in range(4)]
    assert all(row["sound"] for row in asked(done, "select sound from captions"))


def test_texts_leave_as_they_came(done, tmp_path):
    call("export", done, "--to", "webvid", "--out", tmp_path / "w")
    with (tmp_path / "w/train/results.csv").open(newline="", encoding="utf-8") as file:
        assert sorted(row["name"] for row in csv.DictReader(file)) == sorted(TEXTS)
    call("export", done, "--to", "musubi-tuner", "--out", tmp_path / "m")
    lines = (tmp_path / "m/train/metadata.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["caption"] for line in lines) == sorted(TEXTS)


def test_pages_hold_the_texts_whole(done, tmp_path):
    call("report", done, "-o", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert [text for text in TEXTS if json.dumps(text)[1:-1] not in page] == []
    call("report", done, "-o", tmp_path / "card.md")
    assert "Captions: 4, 4 of them different" in (tmp_path / "card.md").read_text("utf-8")
