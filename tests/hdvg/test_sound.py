"""Sound that a source keeps apart is fetched and put beside its video at the times it has: flash and beep stay together."""

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest

from hdvg.config.fetch import Fetch
from hdvg.config.recipe import Recipe
from hdvg.errors import ItemError, TransientError
from hdvg.ids import file_sha256
from hdvg.media.cut import cut
from hdvg.media.id3 import CLOCK_TURN_S, OWNER
from hdvg.media.mux import mux
from hdvg.media.probe import probe
from hdvg.sandbox import Sandbox
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from tests import servers as web
from tests.clapper import CLAPS_S, FFMPEG, SOUND, VIDEO, claps, film

SETTINGS = Fetch(silence_s=15, wall_s=60, tries=1, max_mb=20, max_wait_s=1, throttle_wait_s=0, sound=True)
STARTS = {"together": (0.0, 0.0), "sound-late": (0.0, 0.52), "sound-early": (0.52, 0.0)}
APART_S = 0.010
DASH = ("-f", "dash", "-adaptation_sets", "id=0,streams=v id=1,streams=a", "-seg_duration", "2")
HLS = ("-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8")
HLS += ("-var_stream_map", "a:0,agroup:voice,default:yes v:0,agroup:voice")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Folders of streams made by the real ffmpeg, by way and start; each has `index`, what leads to it."""
    root = tmp_path_factory.mktemp("streams")
    for name, (video_s, sound_s) in STARTS.items():
        starts = {"video_from_s": video_s, "sound_from_s": sound_s}
        for way in ("dash", "hls-ts", "hls-fmp4"):
            (root / f"{way}-{name}").mkdir()
        film(root / f"dash-{name}" / "index.mpd", *VIDEO, *SOUND, *DASH, **starts)
        film(root / f"hls-ts-{name}" / "%v.m3u8", *VIDEO, *SOUND, *HLS, **starts)
        film(root / f"hls-fmp4-{name}" / "%v.m3u8", *VIDEO, *SOUND, *HLS, "-hls_segment_type", "fmp4", **starts)
    return root


@pytest.fixture
def server(streams):
    with web.serve_folder(streams) as running:
        yield running


@pytest.fixture
def take(sandbox, tmp_path):
    def run(source, **changed):
        settings = SETTINGS.model_copy(update=changed)
        return fetch(source, scratch=tmp_path, settings=settings, sandbox=sandbox, gate=HostGate(4, 0, 2))

    return run


def index_of(way):
    return f"/{way}/index.mpd" if way.startswith("dash") else f"/{way}/master.m3u8"


def cut_out(path, folder, *, from_s, to_s):
    """The clip of the frames in a stretch of the film, cut as a run does; its path."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        times = [frame.pts for frame in container.decode(video=0)]
    inside = [at for at in times if from_s <= float((at - times[0]) * base) < to_s]
    after = times[times.index(inside[-1]) + 1]
    span = {"clip_id": "clip", "start_pts": inside[0], "end_pts": after, "n_frames": len(inside), "decode_errors": 0}
    settings = Recipe().cut.model_dump() | {"audio": "keep"}
    (made,) = cut(str(path), str(folder), [span], settings, 10**6)
    assert "reason" not in made, made
    return folder / made["file"]


def packets(path, kind):
    """(display time in s, bytes) of the packets of a file's first stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(packet.pts * stream.time_base, packet.size) for packet in container.demux(stream) if packet.size]


# From the server to the clip


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("way", ["dash", "hls-ts", "hls-fmp4"])
def test_flash_and_beep_stay_together_through_fetch_and_cut(server, take, tmp_path, way, start):
    got = take(server.url(index_of(f"{way}-{start}")))
    assert "+" in got.info["format_id"]
    flashes, beeps = claps(got.path)
    assert len(flashes) == len(beeps) == len(CLAPS_S)
    assert all(abs(flash - beep) < APART_S for flash, beep in zip(flashes, beeps, strict=True)), (flashes, beeps)
    clip = cut_out(got.path, tmp_path, from_s=0.4, to_s=3.0)
    flashes, beeps = claps(clip)
    assert len(flashes) == len(beeps) == 2
    assert all(abs(flash - beep) < APART_S for flash, beep in zip(flashes, beeps, strict=True)), (flashes, beeps)


def test_sound_is_left_where_it_is_unless_the_recipe_asks_for_it(server, take):
    got = take(server.url(index_of("dash-together")), sound=False)
    assert "+" not in got.info["format_id"]
    assert not any("stream1" in path and path.endswith(".m4s") for path in server.hits)
    with av.open(str(got.path)) as container:
        assert not container.streams.audio


def test_same_stream_gives_the_same_bytes_and_nothing_else_is_left(server, take, tmp_path):
    first, second = (take(server.url(index_of("dash-sound-late"))) for _ in range(2))
    assert file_sha256(first.path) == file_sha256(second.path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([first.path, second.path])


def test_choice_is_said_with_the_file(server, take):
    got = take(server.url(index_of("dash-together")))
    assert got.choice == "120p avc: the only one; sound: aac"


def test_source_without_sound_gives_its_video_alone(server, take, streams, tmp_path):
    manifest = (streams / "dash-together" / "index.mpd").read_text()
    silent = re.sub(r'<AdaptationSet id="1".*?</AdaptationSet>', "", manifest, flags=re.DOTALL)
    source = server.add("/dash-together/silent.mpd", web.body(silent.encode(), "application/dash+xml"))
    got = take(source)
    assert got.choice == "120p avc: the only one; sound: none is offered"
    flashes, beeps = claps(got.path)
    assert (len(flashes), beeps) == (len(CLAPS_S), [])


def test_video_that_has_its_sound_needs_no_second_file(server, take, tmp_path):
    film(tmp_path / "film.mp4", *VIDEO, *SOUND)
    got = take(server.add("/film.mp4", web.body((tmp_path / "film.mp4").read_bytes())))
    assert got.path.read_bytes() == (tmp_path / "film.mp4").read_bytes()


@pytest.mark.parametrize(("code", "reason"), [(404, "gone"), (403, "blocked"), (503, "throttled")])
def test_offered_sound_that_does_not_come_is_the_videos_failure(server, take, tmp_path, code, reason):
    server.add("/dash-together/chunk-stream1-00002.m4s", web.status(code))
    with pytest.raises(ItemError) as failed:
        take(server.url(index_of("dash-together")))
    assert failed.value.reason == reason
    assert isinstance(failed.value, TransientError) == (code == 503)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_sound_that_failed_for_a_moment_is_tried_again(server, take, streams):
    chunk = (streams / "dash-together" / "chunk-stream1-00002.m4s").read_bytes()
    server.add("/dash-together/chunk-stream1-00002.m4s", web.status(502), web.body(chunk))
    assert take(server.url(index_of("dash-together")), tries=2).choice.endswith("sound: aac")


def test_video_and_sound_together_stay_below_the_cap(server, take, streams):
    folder = streams / "dash-together"
    video, sound = (sum(path.stat().st_size for path in folder.glob(f"*stream{number}*")) for number in (0, 1))
    with pytest.raises(ItemError) as failed:
        take(server.url(index_of("dash-together")), max_mb=(video + sound // 2) / 2**20)
    assert failed.value.reason == "too_big"
    assert take(server.url(index_of("dash-together")), max_mb=1.2 * (video + sound) / 2**20).path.exists()


def test_sound_that_is_no_media_fails_the_video(server, take, streams):
    noise = web.body(bytes([0, 255]) * 500, "audio/mp4")
    for path in (streams / "dash-together").glob("*stream1*"):
        server.add(f"/dash-together/{path.name}", noise)
    with pytest.raises(ItemError) as failed:
        take(server.url(index_of("dash-together")))
    assert failed.value.reason == "not_media"


# Putting together


PAIRS = {
    "mp4": ("mp4", VIDEO, "mp4", SOUND, "mp4"),
    "mp4-opus": ("mp4", VIDEO, "webm", ("-c:a", "libopus"), "mp4"),
    "webm": ("webm", VP9, "webm", ("-c:a", "libopus"), "mp4"),
    "matroska-b-frames": ("mkv", VIDEO, "mp4", SOUND, "mp4"),
    "transport-stream": ("ts", VIDEO, "ts", SOUND, "mp4"),
    "vp8-vorbis": ("webm", VP8, "webm", ("-c:a", "libvorbis"), "matroska"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_packets_keep_their_times_and_their_bytes(tmp_path, name):
    video_end, video_options, sound_end, sound_options, container = PAIRS[name]
    video, sound, whole = (tmp_path / f"{part}.{end}" for part, end in (("v", video_end), ("a", sound_end), ("w", "x")))
    film(video, *video_options, "-an", video_from_s=0.52)
    film(sound, *sound_options, "-vn", sound_from_s=0.7)
    assert mux(str(video), str(sound), str(whole)) == container
    exact = Fraction(1, 100_000) if container == "mp4" else Fraction(1, 1000)
    for source, kind in ((video, "video"), (sound, "audio")):
        before, after = packets(source, kind), packets(whole, kind)
        assert len(before) == len(after) > 100
        assert max(abs(now - then) for (then, _), (now, _) in zip(before, after, strict=True)) <= exact
        if "transport" not in name:  # whose start codes become lengths
            assert [size for _, size in before] == [size for _, size in after]
    assert probe(str(whole), 10**6)["coded_width"] == 160
    again = tmp_path / "again"
    mux(str(video), str(sound), str(again))
    assert file_sha256(again) == file_sha256(whole)


def test_hidden_frames_stay_hidden_and_the_turn_of_the_picture_stays(tmp_path):
    whole, late, turned = tmp_path / "whole.mp4", tmp_path / "late.mp4", tmp_path / "turned.mp4"
    film(whole, *VIDEO, "-an")
    copy = [FFMPEG, "-v", "error", "-y"]
    subprocess.run([*copy, "-ss", "0.5", "-i", whole, "-c", "copy", late], check=True)  # hides frames before 0.5 s
    subprocess.run([*copy, "-display_rotation", "90", "-i", late, "-c", "copy", turned], check=True)
    film(tmp_path / "sound.m4a", *SOUND, "-vn")
    mux(str(turned), str(tmp_path / "sound.m4a"), str(tmp_path / "made"))
    frames = []
    for path in (turned, tmp_path / "made"):
        with av.open(str(path)) as container:
            frames.append([(frame.pts * frame.time_base, frame.rotation) for frame in container.decode(video=0)])
    assert frames[0] == frames[1]
    assert len(packets(turned, "video")) > len(frames[0])
    assert frames[0][0] == (0, 90)


@pytest.mark.parametrize("late", [False, True])
def test_hidden_frames_stay_hidden_where_the_first_one_shown_comes_late(tmp_path, late):
    film(tmp_path / "whole.mp4", *VIDEO, "-an")
    film(tmp_path / "sound.m4a", *SOUND, "-vn")
    cut_in = [FFMPEG, "-v", "error", "-ss", "0.52", "-i", tmp_path / "whole.mp4", "-c", "copy", tmp_path / "v.mp4"]
    subprocess.run(cut_in, check=True)
    if late:
        (tmp_path / "v.mp4").write_bytes(with_empty_edit((tmp_path / "v.mp4").read_bytes(), ms=700))
    mux(str(tmp_path / "v.mp4"), str(tmp_path / "sound.m4a"), str(tmp_path / "made"))
    before, after = claps(tmp_path / "v.mp4"), claps(tmp_path / "made")
    assert before[0] == pytest.approx([at - 0.52 + 0.7 * late for at in CLAPS_S])
    assert frames_of(tmp_path / "made") == frames_of(tmp_path / "v.mp4")
    assert after[1] == pytest.approx([at - 0.7 * late for at in CLAPS_S], abs=0.01)
    assert after[0] == pytest.approx([at - 0.52 for at in CLAPS_S])


def frames_of(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def with_empty_edit(data, *, ms):
    """An mp4 whose one track has an edit list, with nothing shown for so long before it."""
    at, movie = data.index(b"elst"), data.index(b"mvhd") + 16
    ticks = ms * int.from_bytes(data[movie : movie + 4]) // 1000
    data = data[: at + 12] + ticks.to_bytes(4) + b"\xff" * 4 + b"\0\1\0\0" + data[at + 12 :]
    data = data[: at + 8] + (2).to_bytes(4) + data[at + 12 :]
    for box in (b"moov", b"trak", b"edts", b"elst"):
        start = data.rindex(box) - 4
        size = int.from_bytes(data[start : start + 4]) + 12
        data = data[:start] + size.to_bytes(4) + data[start + 4 :]
    return data


def test_clock_that_begins_anew_loses_no_frame(tmp_path):
    near = ("-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(int(CLOCK_TURN_S) - 1))
    film(tmp_path / "v.ts", *VIDEO, "-an", *near)
    film(tmp_path / "a.ts", *SOUND, "-vn", *near)
    assert packets(tmp_path / "v.ts", "video")[0][0] < 0
    mux(str(tmp_path / "v.ts"), str(tmp_path / "a.ts"), str(tmp_path / "made"))
    assert frames_of(tmp_path / "made") == 150
    flashes, beeps = claps(tmp_path / "made")
    assert flashes == pytest.approx(CLAPS_S)
    assert beeps == pytest.approx(CLAPS_S, abs=APART_S)


def test_packed_audio_begins_when_its_tag_says(tmp_path):
    film(tmp_path / "v.ts", *VIDEO, "-an")
    film(tmp_path / "a.aac", *SOUND, "-vn")
    offset_s = packets(tmp_path / "v.ts", "video")[0][0]
    frames = adts_frames((tmp_path / "a.aac").read_bytes())
    for turns in (0, 1):  # the clock may have begun anew
        parts = []
        for first in range(0, len(frames), 100):  # an HLS segment each
            at = (
                offset_s + turns * CLOCK_TURN_S + Fraction((first - 1) * 1024, 48_000)
            )  # ffmpeg's AAC is one frame late
            parts += [id3_tag(round(at * 90_000)), *frames[first : first + 100]]
        (tmp_path / "packed.aac").write_bytes(b"".join(parts))
        mux(str(tmp_path / "v.ts"), str(tmp_path / "packed.aac"), str(tmp_path / "made"))
        flashes, beeps = claps(tmp_path / "made")
        assert len(flashes) == len(beeps) == len(CLAPS_S)
        assert all(abs(flash - beep) < APART_S for flash, beep in zip(flashes, beeps, strict=True)), (flashes, beeps)


def adts_frames(data):
    frames, at = [], 0
    while at < len(data):
        length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        frames.append(data[at : at + length])
        at += length
    return frames


def id3_tag(ticks):
    content = OWNER + ticks.to_bytes(8)
    frame = b"PRIV" + len(content).to_bytes(4) + b"\0\0" + content
    return b"ID3\4\0\0" + bytes([0, 0, 0, len(frame)]) + frame


def test_video_that_breaks_off_is_truncated_also_with_sound(tmp_path):
    film(tmp_path / "v.mp4", *VIDEO, "-an", "-movflags", "+faststart")
    film(tmp_path / "a.m4a", *SOUND, "-vn")
    data = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "v.mp4").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ItemError) as failed:
        mux(str(tmp_path / "v.mp4"), str(tmp_path / "a.m4a"), str(tmp_path / "made"))
    assert failed.value.reason == "truncated"


@pytest.mark.parametrize("kind", ["text", "silent"])
def test_file_without_sound_is_no_sound(tmp_path, kind):
    film(tmp_path / "v.mp4", *VIDEO, "-an")
    (tmp_path / "text").write_text("hello " * 1000)
    sound = {"text": tmp_path / "text", "silent": tmp_path / "v.mp4"}[kind]
    with pytest.raises(ItemError) as failed:
        mux(str(tmp_path / "v.mp4"), str(sound), str(tmp_path / "made"))
    assert failed.value.reason == "not_media"
    assert not Path(tmp_path / "made").exists()
