"""Strips and contact sheets of clips: their frames, order, size and labels, from real videos' packs alone."""

from __future__ import annotations

import shutil
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.packs import read_section
from hdvg.reports.sheet import DROPPED, KEPT, Layout, _fitting, _font, write_sheet
from hdvg.reports.strips import spread, strips
from tests.layouts import asked, call


@pytest.fixture(scope="module")
def root(seen_dataset: Path) -> Path:
    return seen_dataset


def picture(webp: bytes) -> np.ndarray:
    """(H, W, 3), RGB."""
    with Image.open(BytesIO(webp)) as image:
        assert image.format == "WEBP"
        return np.asarray(image.convert("RGB"))


def clips(root: Path, *, where: str = "true") -> list[dict]:
    return asked(root, f"select clip_id, source, keyframes from dataset where {where} order by source, start_pts")


def test_a_strip_has_every_picture_once_where_there_are_few_and_no_clip_that_is_not_there(root):
    known = clips(root)
    assert len(known) >= 3
    found = strips(Dataset.open(root), [row["clip_id"] for row in known] + ["0" * 64])
    assert list(found) == [row["clip_id"] for row in known]
    for row in known:
        (path,) = (root / "media").glob(f"*/{row['keyframes']}.parquet")
        count = read_section(path, "keyframes", columns=["clip_id"])["clip_id"].to_pylist().count(row["clip_id"])
        assert picture(found[row["clip_id"]]).shape == (90, 160 * min(count, 8), 3)


def test_its_frames_are_the_stored_pictures_in_order_of_time_letterboxed(root):
    row = clips(root, where="source like '%wanna%'")[0]
    strip = picture(strips(Dataset.open(root), [row["clip_id"]])[row["clip_id"]]).astype(float)
    (path,) = (root / "media").glob(f"*/{row['keyframes']}.parquet")
    stored = [one for one in read_section(path, "keyframes").sort_by("pts").to_pylist() if one["clip_id"] == row["clip_id"]]  # fmt: skip
    assert len({one["pts"] for one in stored}) == len(stored) > 3
    for number, one in enumerate(stored):
        frame = strip[:, 160 * number : 160 * (number + 1)]
        width = round(90 * one["width"] / one["height"])
        left = (160 - width) // 2
        assert frame[:, : left - 8].mean() < 3, "a bar is black"
        small = np.asarray(Image.open(BytesIO(one["jpeg"])).resize((width, 90), Image.Resampling.BICUBIC), float)
        differs = [np.abs(frame[:, left : left + width] - other).mean() for other in (small, small[:, ::-1])]
        assert differs[0] < min(12, differs[1])


def test_frames_and_size_can_be_others(root):
    row = clips(root, where="source like '%wanna%'")[0]
    found = strips(Dataset.open(root), [row["clip_id"]], frames=2, size=(48, 64))
    assert picture(found[row["clip_id"]]).shape == (48, 128, 3)


def test_of_many_pictures_those_in_the_middle_of_each_stretch_are_taken():
    assert spread(list("abcdefgh"), 4) == ["b", "d", "f", "h"]
    assert spread(list(range(30)), 3) == [5, 15, 25]
    assert spread([1, 2], 8) == [1, 2]


def test_a_clip_whose_pack_is_lost_or_broken_is_left_out(root, tmp_path):
    copy = Path(shutil.copytree(root, tmp_path / "d"))
    birds, *others = clips(copy)
    (lost,) = (copy / "media").glob(f"*/{birds['keyframes']}.parquet")
    lost.unlink()
    (broken,) = (copy / "media").glob(f"*/{others[0]['keyframes']}.parquet")
    broken.write_bytes(broken.read_bytes()[:1000])
    assert strips(Dataset.open(copy), [one["clip_id"] for one in (birds, *others)]) == {}


ALL = "select clip_id, sharpness from dataset order by source, start_pts"


def colours(path: Path) -> set[str]:
    with Image.open(path) as image:
        return {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in image.convert("RGB").getcolors(2**24)}


def test_a_sheet_shows_each_clip_with_its_frames_and_verdict(root, tmp_path):
    count = len(clips(root))
    path = tmp_path / "s.png"
    assert call("sheet", root, ALL, "-o", path, "--columns", "2", "--frames", "3").strip() == str(path)
    with Image.open(path) as image:
        assert image.size == Layout(2, 3, moves=False).size(count)
        sheet = np.asarray(image.convert("RGB")).astype(float)
    assert {KEPT, DROPPED} <= colours(path)
    strip = picture(strips(Dataset.open(root), [clips(root)[0]["clip_id"]], frames=3)[clips(root)[0]["clip_id"]])
    left, top = Layout(2, 3, moves=False).place(0)
    assert np.abs(sheet[top : top + 90, left : left + 480] - strip).mean() < 8, "the first clip stands first"


def test_a_gif_moves_and_repeats(root, tmp_path):
    call("sheet", root, ALL, "-o", tmp_path / "s.gif", "--frames", "5")
    with Image.open(tmp_path / "s.gif") as image:
        assert (image.n_frames, image.info["loop"]) == (5, 0)
        assert image.size == Layout(5, 5, moves=True).size(len(clips(root)))
        shown = []
        for number in range(image.n_frames):
            image.seek(number)
            shown.append(np.asarray(image.convert("RGB")).astype(float))
    assert all(np.abs(one - other).mean() > 0.5 for one, other in pairwise(shown))


@pytest.mark.parametrize(
    ("sql", "out", "says"),
    [
        ("select video_id from dataset", "s.png", "no clip_id"),
        ("select clip_id from dataset where false", "s.png", "0 clips; a sheet shows 1 to 500"),
        ("select range::varchar as clip_id from range(501)", "s.png", "501 clips; a sheet shows 1 to 500"),
        ("select 'odd' as clip_id", "s.png", "no clip 'odd'"),
        ("drop table videos", "s.png", "one SELECT"),
        (ALL, "s.jpg", "is a .png, or a .gif"),
        (ALL, "no/such/s.png", "No such file or directory; name a file in a folder that is there"),
    ],
)
def test_what_makes_no_sheet_is_said_with_the_next_step(root, tmp_path, sql, out, says):
    result = CliRunner().invoke(app, ["sheet", str(root), sql, "-o", str(tmp_path / out)])
    assert result.exit_code != 0
    assert says in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_without_pictures_has_its_place_and_is_counted(root, tmp_path):
    copy = Path(shutil.copytree(root, tmp_path / "d"))
    next((copy / "media").glob(f"*/{clips(copy)[0]['keyframes']}.parquet")).unlink()
    rows = [{"clip_id": row["clip_id"]} for row in clips(copy)]
    assert write_sheet(Dataset.open(copy), rows, tmp_path / "s.png", Layout(4, 2, moves=False)) == 1
    assert "#d0d0d0" in colours(tmp_path / "s.png")


def test_a_label_is_one_line_that_fits_and_holds_no_control_character():
    for text in ("a dog\x00\x1b[31m runs\nover \u202e the grass " * 20, "狗" * 500, "", "short"):
        line = _fitting(text, 160)
        assert _font().getlength(line) <= 160
        assert line.isprintable()
    assert _fitting("short", 160) == "short"
    assert _fitting("a dog runs over the grass " * 9, 160).startswith("a dog runs")
