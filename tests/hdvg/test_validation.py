"""The paired validation loss: intervals that hold the truth as often as they say, and the same numbers however it is split."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch")

import torch
from torch import Tensor

from hdvg.model.config import ModelConfig, Process
from hdvg.model.diffusion import Diffusion
from hdvg.model.unet import UNet
from hdvg.training.samples import Samples
from hdvg.training.validation import FEW, Losses, average, paired, student, validate

CLIPS, LEVELS = 3, (0.125, 0.375, 0.625, 0.875)


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def losses(values: Any) -> Losses:
    """Of clips with a window each."""
    values_UL = np.array(values, np.float64)
    units = [(f"clip{number:03}", 0) for number in range(len(values_UL))]
    return Losses(tuple(units), tuple(range(values_UL.shape[1])), values_UL)


def held(batch: int, *, clips: int = CLIPS, windows: int = 2) -> list[Samples]:
    """Clips, their windows and the levels, in pieces of at most `batch`; always the same."""
    draw = torch.Generator().manual_seed(1)
    told = [(f"clip{clip}", window, level) for clip in range(clips) for window in range(windows) for level in LEVELS]
    x, noise = torch.randn(2, len(told), 3, 2, 4, 4, generator=draw)
    text = torch.randn(len(told), 5, 8, generator=draw)
    pieces = []
    for start in range(0, len(told), batch):
        part = slice(start, start + batch)
        names, places, levels = zip(*told[part], strict=True)
        pieces.append(Samples(names, places, (0,) * len(names), x[part], noise[part], torch.tensor(levels), text[part]))
    return pieces


def silent(x: Tensor, time_B: Tensor, text_BLX: Tensor) -> Tensor:
    return torch.zeros_like(x)


@pytest.mark.parametrize(
    "process", [Process(), Process(predicts="v", zero_snr=True), Process(predicts="flow", min_snr=5)]
)
def test_loss_of_a_network_that_says_nothing_is_the_mean_square_of_the_target(process: Process) -> None:
    diffusion = Diffusion(process)
    (everything,) = held(1000)
    time_B = diffusion.times(everything.time_B)
    target = diffusion.target(everything.latents_BCTHW, everything.noise_BCTHW, time_B).double()
    weighed_B = target.square().flatten(1).mean(1) * diffusion.weights(time_B)
    wanted_UL = weighed_B.reshape(CLIPS * 2, len(LEVELS))
    found = validate(silent, diffusion, held(4))
    assert found.units == tuple((f"clip{clip}", window) for clip in range(CLIPS) for window in range(2))
    assert found.levels == LEVELS
    np.testing.assert_allclose(found.values_UL, wanted_UL, rtol=1e-12)
    assert list(found.by_level()) == list(LEVELS)
    np.testing.assert_allclose(list(found.by_level().values()), wanted_UL.mean(0), rtol=1e-12)
    assert average(found).mean == pytest.approx(float(weighed_B.mean()), rel=1e-12)


def test_losses_are_the_same_for_any_split_and_order() -> None:
    model = UNet(
        ModelConfig.model_validate(
            {"channels": 3, "widths": (16,), "attention": (True,), "layers": 1, "head_width": 8, "text_width": 8}
            | {"groups": 4}
        )
    ).eval()
    diffusion = Diffusion(Process(predicts="v", zero_snr=True))
    whole = validate(model, diffusion, held(1000))
    assert whole.values_UL.std() > 0.01
    for batch in (1, 2, 5, 24):
        pieces = held(batch)
        split = validate(model, diffusion, pieces[::-1])
        assert (split.units, split.levels) == (whole.units, whole.levels)
        np.testing.assert_allclose(split.values_UL, whole.values_UL, rtol=1e-5)
        plain = validate(silent, diffusion, pieces[::-1])
        np.testing.assert_array_equal(plain.values_UL, validate(silent, diffusion, held(1000)).values_UL)


def test_weights_of_a_step_before_are_told_apart_by_the_pairing_only() -> None:
    """Clips differ by far more than the two networks do: paired, a change of 0.01 shows; each mean is unsure by 0.5."""
    draw = np.random.default_rng(0)
    before = draw.normal(1, 1, (40, 1)) + draw.normal(0, 0.1, (40, 8))
    now = before - 0.01 + draw.normal(0, 0.02, (40, 8))
    change = paired(losses(before), losses(now))
    assert change.excludes_zero
    assert change.low < -0.01 < change.high < 0
    assert change.mean == pytest.approx((now - before).mean())
    mean = average(losses(now))
    assert mean.high - mean.low > 0.4


@pytest.mark.parametrize(
    ("clips", "at_least", "skewed"),
    [(2, 0.90, False), (3, 0.91, False), (5, 0.91, False), (30, 0.92, False), (30, 0.88, True)],
)
def test_interval_holds_the_truth_as_often_as_it_says(clips: int, at_least: float, skewed: bool) -> None:
    """600 sets of clips, each with its own change; with a true share of 0.95 fewer than 0.92 have odds of 1 in 1000.

    Few clips, or skewed ones, are allowed to hold it somewhat less often, as the docstring of the interval says.
    Levels of a clip share its change: an interval that took them for independent would hold it in about half the cases.
    """
    draw = np.random.default_rng(7)
    hits = naive = 0
    for turn in range(600):
        own = draw.exponential(size=(clips, 1)) - 1 if skewed else draw.normal(size=(clips, 1))
        before = draw.normal(size=(clips, 8))
        change = paired(
            losses(before), losses(before + 0.3 + own + 0.1 * draw.normal(size=(clips, 8))), seed=turn, rounds=400
        )
        hits += change.low <= 0.3 <= change.high
        spread = 1.96 * own.std() / math.sqrt(clips * 8)
        naive += abs(change.mean - 0.3) <= spread
    assert hits / 600 >= at_least
    assert hits / 600 <= 0.99
    assert naive / 600 < 0.7


def test_one_clip_has_no_interval_and_says_so() -> None:
    change = paired(losses([[1.0, 2.0]]), losses([[0.5, 1.0]]))
    assert (change.mean, change.low, change.high, change.clips) == (-0.75, None, None, 1)
    assert not change.excludes_zero


@pytest.mark.parametrize(("clips", "over_clips"), [(FEW - 1, False), (FEW, True)])
def test_windows_are_what_few_clips_are_told_by(clips: int, over_clips: bool) -> None:
    """Windows of a clip change alike, clips do not: over clips the interval is the wider one, by the root of the windows."""
    windows = 9
    own = np.random.default_rng(2).normal(size=(clips, 1)).repeat(windows, 0)
    units = tuple((f"clip{clip}", window) for clip in range(clips) for window in range(windows))
    before, now = Losses(units, (0.5,), 0 * own), Losses(units, (0.5,), own)
    change, by_clip = paired(before, now), paired(losses(own[::windows] * 0), losses(own[::windows]))
    assert (change.clips, change.windows) == (clips, clips * windows)
    assert change.mean == pytest.approx(by_clip.mean)
    width = (by_clip.high - by_clip.low) / (change.high - change.low)
    assert width == pytest.approx(1, rel=0.1) if over_clips else width > 2


def test_equal_changes_have_an_interval_without_width() -> None:
    before = np.arange(12.0).reshape(4, 3)
    change = paired(losses(before), losses(before - 0.5))
    assert (change.low, change.mean, change.high) == (-0.5, -0.5, -0.5)
    assert change.excludes_zero
    assert not paired(losses(before), losses(before)).excludes_zero


def test_interval_is_told_by_its_seed_and_reads_back_whole() -> None:
    draw = np.random.default_rng(3)
    before, now = losses(draw.normal(size=(9, 4))), losses(draw.normal(size=(9, 4)))
    assert paired(before, now, seed=5) == paired(before, now, seed=5) != paired(before, now, seed=6)
    again = Losses.from_json(now.to_json())
    assert paired(before, again, seed=5) == paired(before, now, seed=5)


def test_losses_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to pair"):
        paired(losses([[1.0], [2.0]]), losses([[1.0]]))
    with pytest.raises(ValueError, match="3 losses"):
        Losses.of([("a", 0, 0.1, 1.0), ("a", 0, 0.2, 1.0), ("b", 0, 0.1, 1.0)])
    with pytest.raises(ValueError, match="0 losses"):
        Losses.of([])


def test_students_quantiles_are_those_of_the_tables() -> None:
    for freedom, wanted in ((1, 12.706), (4, 2.776), (10, 2.228), (11, 2.201), (12, 2.179), (30, 2.042), (120, 1.980)):
        assert student(freedom) == pytest.approx(wanted, abs=0.0025)
