"""A part of a source shows the spans exactly as the whole does, and only its bytes are asked for."""

import random
from collections import Counter
from pathlib import Path

import av
import pytest

from hdvg.airlock import Airlock
from hdvg.media.cut import cut
from hdvg.media.part import is_part, read_layout
from hdvg.media.scan import scan
from hdvg.sections import Cut, Fetch, Split
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.wanted import Wanted
from tests import servers as web
from tests import sources

PIXELS = 36_000_000
SETTINGS = Fetch(silence_s=2, wall_s=60, tries=1, max_wait_s=1)
NOWHERE = dict.fromkeys(("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame", "start_ms", "end_ms"))


def timed(start_ms, end_ms):
    return NOWHERE | {"start_ms": start_ms, "end_ms": end_ms}


def counted(parent_start_ms, parent_end_ms, start_frame, end_frame):
    return NOWHERE | {
        "parent": "a.0.mp4", "parent_start_ms": parent_start_ms, "parent_end_ms": parent_end_ms,
        "start_frame": start_frame, "end_frame": end_frame,
    }  # fmt: skip


SPANS = {
    "times": [timed(10000, 12000), timed(11000, 13520), timed(30040, 31000)],
    "frames of parents": [counted(20000, 24000, 10, 40), counted(5000, 7000, 0, -1), counted(9960, 10640, 3, 9)],
    "both ends": [timed(0, 900), timed(38500, 45000), timed(50000, 51000)],
}


@pytest.fixture(scope="module")
def airlock():
    lock = Airlock(preload=(*PRELOAD, "hdvg.media.coverage"))
    yield lock
    lock.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture
def server(folder):
    with web.serve_folder(folder) as running:
        yield running


@pytest.fixture
def take(airlock, tmp_path):
    def run(url, scenes=None, *, mode="published", **changed):
        wanted = Wanted(scenes, mode, PIXELS) if scenes is not None else None
        settings = SETTINGS.model_copy(update=changed)
        return fetch(url, scratch=tmp_path, settings=settings, airlock=airlock, gate=HostGate(4, 0, 2), wanted=wanted)

    return run


def scanned(path, out, scenes, *, mode="published"):
    """What the one pass finds, without what only the whole can tell."""
    out.mkdir()
    settings = Split().model_dump() | {"scenes": scenes, "stitch_levels": 0.0, "given": mode}
    found = scan(str(path), str(out), settings, 2, PIXELS)
    for clip in found["clips"]:
        for name in ("start_frame", "end_frame"):
            clip.pop(name)
        clip["keyframes"] = [
            (one["position"], one["pts"], (out / one["file"]).read_bytes()) for one in clip["keyframes"]
        ]
    return found


def cut_files(path, out, clips, **settings):
    """Results of a cut, with each clip's decoded frames and their times."""
    out.mkdir()
    names = ("start_pts", "end_pts", "n_frames", "first_look", "last_look")
    spans = [
        {"clip_id": f"c{number}", "decode_errors": 0} | {name: clip[name] for name in names}
        for number, clip in enumerate(clips)
    ]
    results = cut(str(path), str(out), spans, Cut(threads=1, **settings).model_dump(), PIXELS)
    for result in results:
        result.pop("cut_decoded_frames", None)
        if "file" in result:
            with av.open(str(out / result["file"])) as file:
                result["frames"] = [
                    (frame.pts, frame.time_base, frame.to_ndarray().tobytes()) for frame in file.decode(video=0)
                ]
            with av.open(str(out / result["file"])) as file:
                result["sound"] = [(one.pts, bytes(one)) for one in file.demux() if one.stream.type == "audio"]
    return results


@pytest.mark.parametrize("spans", SPANS)
@pytest.mark.parametrize("name", sources.SOURCES)
def test_clips_of_a_part_are_those_of_the_whole(name, spans, server, folder, take, tmp_path):
    scenes = SPANS[spans]
    url = server.url("/" + str(sources.make(sources.SOURCES[name], folder).relative_to(folder)))
    whole = take(url)
    all_bytes = sum(server.sent.values())
    server.sent.clear()
    part = take(url, scenes)
    assert part.whole_because is None
    assert is_part(part.path)
    asked = sum(server.sent.values())
    assert asked < 0.6 * all_bytes
    assert part.path.stat().st_size < asked + 4096
    seen, truth = (
        scanned(one.path, tmp_path / side, scenes) for side, one in (("part", part), ("whole", whole))
    )
    assert seen["clips"] == truth["clips"]
    assert seen["failed"] == truth["failed"]
    assert len(truth["clips"]) >= 2
    different = {column for column in truth["video"] if seen["video"][column] != truth["video"][column]}
    assert different == {"n_frames", "duration_s", "fps", "vfr", "decoded_frames"}
    for number, settings in enumerate(({"audio": "keep"}, {"mode": "copy"})):
        files = [
            cut_files(one.path, tmp_path / f"{number}-{side}", truth["clips"], **settings)
            for side, one in (("part", part), ("whole", whole))
        ]
        assert files[0] == files[1]
