"""Onsets of sound and motion: a clapper's planted lags are found, and another film's sound does not agree."""

from pathlib import Path

import numpy as np
import pytest

from hdvg.config.sections import Split
from hdvg.measures.onsets import best_lag
from hdvg.media.remeasure import remeasure
from hdvg.media.scan import scan
from tests.clapper import SOUND, VIDEO, clap

ENDS_S, MOST = 12, 10**8
SETTINGS = Split(detector="content", content_threshold=255.0).model_dump()


def times(seed: int) -> np.ndarray:
    """When claps come: half a second to one and a half after each other, at a frame."""
    every = np.cumsum(np.random.default_rng(seed).uniform(0.5, 1.5, 16)) + 0.2
    return np.round(every[every < ENDS_S - 1] * 25) / 25


def found(path: Path, seen, heard, *options: str) -> dict:
    clap(path, [round(float(at), 4) for at in seen], [round(float(at), 4) for at in heard], *VIDEO, *options, ends_s=ENDS_S)  # fmt: skip
    (path.parent / "out").mkdir(exist_ok=True)
    (clip,) = scan(str(path), str(path.parent / "out"), SETTINGS, 1, MOST)["clips"]
    return clip


@pytest.mark.parametrize("lag_s", [-0.41, -0.12, 0.0, 0.04, 0.25, 0.45])
def test_planted_lag_is_found(tmp_path, lag_s):
    clip = found(tmp_path / "a.mp4", times(1), times(1) + lag_s, *SOUND)
    assert clip["onset_motion"] > 0.9
    assert clip["onset_lag_s"] == pytest.approx(lag_s, abs=0.03)


@pytest.mark.parametrize("codec", ["libopus", "libmp3lame", "pcm_s16le"])
def test_lag_is_that_of_the_display_wherever_the_clock_starts(tmp_path, codec):
    clip = found(tmp_path / "a.mkv", times(2), times(2) + 0.2, "-c:a", codec, "-output_ts_offset", "100")
    assert clip["onset_motion"] > 0.9
    assert clip["onset_lag_s"] == pytest.approx(0.2, abs=0.03)


def test_sound_of_another_film_does_not_agree(tmp_path):
    shares = [found(tmp_path / "a.mp4", times(seed), times(seed + 20), *SOUND)["onset_motion"] for seed in range(4)]
    assert max(shares) < 0.5, shares


@pytest.mark.parametrize(("seen", "heard"), [((), times(3)), (times(3), ()), (times(3)[:2], times(3))])
def test_nothing_is_told_where_one_of_both_has_hardly_an_onset(tmp_path, seen, heard):
    clip = found(tmp_path / "a.mp4", seen, heard, *SOUND)
    assert (clip["onset_motion"], clip["onset_lag_s"]) == (None, None)


def test_taken_alone_it_is_what_the_pass_has(tmp_path):
    clip = found(tmp_path / "a.mp4", times(4), times(4) + 0.1, *SOUND)
    wanted = {"onsets": {"made_by": "hdvg.measures.onsets:Onsets", "options": {}}}
    span = {"start_pts": clip["start_pts"], "end_pts": clip["end_pts"]}
    (alone,) = remeasure(str(tmp_path / "a.mp4"), [span], wanted, SETTINGS, 1, MOST)
    assert alone["onsets"] == {name: clip[name] for name in ("onset_motion", "onset_lag_s")}


def test_correlation_of_a_row_with_itself_moved_is_nearly_one():
    row = np.zeros(500)
    row[[50, 170, 333, 410]] = 1.0
    assert best_lag(np.roll(row, 7), row) == (pytest.approx(1, abs=1e-2), pytest.approx(0.14))
    assert best_lag(np.roll(row, -7), row) == (pytest.approx(1, abs=1e-2), pytest.approx(-0.14))
