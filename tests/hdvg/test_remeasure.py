"""A measure taken alone gives what the pass gives; what is given to measures of sound and of previews."""

from __future__ import annotations

import av
import numpy as np
import pytest

from hdvg.config.own_measures import PREVIEW_PX, SOUND_HZ
from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.media.clip_inputs import listen, preview
from hdvg.media.remeasure import remeasure
from hdvg.media.scan import scan
from hdvg.media.spans import ALL
from schemas.pass_measures import PASS
from tests.footage import find
from tests.videos import draw_scenes

MOST = 36_000_000
WANTED = {name: {"made_by": one.made_by, "options": {}} for name, one in PASS.items()}
COLUMNS = {name: [field.name for field in one.columns] for name, one in PASS.items()}


def of_pass(path, out, **settings):
    found = scan(str(path), str(out), Split(**settings).model_dump(), 1, MOST)["clips"]
    assert found
    return found


def alone(path, clips, measures=WANTED, **settings):
    spans = [{"start_pts": clip["start_pts"], "end_pts": clip["end_pts"]} for clip in clips]
    return remeasure(str(path), spans, measures, Split(**settings).model_dump(), 1, MOST)


@pytest.mark.parametrize("file", ["bigbuckbunny_720p.mp4", "birds_720p.mp4"])
def test_measures_taken_alone_equal_those_of_the_pass_on_real_footage(tmp_path, file):
    clips = of_pass(find(file), tmp_path)
    for clip, values in zip(clips, alone(find(file), clips), strict=True):
        assert {name: {key: clip[key] for key in keys} for name, keys in COLUMNS.items()} == values


def test_only_the_measures_asked_for_are_taken_and_of_any_clips_in_any_order(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(20, 20, 20, 20))
    clips = of_pass(tmp_path / "a.mp4", tmp_path)
    assert len(clips) == 4
    chosen = [clips[2], clips[0], clips[2]]
    found = alone(tmp_path / "a.mp4", chosen, {name: WANTED[name] for name in ("luma", "sharpness")})
    assert [list(values) for values in found] == [["luma", "sharpness"]] * 3
    assert [values["sharpness"]["sharpness"] for values in found] == [clip["sharpness"] for clip in chosen]


def test_a_span_without_a_frame_is_refused(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(20,))
    with pytest.raises(ItemError) as caught:
        alone(tmp_path / "a.mp4", [{"start_pts": ALL - 1, "end_pts": ALL}])
    assert caught.value.reason == "bad_span"


class Length:
    """How many samples there are, and their level."""

    def measure(self, samples):
        return {"n": None if samples is None else len(samples), "rms": float(np.sqrt((samples**2).mean()))}


def tone(path, *, seconds: float, level: float) -> None:
    """A grey video whose sound is silent in its first half, and a tone in its second."""
    rate = 48_000
    time = np.arange(round(seconds * rate)) / rate
    wave = (np.sin(2 * np.pi * 440 * time) * level * (time >= seconds / 2)).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("aac", rate=rate, layout="mono")
        for _ in range(round(seconds * 25)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        frame.rate, frame.pts = rate, 0
        container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def test_a_measure_of_sound_is_given_the_samples_of_its_span(tmp_path):
    tone(tmp_path / "a.mp4", seconds=4, level=0.5)
    with av.open(str(tmp_path / "a.mp4")) as container:
        base = container.streams.video[0].time_base
    second = round(1 / base)
    spans = [{"start_pts": 0, "end_pts": 2 * second}, {"start_pts": 2 * second, "end_pts": 4 * second}]
    wanted = {"length": {"made_by": "tests.hdvg.test_remeasure:Length", "options": {}}}
    silent, loud = (values["length"] for values in listen(str(tmp_path / "a.mp4"), spans, str(base), wanted))
    assert silent["rms"] < 0.02
    assert loud["rms"] == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert loud["n"] == pytest.approx(2 * SOUND_HZ, abs=0.05 * SOUND_HZ)


def test_a_preview_is_two_small_frames_a_second_of_each_span(tmp_path):
    clips = of_pass(find("birds_720p.mp4"), tmp_path)
    spans = [{"start_pts": clip["start_pts"], "end_pts": clip["end_pts"]} for clip in clips]
    for name, clip in zip(preview(str(find("birds_720p.mp4")), str(tmp_path), spans, 1, MOST), clips, strict=True):
        frames = np.load(tmp_path / name, allow_pickle=False)
        assert frames.shape[1:] == (PREVIEW_PX, 256, 3)
        assert len(frames) == pytest.approx(2 * clip["duration_s"], abs=1)
