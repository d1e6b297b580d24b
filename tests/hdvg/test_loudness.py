"""What is measured of sound, against signals whose loudness EBU Tech 3341 states, and films made to have it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from hdvg.config.sections import Split
from hdvg.measures.sound import Sound
from hdvg.media.remeasure import remeasure
from hdvg.media.scan import scan
from tests.clapper import SOUND, VIDEO, film

MOST = 10**8
SINE = "aevalsrc='{gain}*sin(2*PI*1000*t)|{gain}*sin(2*PI*1000*t)':s=48000:d={seconds}"


def tone(dbfs: float, seconds: float) -> str:
    """A stereo sine whose peaks have that level, as EBU Tech 3341 writes its signals."""
    return SINE.format(gain=10 ** (dbfs / 20), seconds=seconds)


def made(target: Path, *sounds: str, seconds: float, codec: tuple[str, ...] = ("-c:a", "pcm_s24le")) -> Path:
    """One shot whose sound is those signals one after the other."""
    inputs = ["-f", "lavfi", "-i", f"testsrc2=s=160x120:r=25:d={seconds}"]
    joined = "".join(f"{one}[s{at}];" for at, one in enumerate(sounds)) + "".join(
        f"[s{at}]" for at in range(len(sounds))
    )
    graph = f"{joined}concat=n={len(sounds)}:v=0:a=1[out]"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "0:v"]
    subprocess.run([*command, "-map", "[out]", *VIDEO, *codec, str(target)], check=True)
    return target


def clips(path: Path) -> list[dict]:
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    return scan(str(path), str(out), Split(max_clip_s=None).model_dump(), 1, MOST)["clips"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-23, 8)], -23.0),  # case 1, shorter
        ([(-33, 8)], -33.0),  # case 2
        ([(-36, 4), (-23, 12), (-36, 4)], -23.0),  # case 3: the quiet ends are gated
        ([(-72, 4), (-36, 4), (-23, 12), (-36, 4), (-72, 4)], -23.0),  # case 4
        ([(-26, 8), (-20, 8.04), (-26, 8)], -23.0),  # case 5
    ],
)
def test_loudness_is_that_of_the_ebu(tmp_path, parts, expected):
    seconds = sum(length for _, length in parts)
    (clip,) = clips(made(tmp_path / "a.mkv", *(tone(*part) for part in parts), seconds=seconds))
    assert clip["loudness_lufs"] == pytest.approx(expected, abs=0.1)
    assert clip["audio_channels"] == 2
    assert clip["audio_share"] == pytest.approx(1, abs=0.02)


def test_peak_silence_and_clipping_have_their_shares(tmp_path):
    loud = "aevalsrc='max(-1,min(1,2*sin(2*PI*440*t)))|0':s=48000:d=2"
    (clip,) = clips(made(tmp_path / "a.mkv", tone(-6, 4), "anullsrc=r=48000:cl=stereo:d=2", loud, seconds=8))
    assert clip["audio_peak_dbfs"] == pytest.approx(0, abs=0.01)
    assert clip["silence_share"] == pytest.approx(0.25, abs=0.02)
    assert clip["clipped_share"] == pytest.approx(0.25, abs=0.02)


def test_a_clip_without_sound_is_silent_and_says_so(tmp_path):
    film(tmp_path / "mute.mp4", *VIDEO, "-an")
    none = {"audio_channels": 0, "audio_share": 0, "audio_offset_s": None}
    none |= {"loudness_lufs": -70, "audio_peak_dbfs": -120, "silence_share": 1, "clipped_share": 0}
    found = clips(tmp_path / "mute.mp4")
    assert [{name: clip[name] for name in Sound.columns} for clip in found] == [none] * len(found)


def test_sound_that_begins_late_is_told(tmp_path):
    film(tmp_path / "late.mp4", *VIDEO, *SOUND, sound_from_s=1.5)
    found = clips(tmp_path / "late.mp4")
    assert next(clip["audio_offset_s"] for clip in found if clip["audio_channels"]) == pytest.approx(1.5, abs=0.03)
    assert sum(clip["audio_share"] * clip["duration_s"] for clip in found) == pytest.approx(4.5, abs=0.2)


def test_each_clip_has_its_own_sound(tmp_path):
    """Two shots, the second ten times louder; the times of both tracks begin at 100 s."""
    path = tmp_path / "two.mkv"
    picture = [
        "-f",
        "lavfi",
        "-i",
        "color=blue:s=160x120:r=25:d=3[a];color=yellow:s=160x120:r=25:d=3[b];[a][b]concat=n=2",
    ]
    voice = ["-f", "lavfi", "-i", f"{tone(-40, 3)}[a];{tone(-20, 3)}[b];[a][b]concat=n=2:v=0:a=1"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *picture, *voice, *VIDEO, "-c:a", "pcm_s24le"]
    subprocess.run([*command, "-output_ts_offset", "100", str(path)], check=True)
    quiet, loud = clips(path)
    assert quiet["start_s"] == pytest.approx(100, abs=0.1)
    assert [quiet["loudness_lufs"], loud["loudness_lufs"]] == [pytest.approx(-40, abs=0.2), pytest.approx(-20, abs=0.2)]


@pytest.mark.parametrize(("codec", "expected"), [("aac", -20), ("libopus", -20), ("libmp3lame", -20.45)])
def test_coded_sound_measures_as_it_was(tmp_path, codec, expected):
    """LAME makes sound 0.45 dB softer."""
    (clip,) = clips(made(tmp_path / "a.mkv", tone(-20, 6), seconds=6, codec=("-c:a", codec)))
    assert clip["loudness_lufs"] == pytest.approx(expected, abs=0.2)
    assert abs(clip["audio_offset_s"]) < 0.03


def test_damaged_sound_costs_no_video(tmp_path):
    path = made(tmp_path / "a.mkv", tone(-20, 6), seconds=6, codec=("-c:a", "libopus"))
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 4000] = bytes(4000)
    path.write_bytes(content)
    found = clips(path)
    assert found
    assert all(-70 <= clip["loudness_lufs"] < 0 for clip in found)


def test_taken_alone_it_is_what_the_pass_has(tmp_path):
    path = made(tmp_path / "a.mkv", tone(-30, 3), tone(-20, 3), seconds=6, codec=("-c:a", "aac"))
    whole = clips(path)
    wanted = {"sound": {"made_by": "hdvg.measures.sound:Sound", "options": {}}}
    spans = [{"start_pts": clip["start_pts"], "end_pts": clip["end_pts"]} for clip in whole]
    alone = remeasure(str(path), spans, wanted, Split().model_dump(), 1, MOST)
    beside = {**wanted, "luma": {"made_by": "hdvg.measures.luma:Luma", "options": {}}}
    with_frames = remeasure(str(path), spans, beside, Split().model_dump(), 1, MOST)
    expected = [{name: clip[name] for name in Sound.columns} for clip in whole]
    assert [one["sound"] for one in alone] == [one["sound"] for one in with_frames] == expected
