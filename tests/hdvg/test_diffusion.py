"""The diffusion process: schedules are diffusers', samplers reach the truth where there is one on paper."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "diffusers")

import diffusers
import torch
from torch import Tensor

from hdvg.errors import UsageError
from hdvg.model.config import Process
from hdvg.model.diffusion import BETA_FIRST, BETA_LAST, SCHEDULE, Diffusion, kept, sample, scheduler

PREDICTIONS = ("eps", "v", "x0", "flow")
MEAN, SPREAD = 1.5, 0.4  # of the Gaussian data
SILENT = torch.zeros(1, 1, 1)


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("schedule", ["scaled-linear", "cosine"])
def test_schedule_is_that_of_diffusers(schedule: Any, zero_snr: bool) -> None:
    theirs = diffusers.DDIMScheduler(
        beta_schedule=SCHEDULE[schedule], beta_start=BETA_FIRST, beta_end=BETA_LAST, rescale_betas_zero_snr=zero_snr
    )
    ours = kept(Process(predicts="v", schedule=schedule, zero_snr=zero_snr))
    torch.testing.assert_close(ours.float(), theirs.alphas_cumprod, atol=2e-6, rtol=0)
    assert (ours[-1] == 0) == zero_snr
    assert (ours.diff() < 0).all()


def test_predicting_noise_from_noise_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="take predicts = 'v', 'x0' or 'flow'"):
        Process(predicts="eps", zero_snr=True)
    for predicts in PREDICTIONS[1:]:
        Process(predicts=predicts, zero_snr=True)


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("predicts", PREDICTIONS)
def test_latents_come_back_from_the_right_answer(predicts: Any, zero_snr: bool) -> None:
    if predicts == "eps" and zero_snr:
        pytest.skip("refused")
    process = Diffusion(Process(predicts=predicts, zero_snr=zero_snr))
    x0, noise = torch.randn(2, 6, 4, 3, 3)
    time = process.times(torch.tensor([0, 0.001, 0.3, 0.6, 0.9, 0.9999]))
    x_t = process.noisy(x0, noise, time)
    back = process.latents(process.target(x0, noise, time), x_t, time)
    torch.testing.assert_close(back, x0, atol=2e-4, rtol=0)


@pytest.mark.parametrize(("predicts", "theirs"), [("eps", "epsilon"), ("v", "v_prediction"), ("x0", "sample")])
def test_noise_and_targets_are_those_of_diffusers(predicts: Any, theirs: str) -> None:
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=BETA_FIRST, beta_end=BETA_LAST, prediction_type=theirs
    )
    process = Diffusion(Process(predicts=predicts))
    x0, noise = torch.randn(2, 3, 4, 2, 2)
    time = torch.tensor([0, 500, 999])
    torch.testing.assert_close(process.noisy(x0, noise, time), scheduler.add_noise(x0, noise, time))
    wanted = {"eps": noise, "x0": x0, "v": scheduler.get_velocity(x0, noise, time)}
    torch.testing.assert_close(process.target(x0, noise, time), wanted[predicts])


def test_rectified_flow_is_a_straight_line_from_data_to_noise() -> None:
    process = Diffusion(Process(predicts="flow"))
    x0, noise = torch.tensor([[2.0]]), torch.tensor([[-1.0]])
    at = [process.noisy(x0, noise, torch.tensor([time])).item() for time in (0.0, 250.0, 500.0, 1000.0)]
    assert at == pytest.approx([2.0, 1.25, 0.5, -1.0])
    assert process.target(x0, noise, torch.tensor([250.0])).item() == -3
    assert process.times(torch.tensor([0.0, 0.75])).tolist() == [1000.0, 250.0]


@pytest.mark.parametrize("predicts", PREDICTIONS)
def test_min_snr_weighs_an_error_of_the_latents_the_same_whatever_is_predicted(predicts: Any) -> None:
    """weight(t) · |error of the prediction|² = min(SNR, γ) · |error of the latents it makes|²."""
    process = Diffusion(Process(predicts=predicts, min_snr=5.0))
    x0, noise, wrong = torch.randn(3, 7, 4)
    time = process.times(torch.linspace(0.02, 0.95, 7))
    alpha, sigma = process.levels(time)
    x_t = process.noisy(x0, noise, time)
    said = process.target(x0, noise, time) + wrong
    latents = process.latents(said, x_t, time)
    wanted = (alpha / sigma).square().clamp(max=5.0) * (latents - x0).square().mean(1)
    losses = process.losses(lambda *_: said, x0, noise=noise, time_B=time, text=SILENT)
    torch.testing.assert_close(losses, wanted, rtol=1e-3, atol=1e-5)


def test_weights_are_one_unless_asked_for() -> None:
    assert Diffusion(Process()).weights(torch.tensor([0, 999])).tolist() == [1, 1]


def knowing(process: Process) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The best denoiser there is for x_0 ~ N(MEAN, SPREAD²), in closed form."""
    levels = Diffusion(process).levels

    def say(x_t: Tensor, time_B: Tensor, text: Tensor) -> Tensor:
        alpha, sigma = (level.view(-1, 1) for level in levels(time_B))
        x0 = MEAN + alpha * SPREAD**2 / ((alpha * SPREAD) ** 2 + sigma**2) * (x_t - alpha * MEAN)
        noise = (x_t - alpha * x0) / sigma
        return {"eps": noise, "v": alpha * noise - sigma * x0, "x0": x0, "flow": noise - x0}[process.predicts]

    return say


def truth(process: Process, noise: Tensor) -> Tensor:
    """Where the probability flow takes noise: the marginals are Gaussian, so a point keeps its place in units of spread."""
    first = torch.tensor([process.steps if process.predicts == "flow" else process.steps - 1])
    alpha, sigma = Diffusion(process).levels(first)
    return MEAN + SPREAD * (noise - alpha * MEAN) / torch.sqrt((alpha * SPREAD) ** 2 + sigma**2)


def error(process: Process, sampler: Any, steps: int) -> float:
    noise = torch.randn(64, 1, generator=torch.Generator().manual_seed(1))
    made = sample(knowing(process), noise, process=process, text=SILENT, sampler=sampler, steps=steps)
    return float((made - truth(process, noise)).abs().mean())


CASES = [
    (Process(), "ddim"),
    (Process(predicts="v", zero_snr=True), "ddim"),
    (Process(predicts="x0", schedule="cosine"), "ddim"),
    (Process(), "dpm++"),
    (Process(predicts="v", zero_snr=True), "dpm++"),
    (Process(predicts="x0", schedule="cosine"), "dpm++"),
    (Process(predicts="flow"), "euler"),
    (Process(predicts="flow"), "dpm++"),
]


@pytest.mark.parametrize(("process", "sampler"), CASES)
def test_sampler_reaches_the_truth_for_gaussian_data(process: Process, sampler: str) -> None:
    few, many = (error(process, sampler, steps) for steps in (5, 100))
    assert many < 0.03
    assert many < few / 5


def test_first_order_sampler_halves_its_error_with_twice_the_steps() -> None:
    errors = [error(Process(predicts="flow"), "euler", steps) for steps in (10, 20, 40, 80)]
    ratios = [before / after for before, after in itertools.pairwise(errors)]
    assert ratios == pytest.approx([2, 2, 2], abs=0.3)


def test_second_order_sampler_needs_fewer_steps() -> None:
    for process, first in ((Process(predicts="v"), "ddim"), (Process(predicts="flow"), "euler")):
        assert error(process, "dpm++", 20) < error(process, first, 80)


def test_samples_of_gaussian_data_have_its_mean_and_spread() -> None:
    process = Process(predicts="v", zero_snr=True)
    made = sample(knowing(process), torch.randn(20000, 1), process=process, text=SILENT, sampler="dpm++", steps=50)
    assert made.mean() == pytest.approx(MEAN, abs=0.02)
    assert made.std() == pytest.approx(SPREAD, abs=0.02)


def test_guidance_leads_away_from_the_empty_text() -> None:
    """A denoiser that says its text: guidance g makes empty + g · (text - empty) of it."""
    heard = []

    def say(x: Tensor, time_B: Tensor, text: Tensor) -> Tensor:
        heard.append(len(x))
        return text[:, 0].expand_as(x)

    process = Process(predicts="x0")
    told, empty = torch.full((2, 1, 1), 3.0), torch.full((2, 1, 1), 1.0)
    made = sample(say, torch.randn(2, 1), process=process, text=told, empty=empty, steps=4, guidance=2.5)
    torch.testing.assert_close(made, torch.full((2, 1), 1 + 2.5 * 2), atol=1e-4, rtol=0)
    assert heard == [4] * 4
    sample(say, torch.randn(2, 1), process=process, text=told, empty=empty, steps=1)
    assert heard[4:] == [2]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sampler": "euler"}, "takes dpm\\+\\+ or ddim"),
        ({"steps": 1001}, "1 to 1000"),
        ({"guidance": 2.0}, "empty text"),
    ],
)
def test_sampling_that_cannot_be_done_is_refused(asked: dict[str, Any], said: str) -> None:
    process = Process()
    with pytest.raises(UsageError, match=said):
        sample(knowing(process), torch.randn(2, 1), process=process, text=SILENT, **asked)


def test_ddim_is_refused_where_it_begins_with_nothing_of_the_latents() -> None:
    with pytest.raises(UsageError, match=r"cosine.*dpm\+\+"):
        scheduler(Process(predicts="eps", schedule="cosine"), "ddim")


def test_a_flow_is_asked_at_the_times_that_its_steps_are_taken_for() -> None:
    process, asked = Process(predicts="flow"), []

    def say(x: Tensor, time_B: Tensor, text: Tensor) -> Tensor:
        asked.append(float(time_B[0]))
        return x

    sample(say, torch.randn(2, 1), process=process, text=SILENT, sampler="dpm++", steps=40)
    assert len({round(time, 3) for time in asked}) == 40
    assert any(time != round(time) for time in asked)
    assert error(process, "dpm++", 1000) < 0.002
