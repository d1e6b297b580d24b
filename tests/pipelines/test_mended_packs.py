"""Packs with sections are made again, byte by byte; a section that comes out otherwise is named and measured anew."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.dataset.packs import sections, whole_sections
from hdvg.errors import ItemError
from hdvg.ids import digest
from pipelines.previews import take_previews
from pipelines.repair import repair
from tests.layouts import asked, call, files
from tests.own_measures import BYTES, CORNER
from tests.videos import draw_scenes

OWN = (
    "import random\n"
    + CORNER
    + BYTES
    + """

class Dice:
    version = 1
    input = "keyframes"
    columns = {"dice": ("number", "of nothing"), "throws": ("series", "never twice the same")}

    def measure(self, shot):
        return {"dice": 1.0, "throws": [random.random() for _ in shot.keyframes]}
"""
)
RECIPE = """
name = "packs"
keep = {short = "duration_s >= 0.3"}
[measure]
preview = true
[measure.own]
corner = "FOLDER/packs_of_test.py:Corner"
bytes = "FOLDER/packs_of_test.py:Bytes"
[caption]
captioner = "none"
"""
SERIAL = ("--runner", "serial")


def one_by_one(work, items, scratch):
    if len(items) > 1:
        raise ItemError("error", "one of them may be guilty")
    return take_previews(work, items, scratch)


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """A dataset of two videos of one unit, whose packs came about in three steps: a series and previews clip by clip, then a
    series of cut files. Not to be changed."""
    folder = tmp_path_factory.mktemp("packs")
    (folder / "packs_of_test.py").write_text(OWN)
    (folder / "packs.toml").write_text(RECIPE.replace("FOLDER", str(folder)))
    (folder / "clips").mkdir()
    for seed, name in enumerate(("a", "b")):
        draw_scenes(folder / "clips" / f"{name}.mp4", scene_frames=(20, 24), seed=seed + 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hdvg.dataset.intake.cut_units", lambda videos: [(digest("unit", videos)[:16], videos)])
        call("run", folder / "packs.toml", "--links", folder / "clips", "--out", folder / "d", *SERIAL)
        patch.setattr("pipelines.measures_alone.take_previews", one_by_one)
        call("measure", folder / "d", "--set", "measure.preview=true", *SERIAL)
    assert asked(folder / "d", "select count(distinct unit) as units, count(*) as videos from inputs") == [
        {"units": 1, "videos": 2}
    ]
    assert all(set(sections(path)) == {"keyframes", "levels", "first_bytes", "preview"} for path in packs(folder / "d"))
    return folder / "d"


@pytest.fixture
def dataset(packed, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(packed, tmp_path / "d"))


def packs(root: Path) -> list[Path]:
    """Those that rows name: others, which clips done one by one left, are `gc`'s."""
    rows = asked(root, "select distinct keyframes as name from clips order by all")
    return [root / "media" / row["name"][:2] / f"{row['name']}.zip" for row in rows]


def flip(path: Path, section: str) -> None:
    """Turn a bit in the middle of a section's bytes; in the list of sections at the file's end if it is none of them."""
    data = path.read_bytes()
    content = {name: held for (name, _), held in whole_sections(path).items()}.get(section)
    place = len(data) - 20 if content is None else data.index(content) + len(content) // 2
    path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])


def test_packs_that_are_lost_or_damaged_are_made_again_with_the_same_bytes(dataset):
    before = files(dataset)
    first, second = packs(dataset)
    first.unlink()
    flip(second, "levels")
    done = repair(dataset, Console(file=io.StringIO()))
    assert (len(done.mended), done.drift, done.left) == (2, [], [])
    assert files(dataset) == before


@pytest.mark.slow
@pytest.mark.parametrize("harmed", [("preview",), ("keyframes", "levels"), ("first_bytes",), ("the list of sections",)])
def test_a_pack_damaged_anywhere_is_made_again_with_the_same_bytes(dataset, harmed):
    before = files(dataset)
    for name in harmed:
        flip(packs(dataset)[0], name)
    assert "made again with the same bytes" in call("verify", "--repair", dataset)
    assert files(dataset) == before
    assert "whole" in call("verify", dataset)


@pytest.mark.slow
def test_a_lost_part_of_measures_is_taken_again_though_the_splits_own_keyframes_are_gone(dataset):
    before = files(dataset)
    for path in dataset.glob("parts/remeasure/*"):
        if "seed" not in path.name:
            path.unlink()
    call("verify", "--repair", dataset)
    assert "whole" in call("verify", dataset)
    kept = {name for name in before if not name.startswith(("parts/remeasure", "media"))}
    after = files(dataset)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert all(set(sections(path)) == {"keyframes", "levels", "first_bytes", "preview"} for path in packs(dataset))


@pytest.mark.slow
def test_a_section_that_comes_out_otherwise_is_named_and_its_measure_is_taken_again(dataset, packed):
    dice = f"measure.own.dice={packed.parent}/packs_of_test.py:Dice"
    call("measure", dataset, "--set", dice, *SERIAL)
    first, second = packs(dataset)
    kept = {name: held for (name, _), held in whole_sections(first).items() if name != "throws"}
    flip(first, "throws")
    said = call("verify", "--repair", dataset)
    assert "hdvg measure` takes dice=" in said
    assert second.exists()
    assert not first.exists()
    assert asked(dataset, "select distinct status, reason, stage from failures") == [
        {"status": "retry", "reason": "lost_pack", "stage": "remeasure"}
    ]
    assert asked(dataset, "select count(*) as n from dataset where dice = 1") == [{"n": 4}]
    call("measure", dataset, *SERIAL)
    assert "whole" in call("verify", dataset)
    (new,) = set(packs(dataset)) - {second}
    held = {name: content for (name, _), content in whole_sections(new).items()}
    assert {name: held[name] for name in kept} == kept
    assert set(held) == {*kept, "throws"}
    assert asked(dataset, "select * from failures") == []
    before = files(dataset)  # of a pack whose history has a step back: what can be made again still is
    flip(new, "levels")
    assert "made again with the same bytes" in call("verify", "--repair", dataset)
    assert files(dataset) == before
    new.unlink()
    assert "takes" in call("verify", "--repair", dataset)
    call("measure", dataset, *SERIAL)
    assert "whole" in call("verify", dataset)


@pytest.mark.slow
def test_a_pack_whose_video_cannot_be_read_any_more_is_left_and_named(dataset):
    first, second = packs(dataset)
    (gone,) = asked(
        dataset,
        f"select distinct v.sha256, v.source from clips c join videos v using (video_id) where keyframes = '{first.stem}'",
    )
    next((dataset / "media").glob(f"*/{gone['sha256']}.*")).unlink()
    source = Path(gone["source"].removeprefix("file://"))
    source.rename(source.with_name("away"))
    flip(first, "levels")
    harmed = first.read_bytes()
    try:
        assert call_repair(dataset) == 1
        assert first.read_bytes() == harmed
    finally:
        source.with_name("away").rename(source)
    assert "made again with the same bytes" in call("verify", "--repair", dataset)
    assert second.exists()
    assert "whole" in call("verify", dataset)


def call_repair(root: Path) -> int:
    from typer.testing import CliRunner

    from hdvg.cli import app

    result = CliRunner().invoke(app, ["verify", "--repair", str(root)])
    assert "pack of video" in result.output or "keyframes of video" in result.output
    return result.exit_code
