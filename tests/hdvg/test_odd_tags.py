"""Tags of a file may hold any bytes: they are dropped, or stored as plain UTF-8; never do they cost the video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hdvg.config.cut import Cut
from hdvg.config.sections import Split
from hdvg.media.cut import cut
from hdvg.media.probe import probe
from hdvg.media.scan import scan
from tests.bench.machine import ffmpeg
from tests.test_cli import hdvg
from tests.videos import draw_scenes

PIXELS = 36_000_000
MARK = "ODDTAGODDTAGODDTAG"
ODD = {
    "latin-1": b"caf\xe9 \xe0 la cr\xe8me -".ljust(len(MARK), b"x"),
    "NUL and controls": b"a\x00b\x01\x02\x1b[31m\r\n\x7f".ljust(len(MARK), b"\x00"),
    "no UTF-8 at all": b"\xff\xfe\xc0\x80\xed\xa0\x80\xf8\x88\x80\x80\x80\xfe\xff\xf5\x90\x80\x80",
}
WHERE = ("title", "artist", "comment", "album", "language", "handler_name", "encoder", "service_name")


def tagged(path: Path, odd: bytes) -> Path:
    """A video with sound whose container and streams bear the odd bytes in many tags."""
    plain = path.with_name(f"plain{path.suffix}")
    draw_scenes(path.with_name("film.mp4"), scene_frames=(20, 25), time_base=Fraction(1, 25))
    tags = [
        word
        for name in WHERE
        for place in ("-metadata", "-metadata:s:v", "-metadata:s:a")
        for word in (place, f"{name}={MARK}")
    ]
    sound = ("-f", "lavfi", "-i", "sine=duration=1.8")
    coded = ("-c:v", "copy", "-c:a", "libopus" if path.suffix == ".mkv" else "aac", "-shortest")
    ffmpeg("-i", path.with_name("film.mp4"), *sound, *coded, *tags, plain)
    content = plain.read_bytes()
    assert content.count(MARK.encode()) >= 1
    path.write_bytes(content.replace(MARK.encode(), odd))
    return path


@pytest.mark.parametrize(
    ("suffix", "name"),
    [*((suffix, "no UTF-8 at all") for suffix in (".mp4", ".mkv", ".mov", ".ts", ".avi", ".flv")), (".mkv", "latin-1"),
     (".mp4", "NUL and controls"), (".mkv", "NUL and controls")],
)  # fmt: skip
def test_odd_bytes_in_tags_cost_nothing(tmp_path, suffix, name):
    odd = ODD[name]
    path = str(tagged(tmp_path / f"v{suffix}", odd))
    assert probe(path, PIXELS)["codec"] == "h264"
    found = scan(path, str(tmp_path), Split().model_dump(), 1, PIXELS)
    assert [clip["n_frames"] for clip in found["clips"]] == [20, 25]
    spans = [{"clip_id": "a"} | {name: found["clips"][0][name] for name in ("start_pts", "end_pts", "n_frames")}]
    (made,) = cut(path, str(tmp_path), spans, Cut(preset="ultrafast", audio="keep").model_dump(), PIXELS)
    assert "reason" not in made
    assert odd[:6] not in (tmp_path / made["file"]).read_bytes()


def test_a_run_over_files_with_odd_tags_stores_plain_text_alone(tmp_path):
    (tmp_path / "videos").mkdir()
    for number, odd in enumerate(ODD.values()):
        tagged(tmp_path / f"videos/{number}.mkv", odd)
    for extra in ("plain.mkv", "film.mp4"):
        (tmp_path / "videos" / extra).unlink()
    hdvg("run", "demo", "--links", str(tmp_path / "videos"), "--out", str(tmp_path / "d"), "--runner", "serial",
         "--set", "caption.captioner=none", "--set", "keep.too_short=null", "--set", "keep.low_resolution=null")  # fmt: skip
    tables = list((tmp_path / "d").rglob("*.parquet"))
    assert len(tables) > 5
    for path in tables:
        pq.read_table(path).validate(full=True)
    rows = hdvg("query", str(tmp_path / "d"), "--csv", "select status, reason from videos").stdout
    assert rows.count("ok") == len(ODD), rows
