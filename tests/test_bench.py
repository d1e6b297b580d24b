"""The benchmarks can be started, and what they compare with is told apart; that they measure is for `make bench`."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from tests.bench.likeness import compare, ssim, thumbs
from tests.bench.machine import spread
from tests.truth import Boundary
from tests.videos import draw_scenes

BENCHES = (
    "bench_shots",
    "bench_split",
    "bench_cut",
    "bench_measures",
    "bench_preview",
    "bench_whatif",
    "bench_caption",
    "bench_captions",
    "bench_train",
    "bench_loader",
    "bench_import",
    "bench_fetch",
    "bench_explore",
    "bench_fields",
    "bench_naming",
)


@pytest.mark.parametrize("name", BENCHES)
def test_bench_parses_its_arguments_and_says_how_to_run(name: str) -> None:
    module = importlib.import_module(f"tests.bench.{name}")
    args = module.parser().parse_args(["--repeats", "2"])
    assert args.repeats == 2
    assert f"python -m tests.bench.{name}" in module.__doc__
    assert "JSON" in module.__doc__


def test_every_detector_is_benched_unless_asked_otherwise() -> None:
    from tests.bench import bench_shots

    assert set(bench_shots.parser().parse_args([]).detectors) == set(bench_shots.DETECTORS)
    assert {"adaptive", "transnetv2", "cascade"} <= set(bench_shots.DETECTORS)
    assert bench_shots.parser().parse_args(["--detectors", "hash,content"]).detectors == ["hash", "content"]


def test_transitions_lie_between_clips_but_not_between_parts_of_a_shot() -> None:
    from tests.bench.bench_shots import transitions

    clips = [
        {"start_frame": 0, "end_frame": 40},
        {"start_frame": 40, "end_frame": 80, "opens_with": "cut"},
        {"start_frame": 92, "end_frame": 120, "opens_with": "gradual"},
        {"start_frame": 120, "end_frame": 150, "opens_with": "part"},
    ]
    assert transitions(clips) == [(40, 40), (80, 92)]


def test_off_by_one_counts_cuts_found_beside_their_frame_only() -> None:
    from tests.bench.bench_shots import off_by_one

    truth = [Boundary("cut", at, at) for at in (10, 30, 50, 70)] + [Boundary("dissolve", 90, 95)]
    assert off_by_one([(10, 10), (11, 11), (31, 31), (49, 49), (72, 72), (89, 89)], truth) == 2


def test_speedup_is_of_what_the_detectors_add_to_the_scan() -> None:
    from tests.bench.bench_shots import speedup

    assert speedup({"adaptive": 10.0, "transnetv2": 40.0, "cascade": 16.0}) == 5.0
    assert speedup({"adaptive": 10.0, "transnetv2": 40.0}) is None


def test_clip_that_is_one_frame_late_long_or_short_is_told(tmp_path: Path) -> None:
    draw_scenes(tmp_path / "source.mp4", scene_frames=(20, 20))
    source = thumbs(tmp_path / "source.mp4")
    assert compare(source[5:25], source, 5, 25).exact
    late = compare(source[6:26], source, 5, 25)
    assert (late.frames_more, late.first_off, late.last_off, late.frames_off) == (0, 1, 1, 20)
    assert compare(source[5:26], source, 5, 25).frames_more == 1
    assert compare(source[5:24], source, 5, 25).frames_more == -1
    assert late.shift == 1
    noisy = source + np.random.default_rng(0).integers(0, 3, source.shape, dtype=np.uint8)
    assert compare(noisy[5:25], source, 5, 25).exact


def test_slow_clip_that_is_shifted_is_told_as_a_whole() -> None:
    noise = np.random.default_rng(1)
    ramp = np.linspace(60, 180, 160)[None, None, :] + np.arange(60)[:, None, None] * 0.4 + np.zeros((1, 90, 1))
    source = ramp.astype(np.uint8)
    clip = np.clip(ramp + noise.normal(0, 0.7, ramp.shape), 0, 255).astype(np.uint8)
    assert compare(clip[10:50], source, 10, 50).exact
    assert compare(clip[11:51], source, 10, 50).shift == 1


def test_ssim_is_one_for_the_same_frames_and_less_for_others(tmp_path: Path) -> None:
    draw_scenes(tmp_path / "source.mp4", scene_frames=(20, 20))
    path = tmp_path / "source.mp4"
    assert ssim([(path, 0, 40)], path) == pytest.approx(1.0)
    shifted = ssim([(path, 1, 41)], path)
    assert shifted is not None
    assert shifted < 0.99


def test_spread_names_median_least_and_largest() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00–3.00)"


def test_what_if_is_benched_as_users_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.bench import bench_whatif

    assert bench_whatif.parser().parse_args([]).rows == 10_000_000
    said = bench_whatif.bench_whatif(3000, part_rows=1500, repeats=1)
    assert (said["rows"], said["part_rows"]) == (3000, 1500)
    assert min(said["whatif_10m_s"], said["whatif_cpu_s"], said["whatif_peak_mb"], said["snapshot_s"]) > 0
    assert "in 4 parts" in capsys.readouterr().out  # two units of 64 videos, fetched and split
