"""Strips of clips: their frames, order and size, from real videos' packs alone."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.packs import read_section
from hdvg.reports.strips import spread, strips
from tests.footage import BUNDLED
from tests.layouts import asked, call

RECIPE = 'name = "seen"\nkeep = {long = "duration_s >= 2"}\n[cut]\nmode = "virtual"\n[caption]\ncaptioner = "none"\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A dataset of a short wide video of one clip, and of one of 4:3 with several."""
    folder = tmp_path_factory.mktemp("seen")
    (folder / "clips").mkdir()
    for name in ("birds_720p.mp4", "wannaworktogether_30s.mp4"):
        shutil.copy(BUNDLED / name, folder / "clips")
    (folder / "seen.toml").write_text(RECIPE)
    call("run", folder / "seen.toml", "--links", folder / "clips", "--out", folder / "d", "--runner", "serial")
    return folder / "d"


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
