"""A part of a source shows the spans exactly as the whole does, and only its bytes are asked for."""

import av
import pytest

from hdvg.airlock import Airlock
from hdvg.media.cut import cut
from hdvg.media.excerpt import is_excerpt
from hdvg.media.scan import scan
from hdvg.sections import Cut, Fetch, Split
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.wanted import Wanted
from tests import servers as web
from tests import sources

PIXELS = 36_000_000
SETTINGS = Fetch(silence_s=2, wall_s=60, tries=1, max_wait_s=1)
NOWHERE = dict.fromkeys(
    ("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame", "start_ms", "end_ms")
)


def timed(start_ms, end_ms):
    return NOWHERE | {"start_ms": start_ms, "end_ms": end_ms}


def counted(parent_start_ms, parent_end_ms, start_frame, end_frame):
    return NOWHERE | {
        "parent": "a.0.mp4", "parent_start_ms": parent_start_ms, "parent_end_ms": parent_end_ms,
        "start_frame": start_frame, "end_frame": end_frame,
    }  # fmt: skip


SCENES = [
    timed(10000, 11000), timed(10500, 11520), timed(9040, 9600), timed(0, 600), timed(50000, 51000),
    counted(10000, 12000, 6, 20), counted(7960, 8640, 3, 9), counted(9000, 9600, 0, -1),
]  # fmt: skip
"""Two that overlap, one at the start, one behind the end; of parents, one that begins at a key frame."""
LATE = [timed(34500, 45000), counted(33000, 35000, 0, -1)]
"""Over the end."""


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


def bytes_asked(server, url):
    """Bytes that were asked for by ranges, or as files beside the one of the link: what yt-dlp looks at first is no fetch."""
    path = url.removeprefix(server.url(""))
    return sum(count for (other, code), count in server.sent.items() if code == 206 or (code == 200 and other != path))


def both(take, server, folder, name, scenes):
    """A source fetched whole and in part, and the bytes that the part cost."""
    path = sources.make(sources.SOURCES[name], folder)
    url = server.url(f"/{path.relative_to(folder)}")
    whole = take(url)
    server.sent.clear()
    part = take(url, scenes)
    assert part.whole_because is None
    assert is_excerpt(part.path)
    return whole, part, bytes_asked(server, url)


@pytest.mark.parametrize("name", sources.SOURCES)
def test_clips_of_a_part_are_those_of_the_whole(name, server, folder, take, tmp_path):
    whole, part, asked = both(take, server, folder, name, SCENES)
    assert asked < 0.6 * whole.path.stat().st_size
    assert part.path.stat().st_size < asked + 4096
    seen, truth = (scanned(one.path, tmp_path / side, SCENES) for side, one in (("part", part), ("whole", whole)))
    assert seen["clips"] == truth["clips"]
    assert seen["failed"] == truth["failed"]
    assert len(truth["clips"]) >= 6
    different = {column for column in truth["video"] if seen["video"][column] != truth["video"][column]}
    assert different == {"n_frames", "duration_s", "fps", "vfr", "decoded_frames"}
    files = [
        cut_files(one.path, tmp_path / f"cut-{side}", truth["clips"][::3], audio="keep", preset="ultrafast")
        for side, one in (("part", part), ("whole", whole))
    ]
    assert files[0] == files[1]
    assert all("frames" in one for one in files[1])


@pytest.mark.parametrize("name", ["MP4, moov last, open GOP", "MP4 in fragments", "WebM", "HLS of MPEG-TS"])
def test_clip_at_the_end_of_a_part_is_that_of_the_whole(name, server, folder, take, tmp_path):
    whole, part, asked = both(take, server, folder, name, LATE)
    assert asked < 0.6 * whole.path.stat().st_size
    seen, truth = (
        scanned(one.path, tmp_path / side, LATE, mode="exact") for side, one in (("part", part), ("whole", whole))
    )
    assert seen["clips"] == truth["clips"]
    assert len(truth["clips"]) == 2
