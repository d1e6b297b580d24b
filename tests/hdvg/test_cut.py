"""A cut holds exactly the frames of its span at their exact times, whatever was copied; and a wrong clip is found out."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from hdvg.config.cut import Cut
from hdvg.media.bars import find_box
from hdvg.media.bitstream import open_syntax, units
from hdvg.media.check import Expected, find_fault
from hdvg.media.cut import cut
from hdvg.media.cut_plan import plan_smart
from hdvg.media.decode import Decoder, open_video
from hdvg.media.decoder_config import avcc, encoder_sets, hvcc
from hdvg.media.edge_encoder import Budget, edge_encoder
from hdvg.media.packets import index_packets
from hdvg.media.reading import Reading, stretches
from hdvg.media.source import look
from tests.footage import BUNDLED
from tests.videos import draw_frames, draw_scenes, read_number, read_numbers

PIXELS = 36_000_000
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
COCKATOO = Path(os.environ.get("HDVG_TEST_MEDIA", "media")) / "cockatoo.mp4"
BIRDS = BUNDLED / "birds_720p.mp4"
SIZE = (128, 96)
N = 150

CODERS = {
    "h264": ("a.mp4", "libx264", {"preset": "veryfast", "x264-params": "keyint=40:min-keyint=40:scenecut=0:bframes=3:b-adapt=0"}),
    "h264 open GOP": ("a.mp4", "libx264", {"preset": "veryfast", "x264-params": "keyint=40:scenecut=0:open-gop=1:bframes=3:b-adapt=0"}),
    "hevc": (
        "a.mp4", "libx265",
        {"preset": "ultrafast", "x265-params": "keyint=40:min-keyint=40:scenecut=0:open-gop=0:bframes=3:log-level=none:pools=none"},
    ),
    "hevc open GOP": (
        "a.mp4", "libx265",
        {"preset": "ultrafast", "x265-params": "keyint=40:min-keyint=40:scenecut=0:open-gop=1:bframes=4:b-adapt=0:log-level=none:pools=none"},
    ),
    "vp9": ("a.mp4", "libvpx-vp9", {"deadline": "good", "cpu-used": "8", "g": "40", "keyint_min": "40", "lag-in-frames": "16"}),
    "av1": ("a.mp4", "libsvtav1", {"preset": "12", "g": "40", "svtav1-params": "lp=1"}),
}  # fmt: skip
TIMINGS = {
    "25": (None, Fraction(1, 25)),
    "23.976": (None, Fraction(1001, 24000)),
    "29.97": (None, Fraction(1001, 30000)),
    "59.94": (None, Fraction(1001, 60000)),
    "vfr": ([40 * n + (n * n * 7) % 23 for n in range(N)], Fraction(1, 1000)),
}
SPANS = ((0, 37), (37, 125), (125, N))


def settings(**changes) -> dict:
    return Cut(**({"preset": "ultrafast"} | changes)).model_dump()


def draw(path: Path, coder: str, timing: str = "25", **more) -> Path:
    name, codec, options = CODERS[coder]
    times, time_base = TIMINGS[timing]
    path = path / more.pop("name", name)
    draw_scenes(
        path, scene_frames=(70, 80), codec=codec, options=options,
        **{"times": times, "time_base": time_base, "size": SIZE} | more,
    )  # fmt: skip
    return path


def frames_of(path: Path) -> tuple[list[int], Fraction, list[np.ndarray], int]:
    """pts, time base, luma and chroma of every frame, and the end."""
    with open_video(str(path), max_pixels=PIXELS) as (container, stream):
        decoder = Decoder(container, stream)
        found = [(frame.pts, frame.picture.to_ndarray()) for frame in decoder]
        assert decoder.errors == 0
        return [pts for pts, _ in found], stream.time_base, [picture for _, picture in found], decoder.end_pts


def spans_of(path: Path, bounds=SPANS) -> list[dict]:
    pts, _, pictures, end = frames_of(path)
    pts.append(end)
    return [
        {"clip_id": f"c{a}", "start_pts": pts[a], "end_pts": pts[b], "n_frames": b - a}
        | {"first_look": look_of(pictures[a]), "last_look": look_of(pictures[b - 1])}
        for a, b in bounds
    ]


def look_of(yuv: np.ndarray) -> str:
    luma = yuv[: yuv.shape[0] * 2 // 3].astype(np.float32)
    grey = np.clip((luma - 16) * 255 / 219, 0, 255).astype(np.uint8)
    return cv2.resize(grey, (8, 8), interpolation=cv2.INTER_AREA).tobytes().hex()


def number_of(yuv: np.ndarray) -> int:
    return read_number(yuv[: yuv.shape[0] * 2 // 3])


def check_clip(source: Path, clip: dict, out: Path) -> None:
    """The clip's frames are the source's between its cut_start_pts and cut_end_pts, at their times, and FFmpeg is content."""
    assert "reason" not in clip, clip
    pts, base, pictures, _ = frames_of(source)
    wanted = [n for n, at in enumerate(pts) if clip["cut_start_pts"] <= at < clip["cut_end_pts"]]
    got_pts, got_base, got, _ = frames_of(out / clip["file"])
    assert [number_of(picture) for picture in got] == [number_of(pictures[n]) for n in wanted]
    assert [at * got_base for at in got_pts] == [(pts[n] - pts[wanted[0]]) * base for n in wanted]
    assert clip["cut_n_frames"] == len(wanted)
    same = sum(np.array_equal(one, pictures[n]) for one, n in zip(got, wanted, strict=True))
    assert same >= clip["copied_frames"]
    said = subprocess.run(
        [FFMPEG, "-v", "error", "-i", out / clip["file"], "-enc_time_base", "demux", "-f", "null", "-"],
        capture_output=True,
        text=True,
    )
    assert said.stderr == ""


def cut_and_check(source: Path, out: Path, spans: list[dict], **changes) -> list[dict]:
    out.mkdir(exist_ok=True)
    clips = cut(str(source), str(out), spans, settings(**changes), PIXELS)
    assert [clip["clip_id"] for clip in clips] == [span["clip_id"] for span in spans]
    for clip in clips:
        check_clip(source, clip, out)
    return clips


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("coder", CODERS)
def test_smart_clip_holds_exactly_its_frames(tmp_path, coder, timing):
    source = draw(tmp_path, coder, timing)
    first, middle, last = cut_and_check(source, tmp_path / "out", spans_of(source))
    if coder == "h264 open GOP":
        assert (middle["cut_mode"], middle["copied_frames"]) == ("encode", 0)
    else:
        assert middle["cut_mode"] == "smart"
        assert middle["copied_frames"] >= 80
        assert middle["cut_decoded_frames"] <= 50
    assert (first["cut_mode"], last["cut_mode"]) == ("smart", "encode")
    assert first["copied_frames"] >= 33


@pytest.mark.parametrize("coder", ["h264", "hevc open GOP", "vp9", "av1"])
def test_copy_shrinks_to_what_can_be_copied(tmp_path, coder):
    source = draw(tmp_path, coder)
    spans = spans_of(source)
    out = tmp_path / "out"
    out.mkdir()
    clips = cut(str(source), str(out), spans, settings(mode="copy"), PIXELS)
    for clip in clips[:2]:
        check_clip(source, clip, out)
        assert clip["copied_frames"] == clip["cut_n_frames"]
    step = spans[0]["end_pts"] // 37
    assert clips[1]["cut_start_pts"] == 40 * step
    assert spans[1]["end_pts"] - 6 * step <= clips[1]["cut_end_pts"] <= spans[1]["end_pts"]
    assert clips[2]["reason"] == "no_keyframe"


def test_codec_that_mp4_cannot_hold_is_not_copied(tmp_path):
    draw_scenes(tmp_path / "a.webm", size=SIZE, codec="libvpx", options={"deadline": "realtime", "cpu-used": "8"})
    spans = spans_of(tmp_path / "a.webm", ((0, 20),))
    (clip,) = cut(str(tmp_path / "a.webm"), str(tmp_path), spans, settings(mode="copy"), PIXELS)
    assert clip["reason"] == "unsupported"
    cut_and_check(tmp_path / "a.webm", tmp_path / "out", spans)


@pytest.mark.parametrize("coder", ["h264", "hevc open GOP", "vp9"])
def test_encode_holds_exactly_its_frames(tmp_path, coder):
    source = draw(tmp_path, coder, "vfr")
    clips = cut_and_check(source, tmp_path / "out", spans_of(source), mode="encode")
    assert [clip["cut_mode"] for clip in clips] == ["encode"] * 3
    assert sum(clip["cut_decoded_frames"] for clip in clips) <= N


def test_encode_as_av1_holds_exactly_its_frames(tmp_path):
    source = draw(tmp_path, "h264", "29.97")
    clips = cut_and_check(source, tmp_path / "out", spans_of(source), mode="encode", codec="av1", crf=30, preset="12")
    assert {clip["codec"] for clip in clips} == {"av1"}


def remux(source: Path, target: Path, *before: str) -> Path:
    subprocess.run([FFMPEG, "-v", "error", "-y", *before, "-i", source, "-c", "copy", target], check=True)
    return target


@pytest.mark.parametrize("coder", ["h264", "hevc open GOP"])
def test_edit_list_that_starts_within_a_gop_hides_its_frames(tmp_path, coder):
    source = remux(draw(tmp_path, coder), tmp_path / "edited.mp4", "-ss", "0.4")
    pts, *_ = frames_of(source)
    assert len(pts) < N
    shift = N - len(pts)
    spans = spans_of(source, ((0, 60 - shift), (60 - shift, N - shift)))
    clips = cut_and_check(source, tmp_path / "out", spans)
    assert all(clip["cut_mode"] == "smart" for clip in clips)


@pytest.mark.parametrize("coder", ["h264", "hevc", "hevc open GOP"])
@pytest.mark.parametrize("name", ["a.ts", "a.mkv"])
def test_other_containers_and_odd_starts_are_cut_alike(tmp_path, coder, name):
    source = remux(draw(tmp_path, coder, "29.97"), tmp_path / f"late-{name}", "-itsoffset", "7.3")
    pts, base, *_ = frames_of(source)
    assert pts[0] * base > 5
    clips = cut_and_check(source, tmp_path / "out", spans_of(source))
    assert clips[1]["copied_frames"] >= 80


def test_webm_is_cut_alike(tmp_path):
    source = draw(tmp_path, "vp9", "vfr", name="a.webm")
    clips = cut_and_check(source, tmp_path / "out", spans_of(source))
    assert clips[1]["copied_frames"] >= 80


def test_turned_and_wide_sources_are_encoded_and_copied_turned(tmp_path):
    for name, shape in (("turned", {"rotation": 90}), ("wide", {"sar": Fraction(4, 3)})):
        source = draw(tmp_path, "h264", name=f"{name}.mp4", **shape)
        spans = [{k: v for k, v in span.items() if "look" not in k} for span in spans_of(source)]
        clips = cut(str(source), str(tmp_path), spans, settings(), PIXELS)
        assert {clip["cut_mode"] for clip in clips} == {"encode"}
        copies = cut_and_check(source, tmp_path / "out", spans[:2], mode="copy")
        assert copies[0]["height"] == clips[0]["height"]
        assert copies[0]["width"] // 2 * 2 == clips[0]["width"]
        with av.open(str(tmp_path / "out" / copies[0]["file"])) as container:
            frame = next(container.decode(video=0))
            assert round(frame.rotation) % 360 == (270 if name == "turned" else 0)
            assert container.streams.video[0].sample_aspect_ratio in (1, None, shape.get("sar"))


def test_same_source_same_bytes_in_every_codec(tmp_path):
    for coder in ("h264", "hevc", "vp9", "av1"):
        source = draw(tmp_path, coder, name=f"{coder}.mp4")
        files = []
        for number in range(3):
            out = tmp_path / f"{coder}-{number}"
            out.mkdir()
            clips = cut(str(source), str(out), spans_of(source)[:2], settings(preset="veryfast"), PIXELS)
            assert clips[1]["cut_mode"] == "smart"
            files.append([(out / clip["file"]).read_bytes() for clip in clips])
        assert files[0] == files[1] == files[2]


def test_joined_h264_has_both_parameter_sets_in_front(tmp_path):
    source = draw(tmp_path, "h264")
    clips = cut_and_check(source, tmp_path / "out", spans_of(source)[1:2])
    with av.open(str(tmp_path / "out" / clips[0]["file"])) as container:
        context = container.streams.video[0].codec_context
        sets = open_syntax("h264", context.extradata).sets
        assert (context.codec_tag, len(sets)) == ("avc1", 4)
        for packet in container.demux(video=0):
            assert all(unit[0] & 31 in (1, 5, 6) for unit in units(bytes(packet), 4))


def test_copied_h264_takes_the_signature_of_its_encoder_along(tmp_path):
    source = draw(tmp_path, "h264")
    (clip,) = cut_and_check(source, tmp_path / "out", spans_of(source)[1:2], mode="copy")
    with av.open(str(tmp_path / "out" / clip["file"])) as container:
        assert b"x264 - core" in bytes(next(container.demux(video=0)))


@pytest.mark.skipif(
    not COCKATOO.exists(),
    reason="needs HDVG_TEST_MEDIA with imageio's cockatoo.mp4: 4:4:4 by an early x264, which cannot be drawn",
)
def test_decoding_from_the_middle_equals_decoding_from_the_front():
    """Without the signature in packet 0, FFmpeg decodes what x264 wrote before build 151 in 4:4:4 wrongly, IDR or not."""
    with open_video(str(COCKATOO), max_pixels=PIXELS) as (container, stream):
        index = index_packets(container, stream)
    with open_video(str(COCKATOO), max_pixels=PIXELS, threads=2) as (container, stream):
        whole = {frame.pts: frame.picture.to_ndarray().sum() for frame in Decoder(container, stream)}
    reading = Reading(str(COCKATOO), index, max_pixels=PIXELS)
    part = list(reading.walk(stretches(index, [(74240, 80000)]), set()))
    assert part[0].pts == 74240
    assert all(frame.picture.to_ndarray().sum() == whole[frame.pts] for frame in part)


def test_taller_pictures_are_scaled_and_bars_cropped(tmp_path):
    picture = np.full((96, 128, 3), 180, np.uint8)
    picture[:16] = picture[-16:] = 3
    draw_frames(tmp_path / "a.mp4", [picture] * 20, lossless=False)
    (span,) = spans_of(tmp_path / "a.mp4", ((0, 20),))
    for changes, size in (
        ({"max_height_px": 48}, (64, 48)),
        ({"crop": "black"}, (128, 64)),
        ({"crop": "black", "max_height_px": 32}, (64, 32)),
    ):
        (clip,) = cut(str(tmp_path / "a.mp4"), str(tmp_path), [span], settings(**changes), PIXELS)
        assert (clip["cut_mode"], clip["width"], clip["height"]) == ("encode", *size)
    plain = [np.full((96, 128, 3), 180, np.uint8)] * 20
    draw_frames(tmp_path / "b.mp4", plain, lossless=False)
    (clip,) = cut(
        str(tmp_path / "b.mp4"),
        str(tmp_path),
        spans_of(tmp_path / "b.mp4", ((0, 20),)),
        settings(crop="black"),
        PIXELS,
    )
    assert clip["cut_mode"] == "smart"


def test_black_or_dark_frames_crop_nothing():
    picture = np.full((90, 160), 120, np.uint8)
    picture[:10] = picture[-10:] = 2
    black = np.zeros_like(picture)
    assert find_box(np.maximum(picture, black)) == (0, 10, 160, 70)
    assert find_box(black) is None
    small = black.copy()
    small[40:50, 70:80] = 200
    assert find_box(small) is None
    assert find_box(np.full((90, 160), 120, np.uint8)) is None


def damage(source: Path, target: Path, packets: range) -> Path:
    """A copy in which bytes of these packets' picture data are wrong."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        where = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for pos, size in where[packets.start : packets.stop]:
        for at in range(pos + size // 2, pos + size, 7):
            data[at] ^= 0x5A
    target.write_bytes(data)
    return target


def rewrite(clip: Path, target: Path, change) -> Path:
    """A copy of a clip whose packets (bytes, pts, dts) went through `change`."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        template = source.streams.video[0]
        stream = out.add_stream_from_template(template, opaque=True)
        packets = [(bytes(one), one.pts, one.dts) for one in source.demux(template) if one.size]
        for data, pts, dts in change(packets):
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.time_base, packet.stream = pts, dts, template.time_base, stream
            packet.duration = 512
            out.mux(packet)
    return target


def expected_of(source: Path, span: dict) -> Expected:
    with open_video(str(source), max_pixels=PIXELS) as (container, stream):
        index, time_base = index_packets(container, stream), stream.time_base
    plan = plan_smart(index, span)
    digests = [index.packets[n].digest for n in range(plan.run.first, plan.run.stop) if n in plan.run]
    times = [pts - plan.start_pts for pts in plan.times]
    before = sum(pts < plan.run.start_pts for pts in plan.times)
    return Expected(times, plan.end_pts - plan.start_pts, time_base, digests=digests, before=before)


def swap(packets: list, one: int, two: int) -> list:
    packets = list(packets)
    packets[one], packets[two] = (packets[two][0], *packets[one][1:]), (packets[one][0], *packets[two][1:])
    return packets


@pytest.mark.parametrize("coder", ["h264", "hevc open GOP", "vp9", "av1"])
def test_planted_faults_are_found(tmp_path, coder):
    source = draw(tmp_path, coder)
    span = spans_of(source)[1]
    (clip,) = cut_and_check(source, tmp_path / "out", [span])
    good, expected = tmp_path / "out" / clip["file"], expected_of(source, span)
    assert find_fault(rewrite(good, tmp_path / "same.mp4", list), expected) is None
    faults = {
        "copied packet ": lambda packets: swap(packets, 20, 21),
        "frames in": lambda packets: [*packets[:30], *packets[31:]],
        "expected at": lambda packets: [*packets[:-1], (packets[-1][0], packets[-1][1] + 7, packets[-1][2] + 7)],
    }
    for said, change in faults.items():
        assert said in find_fault(rewrite(good, tmp_path / "bad.mp4", change), expected)
    assert "copied packets" in find_fault(good, replace(expected, digests=[*expected.digests] * 3))
    assert "cannot be opened" in find_fault(
        damage(good, tmp_path / "torn.mp4", range(0)).with_name("none.mp4"), expected
    )


def test_copied_frames_are_decoded_again_unless_the_source_is_known_to_be_sound():
    joined = Expected(range(100), 100, 1, digests=[b""] * 80, before=5)
    copied = replace(joined, digests=[b""] * 100, before=0)
    assert (joined.decoded(), copied.decoded()) == ({0, 4, 5, 84, 85, 99}, {0, 99})
    sound = [replace(one, sound=True).decoded() for one in (joined, copied, Expected([0, 1], 2, 1))]
    assert sound == [{0, 4, 5, 85, 99}, {0}, {0, 1}]


def test_plan_that_is_off_by_one_shows_the_wrong_first_frame(tmp_path):
    source = draw(tmp_path, "h264")
    right, wrong = spans_of(source, ((70, 125), (69, 125)))
    planned = wrong | {key: right[key] for key in ("first_look", "last_look")}
    (clip,) = cut(str(source), str(tmp_path), [planned], settings(), PIXELS)
    assert clip["reason"] == "cut_mismatch"
    assert "the first frame differs" in clip["detail"]
    (clip,) = cut(str(source), str(tmp_path), [planned], settings(verify_share=0), PIXELS)
    assert "reason" not in clip


@pytest.mark.parametrize("packets", [range(44, 76), range(84, 118)], ids=["head", "run"])
def test_damaged_gop_is_not_copied_in_silence(tmp_path, packets):
    whole = draw(tmp_path, "h264")
    source = damage(whole, tmp_path / "damaged.mp4", packets)
    with open_video(str(whole), max_pixels=PIXELS) as (container, stream):
        pts = [frame.pts for frame in Decoder(container, stream)]
    with open_video(str(source), max_pixels=PIXELS) as (container, stream):
        decoder = Decoder(container, stream)
        good = [frame.pts for frame in decoder]
    assert len(good) == N - decoder.errors < N  # what the decoder marks as corrupt is no frame, nor what is made of it
    spans = [
        {
            "clip_id": str(a),
            "start_pts": pts[a],
            "end_pts": pts[b],
            "n_frames": sum(pts[a] <= one < pts[b] for one in good),
            "decode_errors": decoder.errors,
        }
        for a, b in ((20, 118), (120, 149))
    ]
    clips = cut(str(source), str(tmp_path), spans, settings(), PIXELS)
    assert [clip["cut_mode"] for clip in clips] == ["encode", "smart"]
    kept = [number for number in range(20, 118) if pts[number] in good]
    assert read_numbers(tmp_path / clips[0]["file"]) == kept
    assert read_numbers(tmp_path / clips[1]["file"]) == list(range(120, 149))


def test_size_change_in_mid_stream_is_scaled_to_the_first_size(tmp_path):
    parts = []
    for number, size in enumerate([(128, 96), (160, 120)]):
        parts.append(tmp_path / f"{number}.h264")
        draw_scenes(parts[-1], scene_frames=(30,), size=size, seed=number, options={"preset": "ultrafast", "bf": "0"})
    (tmp_path / "raw.h264").write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    source = tmp_path / "a.ts"
    subprocess.run(
        [
            FFMPEG,
            "-v",
            "error",
            "-f",
            "h264",
            "-i",
            tmp_path / "raw.h264",
            "-c",
            "copy",
            "-bsf:v",
            "setts=ts=N*3600:time_base=1/90000",
            source,
        ],
        check=True,
    )
    with open_video(str(source), max_pixels=PIXELS) as (container, stream):
        decoder = Decoder(container, stream)
        pts = [frame.pts for frame in decoder]
    span = {"clip_id": "x", "start_pts": pts[0], "end_pts": decoder.end_pts, "n_frames": len(pts)}
    (clip,) = cut(str(source), str(tmp_path), [span], settings(), PIXELS)
    assert "reason" not in clip, clip
    with av.open(str(tmp_path / clip["file"])) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(128, 96)}
    assert len(read_numbers(tmp_path / clip["file"])) == len(pts)


def test_interlaced_frames_become_as_many_progressive_ones(tmp_path):
    source = tmp_path / "a.mp4"
    options = {"preset": "ultrafast", "x264-params": "tff=1:keyint=40", "flags": "+ilme+ildct"}
    draw_scenes(source, scene_frames=(30, 30), size=SIZE, options=options)
    with open_video(str(source), max_pixels=PIXELS) as (container, stream):
        assert next(iter(Decoder(container, stream))).picture.interlaced_frame
    clips = cut(str(source), str(tmp_path), spans_of(source, ((0, 25), (25, 60))), settings(), PIXELS)
    for clip, numbers in zip(clips, (range(25), range(25, 60)), strict=True):
        assert clip["cut_mode"] == "encode"
        assert read_numbers(tmp_path / clip["file"]) == list(numbers)
        with av.open(str(tmp_path / clip["file"])) as container:
            assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def draw_hdr(path: Path, levels: int) -> None:
    """Grey PQ pictures whose 10-bit luma is `levels`, in BT.2020."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1
        stream.options = {"preset": "ultrafast", "qp": "0"}
        for number in range(12):
            frame = av.VideoFrame(128, 96, "yuv420p10le")
            for plane, level in zip(frame.planes, (levels, 512, 512), strict=True):
                plane.update(np.full((plane.height, plane.line_size // 2), level, np.uint16).tobytes())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_hdr_is_mapped_to_sdr_or_kept_as_it_is(tmp_path):
    luma = {}
    for hdr, nits, level in (("keep", 100, 509), ("tonemap", 10, 328), ("tonemap", 1000, 723)):
        draw_hdr(tmp_path / "a.mp4", level)
        with open_video(str(tmp_path / "a.mp4"), max_pixels=PIXELS) as (container, stream):
            pts = [frame.pts for frame in Decoder(container, stream)]
        span = {"clip_id": "x", "start_pts": pts[0], "end_pts": pts[11], "n_frames": 11}
        (clip,) = cut(str(tmp_path / "a.mp4"), str(tmp_path), [span], settings(hdr=hdr), PIXELS)
        assert "reason" not in clip, clip
        with av.open(str(tmp_path / clip["file"])) as container:
            frame = next(container.decode(video=0))
            luma[hdr, nits] = int(frame.to_ndarray()[48, 64])
            assert frame.color_trc == (1 if hdr == "tonemap" else 16)
    print(luma)
    assert luma["keep", 100] == pytest.approx(127, abs=2)
    assert luma["tonemap", 10] < 80
    assert 190 < luma["tonemap", 1000] <= 236


def add_sound(video: Path, target: Path, *codec: str) -> Path:
    subprocess.run(
        [FFMPEG, "-v", "error", "-y", "-i", video, "-f", "lavfi", "-i", "sine=440:duration=6", "-map", "0:v", "-map", "1:a",
         "-c:v", "copy", *codec, target],
        check=True,
    )  # fmt: skip
    return target


@pytest.mark.parametrize(("codec", "name"), [("aac", "a.mp4"), ("flac", "a.mkv")])
@pytest.mark.parametrize("mode", ["smart", "copy", "encode"])
def test_sound_goes_with_the_clip_when_asked(tmp_path, codec, name, mode):
    source = add_sound(draw(tmp_path, "h264", name="silent.mp4"), tmp_path / name, "-c:a", codec)
    spans = spans_of(source)[:2]
    clips = cut_and_check(source, tmp_path / "out", spans, audio="keep", mode=mode)
    for clip in clips:
        with av.open(str(tmp_path / "out" / clip["file"])) as container:
            sound = container.streams.audio[0]
            assert sound.codec_context.name == "aac"
            frames = list(container.decode(sound))
        assert sum(frame.samples for frame in frames) / frames[0].rate == pytest.approx(
            clip["cut_n_frames"] / 25, abs=0.08
        )
        loud = np.concatenate([frame.to_ndarray()[0] for frame in frames[2:-2]])
        assert np.abs(loud).max() > 0.05
    (clip,) = cut(str(source), str(tmp_path), spans[:1], settings(), PIXELS)
    with av.open(str(tmp_path / clip["file"])) as container:
        assert not container.streams.audio


def test_a_gap_in_sound_that_is_encoded_stays_where_it_is(tmp_path):
    whole = add_sound(draw(tmp_path, "h264", name="silent.mp4"), tmp_path / "whole.mkv", "-c:a", "flac")
    with av.open(str(whole)) as source, av.open(str(tmp_path / "gap.mkv"), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size and (packet.stream.type == "video" or not 1 <= packet.pts * packet.time_base < 2):
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    (clip,) = cut_and_check(tmp_path / "gap.mkv", tmp_path / "out", spans_of(whole, ((0, 75),)), audio="keep")
    with av.open(str(tmp_path / "out" / clip["file"])) as container:
        rate = container.streams.audio[0].rate
        level = np.abs(np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]))
    assert len(level) / rate == pytest.approx(3, abs=0.1)
    loud = [level[int(at * rate) : int((at + 0.6) * rate)].max() for at in (0.2, 1.2, 2.2)]
    assert loud[1] < 0.01 < 0.05 < min(loud[0], loud[2])


def shrunk(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(width=90, height=90, format="gray", interpolation="AREA").to_ndarray()


@pytest.mark.parametrize("coder", ["h264", "hevc", "vp9"])
def test_edge_whose_key_frame_spends_the_budget_still_shows_each_frame_of_a_dissolve(tmp_path, coder):
    with open_video(str(BIRDS), max_pixels=PIXELS) as (container, stream):
        old = (
            next(iter(Decoder(container, stream))).picture.reformat(width=320, height=180, format="rgb24").to_ndarray()
        )
    blends = [cv2.addWeighted(old, 1 - share, old[:, ::-1].copy(), share, 0) for share in (0, 0.2, 0.4)]
    wanted = [av.VideoFrame.from_ndarray(blend, format="rgb24").reformat(format="yuv420p") for blend in blends]
    source = draw(tmp_path, coder, size=(320, 180))
    with open_video(str(source), max_pixels=PIXELS) as (container, stream):
        index = index_packets(container, stream)
    encoder = edge_encoder(
        look(str(source), PIXELS), index.sets[0], budget=Budget(100, 200), settings=settings(preset="veryfast")
    )
    for number, frame in enumerate(wanted):
        frame.pts = number * round(1 / (25 * encoder.time_base))
    packets = [packet for frame in [*wanted, None] for packet in encoder.encode(frame)]
    decoder = av.CodecContext.create(coder, "r")
    decoder.extradata = encoder.extradata
    got = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    greys = [[shrunk(frame).astype(int) for frame in frames] for frames in (got, wanted)]
    nearest = [int(np.argmin([abs(one - other).mean() for other in greys[1]])) for one in greys[0]]
    assert nearest == [0, 1, 2]


@pytest.mark.parametrize(("codec", "name"), [("mpeg4", "a.mp4"), ("mpeg2video", "a.ts")])
def test_older_codecs_are_copied_at_their_key_frames(tmp_path, codec, name):
    options = {"g": "20", "bf": "2", "b": "2M"}
    draw_scenes(tmp_path / name, scene_frames=(45, 45), size=SIZE, codec=codec, options=options)
    first, second = cut_and_check(
        tmp_path / name, tmp_path / "out", spans_of(tmp_path / name, ((0, 33), (33, 90))), mode="copy"
    )
    assert first["copied_frames"] >= 30
    assert second["copied_frames"] >= 48
    encoded = cut_and_check(tmp_path / name, tmp_path / "out", spans_of(tmp_path / name, ((30, 45), (45, 90))))
    assert {clip["cut_mode"] for clip in encoded} == {"encode"}


@pytest.mark.parametrize(
    ("codec", "packet", "safe"),
    [
        ("h264", b"\0\0\1\0\0\0\1\x65\x88", True),  # an empty unit before a picture
        ("h264", b"\0\0\1\x67", False),  # a parameter set that ends at once
        ("hevc", b"\0\0\1\0\0\0\1\x26\1\xaf", True),
        ("hevc", b"\0\0\1\x40\1", False),
        ("av1", b"\x32\xff", False),  # a size that goes on beyond the packet
        ("vp9", b"", False),
    ],
)
def test_damaged_packet_is_read_as_far_as_it_goes(codec, packet, safe):
    assert open_syntax(codec, None).see(packet, is_keyframe=True).safe == safe


def test_size_change_inside_a_clip_does_not_stop_the_search_for_bars(tmp_path):
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    for path, size in ((small, (160, 90)), (large, (192, 108))):
        draw_scenes(path, scene_frames=(30,), size=size, options={"preset": "ultrafast", "g": "5", "bf": "0"})
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    spans = [{"clip_id": "x", "start_pts": 0, "end_pts": 2**40, "n_frames": 1}]
    (clip,) = cut(str(both), str(tmp_path), spans, Cut(crop="black").model_dump(), PIXELS)
    assert clip["reason"] == "cut_mismatch"  # of the frames, which the span got wrong; the search did not fail


@pytest.mark.parametrize("coder", ["libx264", "libx265"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_decoder_records_tell_chroma_and_depth_as_ffmpegs_muxer_does(tmp_path, coder, pix_fmt):
    target = tmp_path / "a.mp4"
    quiet = ("-x265-params", "log-level=none") if coder == "libx265" else ()
    made = ("-f", "lavfi", "-i", "testsrc=size=128x96:duration=0.2", "-c:v", coder, *quiet, "-pix_fmt", pix_fmt)
    subprocess.run([FFMPEG, "-v", "error", *made, str(target)], check=True)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        record, codec = context.extradata, context.name
    sets = encoder_sets(codec, record)
    if codec == "h264":
        assert avcc(sets, pix_fmt)[-4:] == record[-4:]
    else:
        assert hvcc(sets, pix_fmt)[16:19] == record[16:19]


@pytest.fixture(scope="module")
def noisy_frames() -> list[np.ndarray]:
    """Fine noise that a starved encoder cannot keep, over textures that move: the budget of every edge binds."""
    random = np.random.default_rng(5)
    noise = random.normal(0, 40, (4, 180, 320, 1))
    rows, columns = np.mgrid[:180, :320]
    return [
        np.clip(
            128 + 60 * np.sin((rows + 3 * n) / 9)[..., None] + 50 * np.cos((columns * (1 + n / 60)) / 7)[..., None]
            + noise[n % 4] * (1 + n % 5) / 3 + np.zeros(3), 0, 255,
        ).astype(np.uint8)
        for n in range(75)
    ]  # fmt: skip


STARVED = {
    "h264": ("libx264", {"preset": "veryfast", "x264-params": "keyint=30:min-keyint=30:scenecut=0:bframes=3:bitrate=1500:vbv-maxrate=1500:vbv-bufsize=600"}),
    "hevc": ("libx265", {"preset": "ultrafast", "x265-params": "keyint=30:min-keyint=30:scenecut=0:open-gop=0:bitrate=1500:log-level=none:pools=none"}),
    "vp9": ("libvpx-vp9", {"deadline": "good", "cpu-used": "8", "g": "30", "keyint_min": "30", "b": "1500k"}),
    "av1": ("libsvtav1", {"preset": "12", "g": "30", "b": "1500k", "svtav1-params": "lp=1:rc=1"}),
}  # fmt: skip


@pytest.mark.parametrize(
    "coder", ["h264", "av1", pytest.param("hevc", marks=pytest.mark.slow), pytest.param("vp9", marks=pytest.mark.slow)]
)
def test_clips_have_the_same_bytes_each_time_where_the_budget_binds(tmp_path, noisy_frames, coder):
    codec, options = STARVED[coder]
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 320, 180, "yuv420p", options
        for number, picture in enumerate(noisy_frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    spans = spans_of(source, ((2, 75),))
    for mode, threads in (("smart", (2, 2, 2, 4)), ("encode", (2, 2) if coder == "h264" else ())):
        made = set()
        for count in threads:
            clips = cut(
                str(source), str(tmp_path), spans, settings(mode=mode, threads=count, preset="veryfast"), PIXELS
            )
            assert [clip.get("cut_mode") for clip in clips] == [mode], clips
            made.add(tuple((tmp_path / clip["file"]).read_bytes() for clip in clips))
        assert len(made) <= 1, (mode, len(made))
