"""Previews: a section of a video's pack, taken alone on request; what was there before stays as it was."""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.packs import read_section, sections
from hdvg.errors import ItemError
from hdvg.reports.strips import strips
from pipelines.previews import FRAMES_MOST, _pieces, take_previews
from tests.layouts import asked, call, files
from tests.own_measures import BYTES

SERIAL = ("--runner", "serial")
CLIPS = "select clip_id, source, keep, keyframes, duration_s from dataset order by source, start_pts"


@pytest.fixture(scope="module")
def plain(seen_dataset: Path) -> Path:
    return seen_dataset


@pytest.fixture(scope="module")
def seen(plain, tmp_path_factory) -> Path:
    """The same, with previews of what was not dropped."""
    root = Path(shutil.copytree(plain, tmp_path_factory.mktemp("previews") / "d"))
    call("measure", root, "--set", "measure.preview=true", *SERIAL)
    return root


def packs(root: Path) -> dict[str, Path]:
    """By clip, its video's pack."""
    return {row["clip_id"]: next((root / "media").glob(f"*/{row['keyframes']}.*")) for row in asked(root, CLIPS)}


def previews(root: Path) -> dict[str, dict]:
    """By clip, its row of the section."""
    found = {path for path in packs(root).values() if "preview" in sections(path)}
    return {row["clip_id"]: row for path in found for row in read_section(path, "preview").to_pylist()}


def width(webp: bytes) -> int:
    with Image.open(BytesIO(webp)) as image:
        return image.width


def test_a_preview_has_two_small_frames_a_second_of_every_clip_that_was_not_dropped(seen):
    held, clips = previews(seen), asked(seen, CLIPS)
    assert held.keys() == {row["clip_id"] for row in clips if row["keep"]}
    assert 0 < len(held) < len(clips)
    assert max(row["duration_s"] for row in clips if row["keep"]) * 2 > FRAMES_MOST, "one is over the budget"
    for row in clips:
        if row["keep"]:
            one, step_s = held[row["clip_id"]], max(0.5, row["duration_s"] / FRAMES_MOST)
            assert len(one["frames"]) == len(one["at_s"]) == pytest.approx(row["duration_s"] / step_s, abs=1)
            assert one["at_s"] == pytest.approx([number * step_s for number in range(len(one["at_s"]))], abs=0.1)
            assert all(Image.open(BytesIO(webp)).height == 160 for webp in one["frames"])


def test_nothing_but_the_section_is_made_and_the_same_again_makes_nothing(plain, seen):
    before, after = files(plain), files(seen)
    changed = {name for name, content in after.items() if before.get(name) != content} | before.keys() - after.keys()
    assert {name.rpartition("/")[0] for name in changed if name.startswith("parts/")} == {"parts/remeasure"}
    assert {name.split("/")[0] for name in changed} == {"parts", "media"}
    assert "measure.preview = false" not in (seen / "dataset.toml").read_text()
    call("measure", seen, *SERIAL)
    call("run", seen, *SERIAL)
    assert files(seen) == after
    assert "whole" in call("verify", seen)


@pytest.mark.slow
def test_no_dataset_takes_previews_unless_it_is_told(plain, tmp_path):
    root = Path(shutil.copytree(plain, tmp_path / "d"))
    before = files(root)
    call("measure", root, *SERIAL)
    assert files(root) == before
    assert previews(root) == {}


def test_strips_are_made_of_previews_where_there_are_some(plain, seen):
    names = [row["clip_id"] for row in asked(seen, CLIPS)]
    few, many, held = strips(Dataset.open(plain), names), strips(Dataset.open(seen), names), previews(seen)
    assert few.keys() == many.keys() == set(names)
    for name in names:
        if name in held:
            assert width(many[name]) == 160 * min(len(held[name]["frames"]), 8)
            assert many[name] != few[name]
        else:
            assert many[name] == few[name]


@pytest.mark.slow
def test_turned_off_again_the_packs_with_previews_stand_and_turned_on_nothing_is_taken_twice(seen, tmp_path):
    root = Path(shutil.copytree(seen, tmp_path / "d"))
    before, held = files(root), previews(root)
    call("run", root, "--set", "measure.preview=false", *SERIAL)
    assert "whole" in call("verify", root)
    assert previews(root).keys() == held.keys()
    call("run", root, "--set", "measure.preview=true", *SERIAL)
    assert files(root) == before


@pytest.mark.slow
def test_with_measure_all_dropped_clips_have_them_too_and_those_that_were_there_stay(seen, tmp_path):
    root = Path(shutil.copytree(seen, tmp_path / "d"))
    kept = previews(root)
    call("run", root, "--set", "measure.all=true", *SERIAL)
    assert previews(root).keys() == {row["clip_id"] for row in asked(root, CLIPS)}
    for name, one in kept.items():
        assert previews(root)[name] == one


def test_where_the_source_is_gone_the_cut_files_are_looked_at(plain, seen, tmp_path):
    root = Path(shutil.copytree(plain, tmp_path / "d"))
    sources = [row["sha256"] for row in asked(root, "select sha256 from videos")]
    for name in sources:
        next((root / "media").glob(f"*/{name}.*")).unlink()
    call("measure", root, "--set", "measure.preview=true", *SERIAL)
    assert [path for name in sources for path in (root / "media").glob(f"*/{name}.*")] == [], (
        "nothing was fetched again"
    )
    of_source, of_cuts = previews(seen), previews(root)
    assert of_cuts.keys() == of_source.keys()
    for name, one in of_cuts.items():
        assert one["at_s"] == pytest.approx(of_source[name]["at_s"], abs=0.05)


def test_verify_misses_a_pack_gc_keeps_it_and_a_purge_takes_it(seen, tmp_path):
    root = Path(shutil.copytree(seen, tmp_path / "d"))
    (pack,) = (root / "media").glob("*/*.zip")
    for path in (root / "media").glob("*/*"):
        os.utime(path, (0, 0))  # gc leaves young files alone
    call("gc", root, "--remove")
    assert pack.exists()
    content = pack.read_bytes()
    pack.unlink()
    assert f"no file media/{pack.stem[:2]}/{pack.stem}" in CliRunner().invoke(app, ["verify", str(root)]).stdout
    pack.write_bytes(content)
    (video,) = asked(root, f"select video_id from clips where keyframes = '{pack.stem}' limit 1")
    call("forget", root, "--video", video["video_id"], "--purge")
    assert not pack.exists()
    assert "whole" in call("verify", root)


@pytest.mark.parametrize(
    "said",
    [
        [{"sizes": [12, 8], "at_s": [0.0, 1.0]}],
        [{"sizes": [20], "at_s": []}],
        [{"sizes": [10, 10], "at_s": [1.0, 0.0]}],
        [{"sizes": [0] * 33, "at_s": [0.0] * 33}],
    ],
)
def test_a_child_that_gives_no_small_webps_is_not_believed(said):
    with pytest.raises(ItemError):
        list(_pieces(b"RIFF    WEBP" + b"x" * 8, said))


@pytest.mark.slow
def test_a_section_that_a_later_stage_adds_stands_beside_the_previews(seen, tmp_path):
    root = Path(shutil.copytree(seen, tmp_path / "d"))
    (tmp_path / "late_of_test.py").write_text(BYTES)
    held = previews(root)
    call("run", root, "--set", f"measure.own.bytes={tmp_path}/late_of_test.py:Bytes", *SERIAL)
    assert previews(root) == held
    for name in held:
        path = packs(root)[name]
        assert sections(path).keys() == {"keyframes", "preview", "first_bytes"}
    assert "whole" in call("verify", root)


def test_clips_that_are_done_one_by_one_all_have_their_previews(plain, seen, tmp_path, monkeypatch):
    def single(work, items, scratch):
        if len(items) > 1:
            raise ItemError("error", "one of them may be guilty")
        return take_previews(work, items, scratch)

    monkeypatch.setattr("pipelines.measures_alone.take_previews", single)
    root = Path(shutil.copytree(plain, tmp_path / "d"))
    call("measure", root, "--set", "measure.preview=true", *SERIAL)
    assert previews(root) == previews(seen)
    assert len(previews(root)) > 1
    assert "whole" in call("verify", root)
