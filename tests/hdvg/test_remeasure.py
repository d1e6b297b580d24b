"""A measure taken alone gives what the pass gives; what is given to measures of sound and of previews."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from hdvg.config.own_measures import PREVIEW_PX, SOUND_HZ
from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.media.clip_inputs import listen, preview
from hdvg.media.measure_calls import ALL
from hdvg.media.pack_preview import keep_preview
from hdvg.media.remeasure import remeasure
from hdvg.media.scan import scan
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


def kept(path, out, spans):
    """By span, its seconds and its pictures."""
    said = keep_preview(str(path), str(out / "previews"), spans, 1, MOST)
    with (out / "previews").open("rb") as file:
        found = [[cv2.imdecode(np.frombuffer(file.read(size), np.uint8), 1) for size in one["sizes"]] for one in said]
        assert file.read() == b""
    return [(one["at_s"], pictures) for one, pictures in zip(said, found, strict=True)]


def test_previews_for_packs_begin_with_their_span_and_end_with_it_or_their_budget(tmp_path):
    path = find("bigbuckbunny_720p.mp4")
    with av.open(str(path)) as container:
        second = round(1 / container.streams.video[0].time_base)
    every = {"step_s": 0.5, "most": 32}
    spans = [
        {"start_pts": 0, "end_pts": 2 * second, **every},
        {"start_pts": second, "end_pts": 3 * second, "step_s": 0.5, "most": 3},
        {"start_pts": 1000 * second, "end_pts": 1001 * second, **every},
        {"start_pts": -ALL, "end_pts": ALL, "step_s": 1.0, "most": 4},
    ]
    first, few, none, whole = kept(path, tmp_path, spans)
    assert first[0] == pytest.approx([0, 0.5, 1, 1.5], abs=0.05)
    assert few[0] == pytest.approx([0, 0.5, 1], abs=0.05)
    assert none == ([], [])
    assert whole[0] == pytest.approx([0, 1, 2, 3], abs=0.05)
    assert {picture.shape for _, pictures in (first, few, whole) for picture in pictures} == {(160, 284, 3)}
    assert (first[1][0] == whole[1][0]).all(), "the same frame is the same picture"
    assert np.abs(first[1][2].astype(int) - few[1][0]).mean() < 1, "a second later the second span begins"
    assert np.abs(first[1][0].astype(int) - few[1][2]).mean() > 5


@pytest.mark.parametrize(
    ("drawing", "shape"),
    [
        ({"rotation": 90}, (192, 108, 3)),
        ({"size": (640, 320), "sar": Fraction(2)}, (120, 480, 3)),
        ({"size": (320, 480)}, (240, 160, 3)),
    ],
)
def test_a_preview_is_upright_with_square_pixels_within_its_bounds_and_never_enlarged(tmp_path, drawing, shape):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(5,), **drawing)
    ((_, pictures),) = kept(tmp_path / "a.mp4", tmp_path, [{"start_pts": 0, "end_pts": ALL, "step_s": 0.5, "most": 9}])
    assert [picture.shape for picture in pictures] == [shape]


def test_where_no_frame_is_due_in_time_the_next_one_is_taken_once(tmp_path):
    times = [0, 1, 2, 40, 41, 42, 43, 50, 51]  # of 25 a second: a gap of 1.5 s
    draw_scenes(tmp_path / "a.mkv", scene_frames=(len(times),), times=times)
    ((at_s, _),) = kept(tmp_path / "a.mkv", tmp_path, [{"start_pts": 0, "end_pts": ALL, "step_s": 0.5, "most": 9}])
    assert at_s == pytest.approx([0, 1.6, 2.0], abs=0.02)
