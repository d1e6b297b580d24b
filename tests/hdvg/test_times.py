"""Every frame has its time, whatever the container says of it: all frames in display order, times that grow, clips that hold them."""

from __future__ import annotations

import random
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from hdvg.config.cut import Cut
from hdvg.config.recipe import parse_recipe
from hdvg.config.sections import Split
from hdvg.errors import ItemError, ResourceError
from hdvg.media import containers
from hdvg.media.clip_inputs import preview
from hdvg.media.clock import Clock, may_be_shown_by
from hdvg.media.cut import cut
from hdvg.media.decode import DamageError, Decoder, open_video
from hdvg.media.excerpt import Excerpt, Layout, write_excerpt
from hdvg.media.probe import probe
from hdvg.media.remeasure import remeasure
from hdvg.media.scan import scan
from hdvg.media.source_file import SourceFile
from hdvg.planning import make_plan
from schemas.pass_measures import PASS
from tests.bench.machine import ffmpeg
from tests.videos import draw_scenes, read_numbers

PIXELS = 36_000_000
CASES = Path(__file__).parents[2].parent / "shared" / "cases"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "3", "-g", "12")
KEY = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")


def numbered(path: Path, *, scenes=(40, 40), seed: int = 0, rate: int = 25) -> Path:
    """A lossless video of which every frame bears its number."""
    draw_scenes(
        path,
        scene_frames=scenes,
        time_base=Fraction(1, rate),
        seed=seed,
        options={"preset": "ultrafast", "qp": "0", "bf": "0"},
    )
    return path


def times(path: Path) -> tuple[list[int], Decoder]:
    with open_video(str(path), max_pixels=PIXELS, threads=2) as (container, stream):
        decoder = Decoder(container, stream)
        return [frame.pts for frame in decoder], decoder


def scanned(path: Path, out: Path, **settings):
    out.mkdir(exist_ok=True)
    return scan(str(path), str(out), Split(**settings).model_dump(), 2, PIXELS)


def clips_of(path: Path, found, out: Path, mode: str):
    """Every clip of a scan, cut; each must be made."""
    of_video = {name: found["video"][name] for name in ("decode_errors", "retimed_frames")}
    names = ("start_pts", "end_pts", "n_frames", "first_look", "last_look")
    spans = [
        {"clip_id": f"{mode}{number}"} | {name: clip[name] for name in names} | of_video
        for number, clip in enumerate(found["clips"])
    ]
    made = cut(str(path), str(out), spans, Cut(mode=mode).model_dump(), PIXELS)
    assert not [one for one in made if "reason" in one]
    return [out / one["file"] for one in made]


def concatenated(folder: Path, *offsets_s: float) -> tuple[Path, int]:
    """MPEG-TS of parts that begin at these times, and how many frames it has; numbers count through all of it."""
    whole = folder / "whole.ts"
    source = numbered(folder / "source.mp4", scenes=(50 * len(offsets_s),))
    with whole.open("wb") as file:
        for part, offset_s in enumerate(offsets_s):
            one = folder / f"{part}.ts"
            cutting = ("-ss", f"{2 * part}", "-i", f"{source}", "-frames:v", "50", *X264, "-qp", "10")
            ffmpeg(*cutting, "-output_ts_offset", f"{offset_s}", f"{one}")
            file.write(one.read_bytes())
    return whole, 50 * len(offsets_s)


@pytest.mark.parametrize("name", ["h264.avi", "h264.asf", "packed.avi"])
def test_stamps_in_decode_order_give_frames_one_step_apart(tmp_path, name):
    path = tmp_path / name
    source = numbered(tmp_path / "source.mp4")
    if name == "packed.avi":
        packed(source, path)
    else:
        ffmpeg("-i", f"{source}", *X264, "-qp", "10", f"{path}")
    pts, decoder = times(path)
    assert len(pts) == 80
    assert decoder.errors == 0
    assert {late - early for early, late in pairwise(pts)} == {1 if name.endswith("avi") else 40}
    assert decoder.end_pts - pts[0] == len(pts) * (pts[1] - pts[0])
    found = scanned(path, tmp_path / "out")
    assert found["video"]["retimed_frames"] == decoder.retimed > 0
    assert [clip["n_frames"] for clip in found["clips"]] == [40, 40]
    for mode in ("smart", "encode"):
        files = clips_of(path, found, tmp_path / "out", mode)
        assert [number for file in files for number in read_numbers(file)] == list(range(80))


@pytest.mark.parametrize("suffix", ["h264", "m4v"])
def test_pictures_without_any_time_come_at_the_rate_of_the_stream(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    coding = X264 if suffix == "h264" else ("-c:v", "mpeg4", "-bf", "2", "-q:v", "2")
    ffmpeg("-i", f"{numbered(tmp_path / 'source.mp4')}", *coding, f"{path}")
    found = scanned(path, tmp_path / "out")
    assert (found["video"]["fps"], found["video"]["n_frames"], found["video"]["vfr"]) == (25.0, 80, False)
    files = clips_of(path, found, tmp_path / "out", "smart")
    assert [number for file in files for number in read_numbers(file)] == list(range(80))


def packed(source: Path, path: Path) -> None:
    """MPEG-4 with packed B-frames in AVI, as DivX wrote it: a chunk of a P-picture and the B-picture before it, then one
    that says only that nothing is coded."""
    ffmpeg("-i", f"{source}", "-c:v", "mpeg4", "-bf", "1", "-q:v", "2", "-g", "10", f"{path}")
    with av.open(str(path)) as container:
        units = [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
    chunks: list[bytes] = []
    for unit in units:
        kind = unit[unit.index(b"\0\0\1\xb6") + 4] >> 6
        chunks.append(unit if kind != 2 else b"\0\0\1\xb6\x40\x0b\xff"[:6])
        if kind == 2:
            chunks[-2] += unit
    at = chunks[0].index(b"\0\0\1\xb6")
    chunks[0] = chunks[0][:at] + b"\0\0\1\xb2DivX503b1393p" + chunks[0][at:]
    raw = b"".join(b"00dc" + struct.pack("<I", len(one)) + one + bytes(len(one) % 2) for one in chunks)
    avi = path.read_bytes()
    movi = avi.index(b"movi")
    path.write_bytes(avi[: movi - 4] + struct.pack("<I", len(raw) + 4) + b"movi" + raw)


@pytest.mark.parametrize("offsets_s", [(20, 0), (5, 6), (0, 900, 2)], ids=["anew", "back", "break"])
def test_times_that_start_anew_go_on_where_the_picture_before_ended(tmp_path, offsets_s):
    path, count = concatenated(tmp_path, *offsets_s)
    pts, decoder = times(path)
    assert len(pts) == count
    assert decoder.errors == 0
    assert decoder.retimed > 0
    jumps = [late - early for early, late in pairwise(pts) if late - early != 3600]
    assert len(jumps) == (offsets_s == (0, 900, 2))
    assert all(jump > 0 for jump in jumps)
    found = scanned(path, tmp_path / "out")
    assert sum(clip["n_frames"] for clip in found["clips"]) == count
    files = clips_of(path, found, tmp_path / "out", "smart")
    assert [number for file in files for number in read_numbers(file)] == list(range(count))


def test_gap_of_minutes_is_a_pause(tmp_path):
    path, count = concatenated(tmp_path, 0, 62)
    pts, decoder = times(path)
    assert len(pts) == count
    assert decoder.errors == decoder.retimed == 0
    found = scanned(path, tmp_path / "out", max_clip_s=10)
    assert [clip["n_frames"] for clip in found["clips"]] == [49, 1, 50]
    assert found["clips"][1]["duration_s"] > 59
    assert found["clips"][1]["static_share"] == 1
    for mode in ("smart", "encode"):
        files = clips_of(path, found, tmp_path / "out", mode)
        assert [number for file in files for number in read_numbers(file)] == list(range(count))


@pytest.mark.parametrize("divide", ["even", "still"])
@pytest.mark.parametrize("at", [0, 30, 79])
def test_frame_that_stays_over_twice_the_longest_clip_does_not_break_the_split(tmp_path, at, divide):
    ticks = [40 * number + 45_000 * (number > at) for number in range(80)]
    draw_scenes(tmp_path / "a.mkv", scene_frames=(40, 40), times=ticks, time_base=Fraction(1, 1000))
    found = scanned(tmp_path / "a.mkv", tmp_path / "out", max_clip_s=10, divide=divide)
    clips = found["clips"]
    assert [one["end_pts"] for one in clips[:-1]] == [one["start_pts"] for one in clips[1:]]
    assert sum(clip["n_frames"] for clip in clips) == 80
    assert 40 in [clip["start_frame"] for clip in clips]
    assert all(clip["duration_s"] <= 10 for clip in clips if clip["n_frames"] > 1)
    assert sum(clip["n_frames"] == 1 for clip in clips) == (at < 79)
    clips_of(tmp_path / "a.mkv", found, tmp_path / "out", "encode")


def test_frames_that_share_a_tick_get_one_each(tmp_path):
    draw_scenes(
        tmp_path / "a.mkv",
        scene_frames=(60, 40),
        times=[number // 2 for number in range(100)],
        time_base=Fraction(1, 1000),
        options={"preset": "ultrafast", "bf": "0"},
    )
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=2000:duration=0.1", *X264, f"{tmp_path / 'b.mkv'}")
    pts, decoder = times(tmp_path / "b.mkv")
    assert pts == list(range(pts[0], pts[0] + 200))
    assert decoder.errors == 0
    assert decoder.retimed > 0
    found = scanned(tmp_path / "b.mkv", tmp_path / "out")
    assert found["video"]["n_frames"] == 200
    assert found["video"]["retimed_frames"] == decoder.retimed
    clips_of(tmp_path / "b.mkv", found, tmp_path / "out", "smart")


class Stamped:
    """A picture as far as a clock looks at it."""

    def __init__(self, pts: int | None, duration: int = 40) -> None:
        self.pts, self.dts, self.duration = pts, None, duration


def clocked(stamps, *, reorders: bool = False):
    context = SimpleNamespace(width=64, height=64, has_b_frames=reorders)
    clock = Clock(SimpleNamespace(time_base=Fraction(1, 1000), average_rate=25, guessed_rate=25, codec_context=context))
    found = [pts for stamp in stamps for pts, _ in clock.take(Stamped(stamp))]
    return found + [pts for pts, _ in clock.rest()], clock


@pytest.mark.parametrize(
    ("stamps", "wanted"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([5, 45, 46, 300], [5, 45, 46, 300]),
        ([0, 40, None, 120], [0, 40, 80, 120]),
        ([0, 40, 40, 80, 120], [0, 40, 41, 80, 120]),
        ([0, 80, 40, 120], [0, 80, 81, 120]),
        ([9000, 9040, 0, 40, 80], [9000, 9040, 9080, 9120, 9160]),
        ([0, 40, 60_000, 60_040], [0, 40, 60_000, 60_040]),
        ([9000, 9040, 0, 40, 60_000], [9000, 9040, 9080, 9120, 9160]),
    ],
)
def test_clock_gives_the_containers_time_where_it_grows(stamps, wanted):
    found, clock = clocked(stamps)
    assert found == wanted
    assert clock.retimed == sum(one is not None and one != two for one, two in zip(stamps, wanted, strict=True))
    assert clock.end_pts == wanted[-1] + 40


def test_packets_are_sought_by_their_times_only_if_a_decoder_can_show_them_in_their_order():
    shown = [0, 160, 80, 40, 120, 320, 240, 200, 280]
    assert may_be_shown_by(shown)
    assert may_be_shown_by(range(100, 0, -1)[:17])
    assert not may_be_shown_by([*range(0, 4000, 40), *range(1000, 2000, 40)])


def test_empty_packets_repeat_a_picture_and_end_nothing(tmp_path):
    path = tmp_path / "a.ogv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2", "-c:v", "libtheora", f"{path}")
    with av.open(str(path)) as container:
        packets = [(one.pts, one.size) for one in container.demux(container.streams.video[0]) if one.pts is not None]
    full = [pts for pts, size in packets if size]
    assert 10 < len(full) < len(packets) == 50
    pts, decoder = times(path)
    assert (pts, decoder.errors) == (full, 0)  # as the ffmpeg command gives them: the picture before stays
    assert sum(clip["n_frames"] for clip in scanned(path, tmp_path / "out")["clips"]) == len(full)


@pytest.mark.parametrize(("rate", "clips"), [(1, 8), (2, 8), (25, 8)])
def test_shortest_scene_is_counted_in_seconds_where_frames_are_few(tmp_path, rate, clips):
    path = numbered(tmp_path / "slides.mp4", scenes=(5 * rate,) * 8, rate=rate)
    found = scanned(path, tmp_path / "out")["clips"]
    assert [clip["n_frames"] for clip in found] == [5 * rate] * clips
    if rate < 3:
        assert len(scanned(path, tmp_path / "out", min_scene_s=60)["clips"]) < clips
        assert len(scanned(path, tmp_path / "out", detector="pyscenedetect-0.6.1")["clips"]) < clips


def damaged(folder: Path) -> Path:
    """H.264 with three packets lost to noise."""
    source, path = numbered(folder / "source.mp4", scenes=(120,)), folder / "damaged.mp4"
    ffmpeg(
        "-i",
        f"{source}",
        "-c:v",
        "libx264",
        "-bf",
        "0",
        "-g",
        "60",
        "-x264-params",
        "scenecut=0",
        f"{folder / 'whole.mp4'}",
    )
    data = bytearray((folder / "whole.mp4").read_bytes())
    with av.open(str(folder / "whole.mp4")) as container:
        packets = [(one.pos, one.size) for one in container.demux(container.streams.video[0]) if one.size]
    for number in (20, 21, 22):
        pos, size = packets[number]
        data[pos + 12 : pos + size] = np.random.default_rng(number).integers(0, 256, size - 12, np.uint8).tobytes()
    path.write_bytes(bytes(data))
    return path


def test_frames_that_are_marked_corrupt_are_errors_and_one_thread_decodes_them(tmp_path):
    path = damaged(tmp_path)
    with open_video(str(path), max_pixels=PIXELS, threads=4) as (container, stream), pytest.raises(DamageError):
        list(Decoder(container, stream, whole_only=True))
    pts, decoder = times(path)
    assert decoder.errors == 120 - len(pts) > 1
    with pytest.raises(ItemError, match="corrupt: "):
        scanned(path, tmp_path / "out")
    scans = [
        scan(str(path), str(tmp_path / "out"), Split(max_error_share=0.9).model_dump(), threads, PIXELS)
        for threads in (1, 2, 4)
    ]
    assert scans[0] == scans[1] == scans[2]
    assert scans[0]["video"]["decode_errors"] == decoder.errors
    clips_of(path, scans[0], tmp_path / "out", "smart")


def greys(path: Path) -> dict[int, np.ndarray]:
    """By time, all pictures that decode, as they are."""
    with open_video(str(path), max_pixels=PIXELS) as (container, stream):
        return {frame.pts: frame.picture.to_ndarray(format="gray") for frame in Decoder(container, stream)}


@pytest.mark.parametrize("kind", ["h264.mp4", "mpeg4.mp4", "mpeg2video.ts"])
def test_what_is_made_of_damage_is_damage_until_the_next_key_picture(tmp_path, kind):
    """A decoder marks the first picture alone; those that are made of it look like it."""
    codec, _, suffix = kind.partition(".")
    coding = ("-c:v", {"h264": "libx264"}.get(codec, codec), "-g", "30", "-bf", "0", "-q:v", "3", "-sc_threshold", "0")
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"damaged.{suffix}"
    ffmpeg("-i", f"{numbered(tmp_path / 'source.mp4', scenes=(120,))}", *coding, f"{whole}")
    harm(whole, path, [40])
    true, kept = greys(whole), greys(path)
    assert 90 <= len(kept) < 115
    assert [pts for pts in kept if np.abs(true[pts].astype(int) - kept[pts]).mean() > 0.5] == []
    scans = [
        scan(str(path), str(tmp_path), Split(max_error_share=0.9).model_dump(), threads, PIXELS)
        for threads in (1, 2, 4)
    ]
    assert scans[0] == scans[1] == scans[2]
    assert sum(clip["n_frames"] for clip in scans[0]["clips"]) == len(kept)
    assert scans[0]["video"]["decode_errors"] >= 120 - len(kept) > 5
    numbers = [pts for number, pts in enumerate(sorted(true)) if pts in kept]
    for mode in ("smart", "encode"):
        files = clips_of(path, scans[0], tmp_path, mode)
        shown = [number for file in files for number in read_numbers(file)]
        assert [sorted(true)[number] for number in shown] == numbers
    with pytest.raises(ItemError, match="corrupt: "):
        scanned(path, tmp_path / "out")


THREADED = {
    "h264": ("a.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "48"),
    "hevc": ("a.mp4", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=48"),
    "vp8": ("a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "48", "-b:v", "300k"),
    "av1": ("a.mp4", "-c:v", "libsvtav1", "-preset", "13", "-g", "48"),
}


@pytest.mark.parametrize("coder", THREADED)
def test_rows_of_a_damaged_video_do_not_depend_on_threads(tmp_path, coder):
    """Also where the decoder says nothing of the damage (VP8, HEVC), or says it to its log alone (AV1)."""
    suffix, *coding = THREADED[coder]
    whole, path = tmp_path / suffix, tmp_path / f"damaged-{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", *coding, f"{whole}")
    with av.open(str(whole)) as container:
        packets = [(one.pos, one.size) for one in container.demux(container.streams.video[0]) if one.size]
    for seed in (2, 3, 5):
        drawn, data = random.Random(f"{coder} {seed}"), bytearray(whole.read_bytes())
        for pos, size in drawn.sample(packets, 1):
            data[pos + drawn.randrange(min(14, size // 2), size)] = drawn.randrange(256)
        path.write_bytes(bytes(data))
        outcomes = [outcome(path, tmp_path, threads) for threads in (1, 2, 4, 4)]
        assert outcomes[0] == outcomes[1] == outcomes[2] == outcomes[3], seed


def outcome(path: Path, out: Path, threads: int) -> object:
    """The rows of a scan, or why there are none."""
    try:
        return scan(str(path), str(out), Split(max_error_share=0.5).model_dump(), threads, PIXELS)
    except ItemError as error:
        return str(error)


def harm(whole: Path, path: Path, numbers: list[int]) -> None:
    """Write a video anew, with noise in these packets."""
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        packets = [(one.pos, one.size) for one in container.demux(container.streams.video[0]) if one.size]
    for number in numbers:
        pos, size = packets[number]
        step = 188 if whole.suffix == ".ts" else size  # of a transport stream no heads
        for at in range(pos + 40, pos + size - 8, step):
            end = min(at + step - 60, pos + size)
            data[at:end] = np.random.default_rng(number).integers(0, 256, end - at, np.uint8).tobytes()
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("scheme", ["cenc", "cbc1", "cens", "cbcs"])
def test_protected_mp4_is_encrypted(tmp_path, scheme):
    path = tmp_path / "protected.mp4"
    ffmpeg(
        "-i",
        f"{numbered(tmp_path / 'source.mp4')}",
        "-c",
        "copy",
        "-encryption_scheme",
        "cenc-aes-ctr",
        *KEY,
        f"{path}",
    )
    content = path.read_bytes()
    assert content.count(b"schm\0\0\0\0cenc") == 1
    path.write_bytes(content.replace(b"schm\0\0\0\0cenc", b"schm\0\0\0\0" + scheme.encode()))
    for look in (lambda: scanned(path, tmp_path / "out"), lambda: probe(str(path), PIXELS)):
        with pytest.raises(ItemError, match="encrypted: "):
            look()


def test_encrypted_track_of_matroska_is_encrypted(tmp_path):
    path = tmp_path / "a.mkv"
    ffmpeg("-i", f"{numbered(tmp_path / 'source.mp4')}", "-c", "copy", f"{path}")
    key = b"\x47\xe1\x81\x05" + b"\x47\xe2\x90" + bytes(range(16))  # AES, and the key's id
    encoding = b"\x50\x33\x81\x01" + element(b"\x50\x35", key)  # type: encryption
    path.write_bytes(with_encodings(path.read_bytes(), element(b"\x6d\x80", element(b"\x62\x40", encoding))))
    with pytest.raises(ItemError, match="encrypted: "):
        probe(str(path), PIXELS)


def element(name: bytes, content: bytes) -> bytes:
    return name + (len(content) | 1 << 56).to_bytes(8) + content


def with_encodings(data: bytes, more: bytes) -> bytes:
    """A Matroska file with one more element in its only track."""

    def content(at: int) -> tuple[int, int]:
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length]) & ~(1 << 7 * length)
        return at + length, at + length + size

    segment, named = data.index(b"\x18\x53\x80\x67"), data.index(b"\x16\x54\xae\x6b")
    tracks = data.index(b"\x16\x54\xae\x6b", named + 4)  # the seek head names it first
    start, end = content(tracks + 4)
    entry = data.index(b"\xae", start)
    inner = content(entry + 1)
    track = data[start:entry] + element(b"\xae", data[inner[0] : inner[1]] + more) + data[inner[1] : end]
    head = data[:segment] + b"\x18\x53\x80\x67" + (2**57 - 1).to_bytes(8)  # of unknown size
    return head + data[content(segment + 4)[0] : tracks] + element(b"\x16\x54\xae\x6b", track) + data[end:]


@pytest.mark.parametrize("first", [0, 300])
def test_scrambled_transport_stream_is_encrypted(tmp_path, first):
    path, _ = concatenated(tmp_path, 0)
    packets = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 188).copy()
    with av.open(str(path)) as container:
        pid = container.streams.video[0].id
    mine = ((packets[:, 1] & 0x1F).astype(int) << 8 | packets[:, 2]) == pid
    mine[:first] = False
    packets[mine, 3] |= 0x80
    packets[mine, 20:] ^= 0x5A
    path.write_bytes(packets.tobytes())
    with pytest.raises(ItemError, match="encrypted: "):
        scanned(path, tmp_path / "out")


class Failing(SourceFile):
    """A file on a disk that is going: reads behind `limit` fail, as the kernel says it."""

    limit = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.limit:
            self.failed = OSError(5, "Input/output error")
            raise self.failed
        return super().read(
            self.limit - self.tell() if size is None or size < 0 else min(size, self.limit - self.tell())
        )


@pytest.mark.parametrize("kind", ["ts", "mp4", "mkv", "avi", "flv"])
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_read_error_of_the_machine_is_never_the_end_of_a_video(tmp_path, monkeypatch, kind, share):
    path = tmp_path / f"a.{kind}"
    ffmpeg(
        "-i",
        f"{numbered(tmp_path / 'source.mp4')}",
        *X264,
        "-bf",
        "0",
        *(("-movflags", "faststart") if kind == "mp4" else ()),
        f"{path}",
    )
    found = scanned(path, tmp_path / "out")
    monkeypatch.setattr(Failing, "limit", int(share * path.stat().st_size))
    monkeypatch.setattr(containers, "SourceFile", Failing)
    spans = [{"clip_id": "a"} | {name: found["clips"][0][name] for name in ("start_pts", "end_pts", "n_frames")}]
    for look in (
        lambda: scanned(path, tmp_path / "out"),
        lambda: cut(str(path), str(tmp_path), spans, Cut().model_dump(), PIXELS),
    ):
        with pytest.raises(ResourceError, match="cannot read: Input/output error"):
            look()


RIGHT = {
    "packed.avi": (150, Fraction(150, 25), 2),
    "fps2000.mkv": (1000, None, 1),
    "pause45.mp4": (150, Fraction(51), 4),
    "one_by_one.mkv": (75, Fraction(75, 25), None),
    "slides_1fps_5s.mp4": (40, Fraction(40), 8),
}


@pytest.mark.parametrize("name", RIGHT)
def test_handed_in_case_gives_its_right_value(tmp_path, name):
    if not (CASES / name).exists():
        pytest.skip("the cases are not here")
    frames, length_s, clips = RIGHT[name]
    found = scanned(CASES / name, tmp_path / "out", max_clip_s=10)
    video = found["video"]
    assert (video["n_frames"], video["decode_errors"]) == (frames, 0)
    assert length_s is None or video["duration_s"] == float(length_s)
    assert clips in (len(found["clips"]), None)
    assert sum(clip["n_frames"] for clip in found["clips"]) == frames
    clips_of(CASES / name, found, tmp_path / "out", "smart")


def test_all_readers_of_a_source_have_the_same_times(tmp_path):
    path, _ = concatenated(tmp_path, 5, 6)
    found = scanned(path, tmp_path / "out", max_clip_s=1)
    clips = found["clips"]
    assert len(clips) > 3
    spans = [{"start_pts": clip["start_pts"], "end_pts": clip["end_pts"]} for clip in clips]
    wanted = {"luma": {"made_by": PASS["luma"].made_by, "options": {}}}
    values = remeasure(str(path), spans, wanted, Split().model_dump(), 2, PIXELS)
    names = [field.name for field in PASS["luma"].columns]
    assert [one["luma"] for one in values] == [{name: clip[name] for name in names} for clip in clips]
    files = preview(str(path), str(tmp_path), spans, 2, PIXELS)
    assert len(files) == len(clips)


def test_measure_that_fails_is_null_with_a_reason_and_costs_nothing_else(tmp_path):
    path = tmp_path / "line.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:rate=25:duration=1", "-vf", "scale=1:64", "-c:v", "png", f"{path}")
    (clip,) = scanned(path, tmp_path / "out")["clips"]
    assert clip["n_frames"] == 25
    assert clip["luma_mean"] is not None
    assert clip["measure_faults"].startswith("Noise: error: OpenCV")
    assert [clip[field.name] for field in PASS["noise"].columns] == [None] * len(PASS["noise"].columns)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (96, 64)], ids=str)
def test_two_flat_halves_and_a_single_pixel_are_clips(tmp_path, size):
    path = tmp_path / "a.mkv"
    drawn = f"color=black:size=96x64:rate=25:duration=1.2,drawbox=h=ih/2:color=white:t=fill,scale={size[0]}:{size[1]}:flags=neighbor"
    ffmpeg("-f", "lavfi", "-i", drawn, "-c:v", "png", f"{path}")
    found = scanned(path, tmp_path / "out")
    (clip,) = found["clips"]
    assert clip["n_frames"] == 30
    assert clip["measure_faults"] is None
    assert clip["active_share"] is None
    clips_of(path, found, tmp_path / "out", "smart")


def test_limits_of_damage_shape_no_part_and_the_shortest_scene_does():
    of = [
        make_plan(parse_recipe({"split": one})).fingerprints
        for one in ({}, {"max_error_share": 0.5, "min_whole_share": 0.1}, {"min_scene_s": 1.0}, {"min_scene_s": 0.5})
    ]
    assert of[0] == of[1] == of[2]
    assert of[0]["split"] != of[3]["split"]


def test_read_error_of_the_machine_in_a_part_of_a_source_is_no_damage(tmp_path, monkeypatch):
    path, part = tmp_path / "a.ts", tmp_path / "a.excerpt"
    ffmpeg("-i", f"{numbered(tmp_path / 'source.mp4')}", *X264, f"{path}")
    size = path.stat().st_size
    write_excerpt(part, path, [(0, size, 0)], Layout(size, "none", ((0, size),)))
    pts, decoder = times(part)
    assert len(pts) == 80
    assert decoder.errors == 0

    def fails(file: Excerpt, at: int, length: int) -> bytes:
        file.failed = OSError(5, "Input/output error")
        raise file.failed

    with open_video(str(part), max_pixels=PIXELS) as (container, stream):
        monkeypatch.setattr(Excerpt, "_there", fails)
        with pytest.raises(ResourceError, match="cannot read: Input/output error"):
            list(Decoder(container, stream))
