"""Encrypted MP4 is `encrypted`, whatever part of it is and wherever it says so: noise is never taken for a film, nor a clear lead
for the whole of one."""

from __future__ import annotations

import pytest

from hdvg.config.cut import Cut
from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.media.cut import cut
from hdvg.media.probe import probe
from hdvg.media.protection import entries_of
from hdvg.media.scan import scan
from tests.protected import fragmented, protect
from tests.videos import draw_scenes

PIXELS = 36_000_000


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """80 frames in 7 fragments."""
    folder = tmp_path_factory.mktemp("plain")
    draw_scenes(folder / "source.mp4", scene_frames=(40, 40))
    return fragmented(folder / "source.mp4", folder / "plain.mp4")


def scanned(path, out):
    return scan(str(path), str(out), Split(max_error_share=0.99).model_dump(), 2, PIXELS)


def test_what_is_not_encrypted_is_read_whole(plain, tmp_path):
    assert scanned(plain, tmp_path)["video"]["n_frames"] == 80
    with plain.open("rb") as file:
        assert entries_of(file, 1) == [b"avc1"]
        assert file.tell() == 0
        assert entries_of(file, 2) == []


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("entries", ["one", "two"])
@pytest.mark.parametrize("lead", [0, 2, 6])
@pytest.mark.parametrize("scheme", ["cenc", "cbcs"])
def test_all_or_the_part_behind_a_clear_lead_is_encrypted(plain, tmp_path, scheme, lead, entries, told):
    path = tmp_path / "protected.mp4"
    protect(plain, path, scheme=scheme, lead=lead, entries=entries, told=told)
    span = {"clip_id": "a", "start_pts": 0, "end_pts": 10**9, "n_frames": 12}
    for look in (
        lambda: scanned(path, tmp_path),
        lambda: probe(str(path), PIXELS),
        lambda: cut(str(path), str(tmp_path), [span], Cut().model_dump(), PIXELS),
    ):
        with pytest.raises(ItemError, match="encrypted: "):
            look()


@pytest.mark.parametrize("scheme", ["cenc", "cbcs"])
def test_packets_say_it_too_where_the_head_is_not_looked_at(plain, tmp_path, scheme, monkeypatch):
    """As in parts of a source, of which the head may not be there."""
    protect(plain, tmp_path / "protected.mp4", scheme=scheme, lead=2)
    monkeypatch.setattr("hdvg.media.protection.entries_of", lambda file, track: [])
    with pytest.raises(ItemError, match="encrypted: Common Encryption"):
        scanned(tmp_path / "protected.mp4", tmp_path)


@pytest.mark.parametrize("cut_at", [0.1, 0.3])
def test_a_file_whose_boxes_break_off_says_nothing_of_its_entries(plain, tmp_path, cut_at):
    data = plain.read_bytes()
    moov = data.index(b"moov")
    path = tmp_path / "broken.mp4"
    path.write_bytes(data[: moov + int(cut_at * 600)])
    with path.open("rb") as file:
        assert entries_of(file, 1) == []
