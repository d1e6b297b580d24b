"""`cut.audio=keep`: a clip's sound begins with the sample that its first frame has, and is as long as it to a packet."""

import av
import numpy as np
import pytest

from hdvg.config.recipe import Recipe
from hdvg.media.cut import cut
from tests.clapper import VIDEO
from tests.voices import HZ, film_with

SECONDS, LATE_S = 8, 0.31
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k")
SOURCES = {
    "aac.mp4": (VIDEO, ("-c:a", "aac", "-ar", "48000"), 1024),
    "aac.mkv": (VIDEO, ("-c:a", "aac", "-ar", "44100", "-ac", "2"), 1024),
    "opus.webm": (VP9, ("-c:a", "libopus"), 960),
    "opus.mp4": (VIDEO, ("-c:a", "libopus"), 960),
    "mp3.mp4": (VIDEO, ("-c:a", "libmp3lame", "-ar", "44100"), 1024),
    "mp3.mkv": (VIDEO, ("-c:a", "libmp3lame", "-ar", "48000"), 1024),
    "pcm.mkv": (VIDEO, ("-c:a", "pcm_s16le", "-ar", "48000"), 1024),
    "pcm.mov": (VIDEO, ("-c:a", "pcm_s24le", "-ar", "44100", "-ac", "2"), 1024),
    "vorbis.webm": (VP9, ("-c:a", "libvorbis", "-ar", "44100"), 1024),
    "ac3.mkv": (VIDEO, ("-c:a", "ac3", "-ar", "48000"), 1536),
}
"""Codecs of picture and sound, and the samples of a packet that a clip of it has."""

SPANS_S = ((0.0, SECONDS), (0.52, 1.16), (2.04, 4.72), (3.36, SECONDS), (6.12, 6.88))
JUST_S = 0.0015
"""Matroska's times are whole milliseconds."""


def heard(path):
    """When the sound begins on the file's clock, s, and its samples (n,), mono, with their rate; None without a track."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler("fltp", "mono")
        frames = list(container.decode(audio=0))
        pieces = [piece.to_ndarray()[0] for frame in [*frames, None] for piece in resampler.resample(frame)]
        return float(frames[0].pts * frames[0].time_base), np.concatenate(pieces), frames[0].sample_rate


def clips_of(source, folder):
    """(start and end in seconds of the source's clock, the clip's file) of each span."""
    with av.open(str(source)) as container:
        base = container.streams.video[0].time_base
        times = [frame.pts for frame in container.decode(video=0)]
    spans = []
    for number, (start_s, end_s) in enumerate(SPANS_S):
        inside = [at for at in times if start_s - 0.01 <= float(at * base) < end_s - 0.01]
        end = next((at for at in times if at > inside[-1]), inside[-1] + times[1] - times[0])
        spans.append({"clip_id": str(number), "start_pts": inside[0], "end_pts": end, "n_frames": len(inside), "decode_errors": 0})  # fmt: skip
    made = cut(str(source), str(folder), spans, Recipe().cut.model_dump() | {"audio": "keep"}, 10**8)
    assert not [one for one in made if "reason" in one]
    return [
        (float(span["start_pts"] * base), float(span["end_pts"] * base), folder / one["file"])
        for span, one in zip(spans, made, strict=True)
    ]


def late_s(source, clip, start_s, begins_s):
    """How much later the clip has what the source has, by the best match of a tenth of a second, within a fiftieth."""
    (from_s, whole, rate), (clip_s, samples, clip_rate) = source, clip
    assert clip_rate == rate
    at_s = max(begins_s - start_s - clip_s, 0) + 0.1
    some = samples[round(at_s * rate) : round((at_s + 0.1) * rate)]
    reach, first = rate // 50, round((start_s + clip_s + at_s - from_s) * rate)
    around = whole[first - reach : first + reach + len(some)]
    matches = np.correlate(around, some, "valid")
    best = int(matches.argmax())
    assert matches[best] > 0.8 * np.linalg.norm(some) * np.linalg.norm(around[best : best + len(some)])
    return (reach - best) / rate


@pytest.mark.parametrize("late", [0.0, LATE_S])
@pytest.mark.parametrize("name", SOURCES)
def test_sound_begins_with_the_clip_and_is_as_long_to_a_packet(tmp_path, name, late):
    video, codec, packet = SOURCES[name]
    noise = np.convolve(np.random.default_rng(5).normal(size=SECONDS * HZ), np.ones(4) / 8, "same")
    delay = ("-af", f"atrim=start={late}") if late else ()
    source = film_with(tmp_path / name, 0.5 * noise.astype(np.float32), *video, *delay, codec=codec)
    known = heard(source)
    begins_s, rate = known[0], known[2]
    packet_s = packet / rate + JUST_S
    for start_s, end_s, path in clips_of(source, tmp_path):
        clip = heard(path)
        first_s = max(begins_s - start_s, 0.0)
        if first_s:
            assert -packet_s <= clip[0] - first_s <= JUST_S, "what an encoder needs before its first sample"
        else:
            assert clip[0] == pytest.approx(0, abs=JUST_S)
        ends_s = min(end_s, begins_s + len(known[1]) / rate) - start_s
        assert abs(clip[0] + len(clip[1]) / rate - ends_s) <= packet_s
        assert abs(late_s(known, clip, start_s, begins_s)) <= JUST_S


def test_clip_before_the_sound_has_no_track(tmp_path):
    source = film_with(tmp_path / "a.mkv", np.ones(SECONDS * HZ, np.float32), "-af", "atrim=start=1.3")
    assert [heard(path) is None for *_, path in clips_of(source, tmp_path)] == [False, True, False, False, False]
