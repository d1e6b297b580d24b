"""What a browser cannot play is played by a small copy, and every frame can be looked at; what cannot be shown says why."""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.explorer import Served, served
from tests.products import Clip, make

FRAMES, SIZE = 12, (720, 960)
CODECS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}


def film(codec: str, path: Path) -> bytes:
    """Frames that tell their number by their grey level: 16 + 15 a frame."""
    with av.open(str(path), "w", format="mp4") as file:
        stream: Any = file.add_stream(CODECS[codec], rate=24)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"x265-params": "log-level=none"} if codec == "hevc" else {}
        for number in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 16 + 15 * number, np.uint8), format="rgb24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path.read_bytes()


LONG = 3000
"""Frames that take a second or more to encode."""


def long_film(path: Path) -> bytes:
    """Two minutes of grey in MPEG-4's old codec."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("mpeg4", rate=25)
        stream.height, stream.width = 240, 320
        picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 90, np.uint8), format="rgb24").reformat(
            format="yuv420p"
        )
        for number in range(LONG):
            picture.pts = number
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("viewed")
    films = [film(codec, folder / f"{codec}.mp4") for codec in CODECS]
    clips = [
        Clip(1000 * number, 1000 * number + 2500, video)
        for number, video in enumerate([*films, b"no film at all", long_film(folder / "long.mp4")])
    ]
    with served(make(folder / "d", [clips]).root, folder) as running:
        yield running


def ids_by_bytes(server: Served) -> dict[bytes, str]:
    """Clip ids by their bytes."""
    rows = server.browser.post("/api/rows").json["rows"]
    return {server.browser.get(f"/media/{row['clip_id']}").body: row["clip_id"] for row in rows}


@pytest.mark.parametrize("codec", list(CODECS))
def test_a_proxy_has_every_frame_and_plays_from_its_first_bytes(server: Served, codec: str) -> None:
    ids = ids_by_bytes(server)
    clip = next(name for body, name in ids.items() if _codec(body) == codec)
    growing = server.browser.get(f"/media/{clip}?as=h264")
    whole = server.browser.get(f"/media/{clip}?as=h264&whole=1")
    assert growing.body != whole.body
    for answer in (growing, whole):
        assert (answer.status, answer.headers["x-hdvg-proxy"]) == (200, "h264 480p")
        assert answer.body.index(b"moov") < answer.body.index(b"mdat")
        levels = _levels(answer.body)
        assert len(levels) == FRAMES
        assert levels == sorted(levels)
    part = server.browser.get(f"/media/{clip}?as=h264", Range="bytes=0-9")
    assert (part.status, part.body) == (206, whole.body[:10])


def test_frames_are_those_that_are_asked_for(server: Served) -> None:
    ids = ids_by_bytes(server)
    clip = next(name for body, name in ids.items() if _codec(body) == "h264")
    for number in (0, 5, FRAMES - 1):
        answer = server.browser.get(f"/frame/{clip}/{number}")
        assert answer.headers["content-type"] == "image/webp"
        with Image.open(io.BytesIO(answer.body)) as picture:
            assert picture.size == (960, 720)
            assert abs(float(np.asarray(picture.convert("L")).mean()) - (16 + 15 * number)) < 4
    assert server.browser.get(f"/frame/{clip}/{FRAMES}").status == 422
    assert server.browser.get(f"/frame/{clip}/1000000").status == 400
    assert server.browser.get(f"/frame/{clip}/x").status == 404


def test_what_does_not_decode_says_so(server: Served) -> None:
    ids = ids_by_bytes(server)
    clip = ids[b"no film at all"]
    for path in (f"/media/{clip}?as=h264", f"/frame/{clip}/0"):
        answer = server.browser.get(path)
        assert (answer.status, len(answer.json["error"]) > 5) == (422, True)
    assert server.browser.get(f"/media/{clip}?as=webm").status == 400
    assert server.browser.get(f"/strip/{clip}").json == {"error": "no pictures of it are kept"}
    header, arrays = server.browser.get(f"/strips?ids={clip},{'0' * 32},x").arrays
    assert (len(header["missing"]), arrays) == (3, {})


def test_copies_are_kept_up_to_a_size_the_least_used_go(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [name for body, name in ids_by_bytes(server).items() if _codec(body) in CODECS]
    folder = server.explorer.root / "cache/proxies"
    for path in folder.glob("*"):
        path.unlink()
    monkeypatch.setattr("hdvg.explore.copies.MOST_BYTES", 1)
    for clip in ids[:2]:
        assert server.browser.get(f"/media/{clip}?as=h264&whole=1").status == 200
        assert len(list(folder.glob("*"))) == 1


def test_clips_are_played_wherever_their_bytes_lie_or_say_why_not(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d", [[Clip(0, 3000, b"in a file"), Clip(3000, 9000, b"in a shard"), Clip(9000, 20000, b"gone", cut="crash")]])  # fmt: skip
    with dataset.manifest() as manifest:
        ids = [row["clip_id"] for row in manifest.rows("select clip_id from clips order by start_pts")]
        dataset.store.remove_media(manifest.one("select clip_sha256 from clips where clip_id = ?", [ids[1]]))
    with served(dataset.root, tmp_path) as server:
        media = {row["clip_id"]: row["media"] for row in server.browser.post("/api/rows").json["rows"]}
        assert [media[name]["state"] for name in ids] == ["file", "shard", "gone"]
        assert [server.browser.get(f"/media/{name}").body for name in ids[:2]] == [b"in a file", b"in a shard"]
        assert "could not be cut" in media[ids[2]]["why"]
        answer = server.browser.get(f"/media/{ids[2]}")
        assert (answer.status, answer.json["error"]) == (422, media[ids[2]]["why"])


@contextmanager
def begun(server: Served, clip: str) -> Iterator[http.client.HTTPResponse]:
    """The answer with a proxy, of which nothing but the head is read."""
    connection = http.client.HTTPConnection("127.0.0.1", server.browser.port, timeout=60)
    connection.request(
        "GET", f"/media/{clip}?as=h264", headers={"Cookie": server.browser.cookie or "", "Range": "bytes=0-"}
    )
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def proxies(server: Served) -> set[str]:
    return {path.name for path in (server.explorer.root / "cache/proxies").glob("*")}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def making() -> bool:
    return any(thread.name == "proxy" for thread in threading.enumerate())


def test_the_first_seconds_of_a_proxy_come_before_it_is_made_and_nobody_waiting_ends_it(server: Served) -> None:
    clip = next(name for body, name in ids_by_bytes(server).items() if _codec(body) == "mpeg4")
    before = proxies(server)
    with begun(server, clip) as answer:
        head = answer.read(4000)
        assert (answer.status, making(), proxies(server)) == (200, True, before)
        assert head.index(b"moov") < head.index(b"moof")
    until(lambda: not making())
    assert proxies(server) == before, "it was given up"


def test_of_two_that_wait_for_a_proxy_one_may_leave_and_the_rest_comes_whole(server: Served) -> None:
    clip = next(name for body, name in ids_by_bytes(server).items() if _codec(body) == "mpeg4")
    before = proxies(server)
    with begun(server, clip) as stays:
        with begun(server, clip) as leaves:
            assert stays.read(1000) == leaves.read(1000)
        rest = stays.read()
    assert _frames(rest and server.browser.get(f"/media/{clip}?as=h264").body) == LONG
    assert len(proxies(server) - before) == 1


def _frames(body: bytes) -> int:
    with av.open(io.BytesIO(body)) as file:
        return sum(packet.size > 0 for packet in file.demux(video=0))


def _levels(body: bytes) -> list[int]:
    """Mean grey of each frame of a proxy."""
    with av.open(io.BytesIO(body)) as file:
        stream = file.streams.video[0]
        levels = [int(frame.to_ndarray(format="gray").mean()) for frame in file.decode(stream)]
        assert (stream.codec_context.name, stream.height, stream.width, stream.pix_fmt) == ("h264", 480, 640, "yuv420p")
    return levels


def _codec(body: bytes) -> str | None:
    try:
        with av.open(io.BytesIO(body)) as file:
            return {"libdav1d": "av1"}.get(name := file.streams.video[0].codec_context.name, name)
    except av.FFmpegError:
        return None
