"""A pack keeps sections of their own versions; one more leaves the others as they are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.dataset.packs import add_sections, read_section, sections

PICTURES = pa.table({"clip_id": ["a", "b"], "jpeg": [b"1", b"2"]})
LUMA = pa.table({"clip_id": ["a", "b"], "values": [[1.0, 2.0], [3.0]]})
BRIGHTER = pa.table({"clip_id": ["a"], "values": [[9.0]]})


@pytest.fixture
def first(tmp_path):
    pq.write_table(PICTURES, tmp_path / "keyframes.parquet")
    return tmp_path / "keyframes.parquet"


def test_a_pack_of_the_first_layout_is_one_section(first):
    assert sections(first) == {"keyframes": "1"}
    assert read_section(first, "keyframes") == PICTURES
    with pytest.raises(KeyError):
        read_section(first, "luma")


def test_a_section_more_leaves_the_others_as_they_are(first, tmp_path):
    add_sections(first, {"luma": ("1", LUMA)}, tmp_path / "second")
    add_sections(tmp_path / "second", {"other": ("4", BRIGHTER)}, tmp_path / "third")
    assert sections(tmp_path / "third") == {"keyframes": "1", "luma": "1", "other": "4"}
    assert read_section(tmp_path / "third", "keyframes", columns=["jpeg"]) == PICTURES.select(["jpeg"])
    assert read_section(tmp_path / "third", "luma") == LUMA


def test_a_newer_section_takes_the_place_of_the_older(first, tmp_path):
    add_sections(first, {"luma": ("1", LUMA)}, tmp_path / "second")
    add_sections(tmp_path / "second", {"luma": ("2", BRIGHTER)}, tmp_path / "third")
    assert sections(tmp_path / "third") == {"keyframes": "1", "luma": "2"}
    assert read_section(tmp_path / "third", "luma") == BRIGHTER


def test_equal_packs_are_equal_bytes(first, tmp_path):
    for name in ("one", "two"):
        add_sections(first, {"luma": ("1", LUMA)}, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_rows_of_some_clips_are_read_without_the_row_groups_of_others(tmp_path):
    many = pa.table({"clip_id": [f"c{number // 3}" for number in range(300)], "jpeg": [b"x"] * 300})
    pq.write_table(many, tmp_path / "bare.parquet", row_group_size=10)
    add_sections(tmp_path / "bare.parquet", {"luma": ("1", LUMA)}, tmp_path / "zip")
    for path in (tmp_path / "bare.parquet", tmp_path / "zip"):
        found = read_section(path, "keyframes", clips=["c3", "c50", "nothing"])
        assert found["clip_id"].to_pylist() == ["c3"] * 3 + ["c50"] * 3
        assert read_section(path, "keyframes", columns=["jpeg"], clips=["c7"]).column_names == ["jpeg"]
        assert read_section(path, "keyframes", clips=[]).num_rows == 0
