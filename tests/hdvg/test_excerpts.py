"""A part of a source shows the spans exactly as the whole does, and only its bytes are asked for."""

import random
import re

import av
import pytest

from hdvg.config.fetch import Fetch
from hdvg.config.sections import Cut, Split
from hdvg.errors import ItemError, TransientError
from hdvg.measures.sound import Sound
from hdvg.media.cut import cut
from hdvg.media.excerpt import Layout, is_excerpt, open_excerpt, opening_sha256, write_excerpt
from hdvg.media.scan import scan
from hdvg.sandbox import Sandbox
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.playlists import Place, WholeError, read_hls
from hdvg.sources.wanted import Wanted
from tests import servers as web
from tests import sources

PIXELS = 36_000_000
SETTINGS = Fetch(silence_s=15, wall_s=60, tries=1, max_wait_s=1)
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
def sandbox():
    lock = Sandbox(preload=(*PRELOAD, "hdvg.media.coverage"))
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
def take(sandbox, tmp_path):
    def run(url, scenes=None, *, mode="published", **changed):
        wanted = Wanted(scenes, mode, PIXELS) if scenes is not None else None
        settings = SETTINGS.model_copy(update=changed)
        return fetch(url, scratch=tmp_path, settings=settings, sandbox=sandbox, gate=HostGate(4, 0, 2), wanted=wanted)

    return run


def scanned(path, out, scenes, *, mode="published"):
    """What the one pass finds, without what only the whole can tell."""
    out.mkdir()
    settings = Split().model_dump() | {"scenes": scenes, "stitch_levels": 0.0, "given": mode}
    found = scan(str(path), str(out), settings, 2, PIXELS)
    for clip in found["clips"]:
        heard = [clip.pop(name) for name in Sound.columns]
        assert not is_excerpt(path) or heard == [None] * len(heard)
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
    assert opening_sha256(part.path) == opening_sha256(whole.path)  # by which clips are named
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


# Sources that cannot be taken apart, and servers that lie


def ranged(data, *, etag='"1"', lie=0, total=None, padded=b""):
    """Ranges of these bytes, with what is wrong in them: shifted by `lie`, of another size or version, or with more bytes."""

    def answer(handler):
        if is_look(handler):
            return web.body(data)(handler)
        low, _, high = handler.headers["Range"].removeprefix("bytes=").partition("-")
        start, end = int(low), min(int(high) + 1, len(data))
        part = data[start:end] + padded
        said = f"bytes {start + lie}-{end - 1 + lie}/{total or len(data)}"
        handler.head(206, {"Content-Range": said, "Content-Length": str(len(part)), "ETag": etag})
        handler.send(part)

    return answer


def is_look(handler):
    """Whether all of it is asked for: by yt-dlp, which looks what it is, or fetches the whole."""
    return handler.headers.get("Range", "bytes=0-") == "bytes=0-"


def then(data, later):
    """Honest to the first range, `later` to those behind it."""
    seen = []

    def answer(handler):
        if is_look(handler):
            return web.body(data)(handler)
        seen.append(handler.headers["Range"])
        return (ranged(data) if len(seen) == 1 else later)(handler)

    return answer


def refusing(data, refusal):
    """The whole for who asks for all, else `refusal`."""
    return lambda handler: (web.body(data) if is_look(handler) else refusal)(handler)


def whole_again(data):
    """The whole, whatever is asked for, as to an If-Range that does not hold."""

    def answer(handler):
        handler.head(200, {"Content-Type": "video/mp4", "Content-Length": str(len(data))})
        handler.send(data)

    return answer


def breaking(data):
    """Ranges that break off before their end."""

    def answer(handler):
        if is_look(handler):
            return web.body(data)(handler)
        low, _, high = handler.headers["Range"].removeprefix("bytes=").partition("-")
        end = min(int(high) + 1, len(data))
        handler.head(
            206, {"Content-Range": f"bytes {low}-{end - 1}/{len(data)}", "Content-Length": str(end - int(low))}
        )
        handler.send(data[int(low) : end - 10])
        handler.close_connection = True

    return answer


@pytest.fixture(scope="module")
def first(folder):
    return sources.make(sources.SOURCES["MP4, moov first"], folder).read_bytes()


@pytest.fixture(scope="module")
def last(folder):
    return sources.make(sources.SOURCES["MP4, moov last, open GOP"], folder).read_bytes()


@pytest.fixture(scope="module")
def webm(folder):
    return sources.make(sources.SOURCES["WebM"], folder).read_bytes()


def test_server_that_lies_about_ranges_is_fetched_whole(server, take, first):
    for place, (answer, why) in enumerate(
        [
            (ranged(first, lie=1), "other ranges"),
            (ranged(first, padded=b"x"), "other bytes"),
            (then(first, ranged(first, total=len(first) + 1)), "changed"),
            (then(first, ranged(first, etag='"2"')), "changed"),
            (then(first, whole_again(first)), "changed"),
            (refusing(first, web.status(416)), "does not serve ranges"),
        ]
    ):
        got = take(server.add(f"/lies-{place}.mp4", answer), SCENES)
        assert why in (got.whole_because or ""), place
        assert got.path.read_bytes() == first


def test_fewer_bytes_than_promised_are_no_answer(server, take, first):
    with pytest.raises(TransientError) as failed:
        take(server.add("/short.mp4", breaking(first)), SCENES)
    assert failed.value.reason in ("short", "network")


def test_index_that_is_none_leads_to_the_whole(server, take, folder, first, last, webm):
    moov = first.index(b"moov")
    fragments = sources.make(sources.SOURCES["MP4 in fragments"], folder).read_bytes()
    sidx = fragments.index(b"sidx")
    cues = webm.rindex(b"\x1c\x53\xbb\x6b")
    broken = {
        "noise.mp4": b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 2000,
        "box-beyond.mp4": first[: moov - 4] + b"\x7f\xff\xff\xff" + first[moov:],
        "box-of-nothing.mp4": first[: moov - 4] + b"\0\0\0\2" + first[moov:],
        "no-moov.mp4": last[: last.rindex(b"moov")] + b"skip" + last[last.rindex(b"moov") + 4 :],
        "sidx-beyond.mp4": fragments[: sidx + 32] + b"\x7f\xff\xff\xff" + fragments[sidx + 36 :],
        "sidx-scale.mp4": fragments[: sidx + 12] + bytes(4) + fragments[sidx + 16 :],
        "sidx-each.mp4": sources.make(sources.EACH, folder).read_bytes(),
        "no-sidx.mp4": fragments.replace(b"sidx", b"free"),
        "no-cues.webm": webm[:cues] + b"\xec" * 4 + webm[cues + 4 :],
        "text.webm": b"\x1a\x45\xdf\xa3" + b"x" * 300_000,
    }
    for name, data in broken.items():
        got = take(server.add(f"/{name}", web.body(data)), SCENES)
        assert got.whole_because, name
        assert got.path.read_bytes() == data


def test_playlist_whose_lengths_are_wrong_costs_more_and_gives_the_same_clips(server, take, folder, tmp_path):
    path = sources.make(sources.SOURCES["HLS of MP4"], folder)
    wrong = path.with_name("wrong.m3u8")
    wrong.write_text(re.sub(r"#EXTINF:[\d.]+", "#EXTINF:1.5", path.read_text()))
    scenes = [timed(10000, 11000), counted(20000, 21000, 2, 9)]
    whole, part = take(server.url("/cmaf/list.m3u8")), take(server.url("/cmaf/wrong.m3u8"), scenes)
    assert part.whole_because is None
    seen, truth = (scanned(one.path, tmp_path / side, scenes) for side, one in (("part", part), ("whole", whole)))
    assert seen["clips"] == truth["clips"]
    assert len(truth["clips"]) == 2


def test_tables_that_lie_give_no_clip_that_the_whole_does_not_give(server, take, first, tmp_path):
    """Every 97th byte of the index is another: what comes of it is the whole, or the same clips as of the whole."""
    moov, end = first.index(b"moov"), first.index(b"mdat")
    draw = random.Random(0)
    for number in range(6):
        data = bytearray(first)
        for at in draw.sample(range(moov + 8, end - 8), 12):
            data[at] = draw.randrange(256)
        got = take(server.add(f"/lie-{number}.mp4", web.body(bytes(data))), SCENES)
        if got.excerpt is None:
            assert got.path.read_bytes() == data
            continue
        whole = tmp_path / f"{number}.mp4"
        whole.write_bytes(data)
        found = []
        for side, path in (("part", got.path), ("whole", whole)):
            try:
                found.append(scanned(path, tmp_path / f"{number}-{side}", SCENES)["clips"])
            except ItemError as error:
                found.append(error.reason)
        assert found[0] == found[1] or isinstance(found[1], str)


def test_spans_that_are_nearly_all_are_fetched_whole(server, take, first):
    got = take(server.add("/all.mp4", web.body(first)), [timed(0, 36000)])
    assert got.whole_because == "the spans are nearly all of it"
    assert got.path.read_bytes() == first


def test_scene_counted_in_frames_of_the_whole_needs_a_table_of_all_frames(server, take, first, webm, tmp_path):
    scene = NOWHERE | {"start_frame": 500, "end_frame": 520}
    got = take(server.add("/counted.mp4", web.body(first)), [scene])
    assert got.whole_because is None
    (clip,) = scanned(got.path, tmp_path / "clips", [scene])["clips"]
    assert clip["start_s"] == 20.0
    assert "counted in frames" in take(server.add("/counted.webm", web.body(webm)), [scene]).whole_because


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('#EXT-X-KEY:METHOD=AES-128,URI="/key"', "EXT-X-KEY"),
        ("#EXT-X-DISCONTINUITY", "DISCONTINUITY"),
        ("#EXTINF:two,", "broken"),
    ],
)
def test_playlist_that_is_not_plain_is_not_taken_apart(line, why):
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n0.ts\n{line}\n#EXTINF:2.0,\n1.ts\n#EXT-X-ENDLIST\n"
    with pytest.raises(WholeError, match=why):
        read_hls(text, "https://example.org/list.m3u8")


def test_playlist_with_ranges_and_an_initialisation_is_read():
    text = (
        '#EXTM3U\n#EXT-X-MAP:URI="a.mp4",BYTERANGE="700@0"\n#EXTINF:2,\n#EXT-X-BYTERANGE:100@700\na.mp4\n'
        "#EXTINF:2.5,\n#EXT-X-BYTERANGE:50\na.mp4\n#EXTINF:1,\nb/c.mp4?x=1\n#EXT-X-ENDLIST"
    )
    found = read_hls(text, "https://example.org/d/list.m3u8")
    base = "https://example.org/d"
    assert found.places == {
        -1: Place(f"{base}/a.mp4", (0, 700)), 0: Place(f"{base}/a.mp4", (700, 800)), 1: Place(f"{base}/a.mp4", (800, 850)),
        2: Place(f"{base}/b/c.mp4?x=1"),
    }  # fmt: skip
    assert found.asked() == {"seconds": [0.0, 2.0, 4.5], "init": True}


def test_excerpt_from_outside_is_no_media(server, take, first):
    excerpt = take(server.add("/real.mp4", web.body(first)), SCENES).path.read_bytes()
    for scenes in (None, SCENES):
        with pytest.raises(ItemError) as failed:
            take(server.add("/fake.mp4", web.body(excerpt)), scenes)
        assert failed.value.reason == "not_media"


def test_redirect_of_a_range_into_a_private_network_is_refused(server, take, first):
    with web.HostileServer("127.0.0.2") as inner:
        inner.add("/secret.mp4", web.body(first))
        away = web.redirect(inner.url("/secret.mp4"))
        url = server.add("/moves.mp4", refusing(first, away))
        with pytest.raises(ItemError) as failed:
            take(url, SCENES)
        assert failed.value.reason == "forbidden_address"
        assert not inner.hits


def test_excerpt_reads_as_the_whole_where_it_holds_it(tmp_path):
    data = random.Random(1).randbytes(5000)
    held = tmp_path / "held"
    held.write_bytes(data[3000:3500] + data[:100] + data[4990:])
    pieces = [(3000, 3500, 0), (0, 100, 500), (4990, 5000, 600)]
    for filler, head in (("zeros", bytes(16)), ("free", b"\0\0\x0b\x54free"), ("void", b"\xec\x01")):
        path = tmp_path / filler
        write_excerpt(path, held, pieces, Layout(5000, filler, ((0, 100), (3000, 3500), (4990, 5000))))
        with open_excerpt(path) as whole:
            read = b"".join(iter(lambda: whole.read(333), b""))
            assert len(read) == 5000
            assert (read[:100], read[3000:3500], read[4990:]) == (data[:100], data[3000:3500], data[4990:])
            assert read[100:].startswith(head)
            assert whole.holds(3100, 3500)
            assert not whole.holds(3400, 3501)
        short = tmp_path / f"{filler}-short"
        short.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match="breaks off"):
            open_excerpt(short)
