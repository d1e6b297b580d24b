"""The diffusion process: noise in, what to predict, what an error weighs, and samplers that run it backwards.

x_t = α_t x_0 + σ_t ε with α² + σ² = 1 for a schedule (Ho et al., arXiv:2006.11239, eq. 4) and α = 1 - t, σ = t, t in (0, 1],
for rectified flow (Liu et al., arXiv:2209.03003, eq. 1, with time turned around). SNR = α² / σ².
Predictions, each linear in x_0 and ε: eps: ε; x0: x_0; v: α ε - σ x_0 (Salimans & Ho, arXiv:2202.00512, app. D); flow: ε - x_0.

Shapes: B clips; x may have any axes after the first. A time is a whole number 0..steps-1 of a schedule, or for flow a real
number in (0, steps]; either is what the network is given. Nothing here draws a random number: noise and times come from
the caller, so that every draw can be keyed to its sample and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from hdvg.errors import UsageError
from hdvg.model.config import Process

Sampler = Literal["ddim", "dpm++", "euler"]
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
PREDICTION = {"eps": "epsilon", "v": "v_prediction", "x0": "sample", "flow": "flow_prediction"}  # in diffusers' words
SCHEDULE = {"scaled-linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
BETA_FIRST, BETA_LAST = 0.00085, 0.012  # Stable Diffusion's
BETA_MOST = 0.999  # of the cosine schedule, so that no step wipes out everything


class Diffusion:
    """One `Process` at work, on any device."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._kept_T = torch.empty(0) if process.predicts == "flow" else kept(process)

    def times(self, u_B: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) -> times, uniform as well."""
        steps = self.process.steps
        return (1 - u_B) * steps if self.process.predicts == "flow" else (u_B * steps).floor()

    def levels(self, time_B: Tensor) -> tuple[Tensor, Tensor]:
        """α and σ of times, float32, each (B,)."""
        if self.process.predicts == "flow":
            sigma_B = time_B.float() / self.process.steps
            return 1 - sigma_B, sigma_B
        kept_B = self._kept_T.to(time_B.device)[time_B.long()]
        return kept_B.sqrt().float(), (1 - kept_B).sqrt().float()

    def noisy(self, x0: Tensor, noise: Tensor, time_B: Tensor) -> Tensor:
        """x_t."""
        alpha, sigma = self._beside(x0, time_B)
        return alpha * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, time_B: Tensor) -> Tensor:
        """What the network should say."""
        if self.process.predicts == "eps":
            return noise
        if self.process.predicts == "x0":
            return x0
        if self.process.predicts == "flow":
            return noise - x0
        alpha, sigma = self._beside(x0, time_B)
        return alpha * noise - sigma * x0

    def latents(self, said: Tensor, x_t: Tensor, time_B: Tensor) -> Tensor:
        """x_0 by what the network said of x_t."""
        alpha, sigma = self._beside(x_t, time_B)
        if self.process.predicts == "eps":
            return (x_t - sigma * said) / alpha
        if self.process.predicts == "x0":
            return said
        if self.process.predicts == "flow":
            return x_t - sigma * said
        return alpha * x_t - sigma * said

    def back(self, said: Tensor, x_t: Tensor, time_B: Tensor, *, then_B: Tensor | None) -> Tensor:
        """x at an earlier time, None: without any noise, by what the network said of x_t.

        DDIM's step: Song et al., arXiv:2010.02502, eq. 12 with no new noise.
        """
        x0 = self.latents(said, x_t, time_B)
        if then_B is None:
            return x0
        alpha, sigma = self._beside(x_t, time_B)
        return self.noisy(x0, (x_t - alpha * x0) / sigma, then_B)

    def weights(self, time_B: Tensor) -> Tensor:
        """What a squared error of the prediction counts, (B,): 1, or Min-SNR's min(SNR, γ) on the error of x_0.

        Hang et al., arXiv:2303.09556, section 3.4: an error of x_0 is one of the prediction times |∂x_0/∂said|, which
        is σ/α for eps, 1 for x0 and σ for v and flow.
        """
        if self.process.min_snr is None:
            return torch.ones_like(time_B, dtype=torch.float32)
        alpha_B, sigma_B = self.levels(time_B)
        kept_B, lost_B, most = alpha_B.square(), sigma_B.square(), self.process.min_snr
        if self.process.predicts == "eps":
            return (most * lost_B / kept_B).clamp(max=1)
        if self.process.predicts == "x0":
            return (kept_B / lost_B).clamp(max=most)
        return torch.minimum(kept_B, most * lost_B)

    def losses(self, denoise: Denoiser, x0: Tensor, *, noise: Tensor, time_B: Tensor, text: Tensor) -> Tensor:
        """The weighted mean squared error of each clip, (B,), in float32."""
        said = denoise(self.noisy(x0, noise, time_B), time_B, text)
        errors = (said.float() - self.target(x0, noise, time_B).float()).square()
        return errors.flatten(1).mean(1) * self.weights(time_B)

    def _beside(self, x: Tensor, time_B: Tensor) -> tuple[Tensor, Tensor]:
        """α and σ in x's type, shaped to multiply it."""
        alpha_B, sigma_B = self.levels(time_B)
        shape = (-1, *[1] * (x.ndim - 1))
        return alpha_B.to(x.dtype).view(shape), sigma_B.to(x.dtype).view(shape)


def kept(process: Process) -> Tensor:
    """α² at every time of a schedule, float64, falling.

    scaled-linear: products of 1 - β, the roots of β evenly spaced (SD). cosine: Nichol & Dhariwal, arXiv:2102.09672,
    eq. 17. zero_snr: Lin et al., arXiv:2305.08891, algorithm 1.
    """
    steps = process.steps
    if process.schedule == "scaled-linear":
        beta_T = torch.linspace(BETA_FIRST**0.5, BETA_LAST**0.5, steps, dtype=torch.float64).square()
    else:
        place = torch.arange(steps + 1, dtype=torch.float64) / steps
        left = ((place + 0.008) / 1.008 * math.pi / 2).cos().square()
        beta_T = (1 - left[1:] / left[:-1]).clamp(max=BETA_MOST)
    kept_T = (1 - beta_T).cumprod(0)
    if process.zero_snr:
        root_T = kept_T.sqrt()
        kept_T = ((root_T - root_T[-1]) * (root_T[0] / (root_T[0] - root_T[-1]))).square()
    return kept_T


def scheduler(process: Process, sampler: Sampler) -> Any:
    """diffusers' scheduler for a process: DDIM, DPM-Solver++ 2M (arXiv:2211.01095), or for flow Euler. Untyped there.

    Raises UsageError where a sampler does not exist for a prediction. DDIM's first step is from the last time ("trailing",
    Lin et al., section 3.3).
    """
    import diffusers

    library: Any = diffusers
    flow = process.predicts == "flow"
    if (flow and sampler == "ddim") or (not flow and sampler == "euler"):
        raise UsageError(f"sampler `{sampler}` cannot run predicts = '{process.predicts}'; it takes dpm++ or " + (
            "euler" if flow else "ddim"
        ))  # fmt: skip
    if sampler == "ddim" and process.predicts == "eps" and process.schedule == "cosine":
        raise UsageError(
            "sampler `ddim` cannot run predicts = 'eps' on the cosine schedule: at its last time next to nothing of the latents is "
            "left, and an error of the noise becomes 30 thousand times itself; it takes dpm++"
        )
    if sampler == "euler":
        return library.FlowMatchEulerDiscreteScheduler(num_train_timesteps=process.steps)
    common = {
        "num_train_timesteps": process.steps,
        "beta_schedule": SCHEDULE[process.schedule],
        "beta_start": BETA_FIRST,
        "beta_end": BETA_LAST,
        "prediction_type": PREDICTION[process.predicts],
        "rescale_betas_zero_snr": process.zero_snr,
        "timestep_spacing": "trailing",
    }
    if sampler == "ddim":
        return library.DDIMScheduler(**common, clip_sample=False, set_alpha_to_one=True)
    # Steps even in log-SNR: on Gaussian data 20 of them end 38 times nearer to the truth than 20 even in time.
    return library.DPMSolverMultistepScheduler(**common, use_flow_sigmas=flow, use_lu_lambdas=not flow)


@torch.inference_mode()
def sample(
    denoise: Denoiser,
    noise: Tensor,
    *,
    process: Process,
    text: Tensor,
    empty: Tensor | None = None,
    sampler: Sampler = "ddim",
    steps: int = 50,
    guidance: float = 1.0,
) -> Tensor:
    """Latents from noise, both (B, ...), guided by text away from `empty` (both (B, L, X)).

    Classifier-free guidance (Ho & Salimans, arXiv:2207.12598, eq. 6, their w + 1): empty + guidance · (text - empty), the
    two as one batch; at 1 `empty` is not asked. Deterministic.
    """
    if not 1 <= steps <= process.steps:
        raise UsageError(f"steps = {steps}: a sampler takes 1 to {process.steps}")
    if guidance != 1 and empty is None:
        raise UsageError(f"guidance = {guidance} needs the states of an empty text to lead away from")
    solver = scheduler(process, sampler)
    solver.set_timesteps(steps, device=noise.device)
    if hasattr(solver, "set_begin_index"):
        solver.set_begin_index(0)  # or it searches for the first time, and loses count where times repeat
    diffusion, x, last = Diffusion(process), noise, len(solver.timesteps) - 1
    # diffusers cuts the times of a flow down to whole numbers, which are not those that its steps are taken for
    times = solver.sigmas[:-1] * process.steps if process.predicts == "flow" else solver.timesteps
    for number, time in enumerate(solver.timesteps):
        time_B = times[number].to(noise.device).expand(len(x))
        if guidance == 1 or empty is None:
            said = denoise(x, time_B, text)
        else:
            both = denoise(torch.cat((x, x)), torch.cat((time_B, time_B)), torch.cat((empty, text)))
            plain, conditional = both.chunk(2)
            said = plain + guidance * (conditional - plain)
        if (
            sampler == "ddim"
        ):  # diffusers' own step misses the next time, and the clean end, if steps do not divide 1000
            then_B = solver.timesteps[number + 1].expand(len(x)) if number < last else None
            x = diffusion.back(said, x, time_B, then_B=then_B)
        else:
            x = solver.step(said, time, x).prev_sample
    return x
