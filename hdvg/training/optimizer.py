"""What a gradient does to the weights: AdamW with a warm-up, and running means of the weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hdvg.training.settings import Optimizer

Moments = tuple[Tensor, Tensor]


class Optimise:
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101) with groups, a linear warm-up, and means of the weights.

    Swap-CA's own weights may have a rate of their own. What has one axis (biases, gains) does not decay [ours, as usual].
    Weights, moments and means are in the parameters' own type; parameters without a gradient must have a zero one.
    """

    def __init__(self, model: nn.Module, settings: Optimizer) -> None:
        self.settings = settings
        self._parameters = dict(model.named_parameters())
        self._adam = torch.optim.AdamW(
            list(self._groups()), betas=(settings.betas[0], settings.betas[1]), eps=1e-8, fused=True
        )
        device = next(model.parameters()).device
        for parameter in self._parameters.values():
            self._adam.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        halves = settings.ema_half_lives
        self.means = {half: [parameter.detach().clone() for parameter in self._parameters.values()] for half in halves}

    def _groups(self) -> Iterator[dict[str, object]]:
        """Weights by rate and decay; groups without any are left out."""
        lr, lr_swap = self.settings.lr, self.settings.lr_swap or self.settings.lr
        for rate, swap in ((lr, False), (lr_swap, True)):
            for decay, flat in ((self.settings.weight_decay, False), (0.0, True)):
                chosen = [
                    parameter
                    for name, parameter in self._parameters.items()
                    if (".swap." in name) == swap and (parameter.ndim < 2) == flat
                ]
                if chosen:
                    yield {"params": chosen, "lr": rate, "most": rate, "weight_decay": decay}

    @torch.no_grad()
    def apply(self, step: int, *, norm: Tensor) -> None:
        """One step, from 0, by the gradients that the parameters hold, whose norm that is; nothing if it is not finite.

        Nothing here waits for a GPU: the kernel itself shrinks the gradient, or passes over the step.
        """
        pace = min(1.0, (step + 1) / max(self.settings.warmup_steps, 1))
        for group in self._adam.param_groups:
            group["lr"] = group["most"] * pace
        clip = self.settings.clip_norm
        # what gradients are divided by, and whether they are not numbers, as torch's fused kernels take them
        self._adam.grad_scale = torch.ones_like(norm) if clip is None else (norm / clip).clamp(min=1)  # type: ignore[attr-defined]
        self._adam.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
        self._adam.step()
        for half, mean in self.means.items():
            torch._foreach_lerp_(_here(mean), _here(self._parameters.values()), share(half, step + 1))

    def state(self) -> dict[str, Tensor]:
        """All of it by name, as it is, shards included: moments under `adam.`, means under `ema.<half-life>.`."""
        found = {}
        for name, parameter in self._parameters.items():
            moments = self._adam.state[parameter]
            found[f"adam.first.{name}"], found[f"adam.second.{name}"] = moments["exp_avg"], moments["exp_avg_sq"]
        for half, mean in self.means.items():
            found |= {f"ema.{half:g}.{name}": one for name, one in zip(self._parameters, mean, strict=True)}
        return found

    def went(self, steps: int) -> None:
        """So many steps are done."""
        for parameter in self._parameters.values():
            self._adam.state[parameter]["step"].fill_(float(steps))


def share(half_life: float, steps: int) -> float:
    """What the newest weights count in the mean after so many steps, at least 1: then it is all of them.

    The mean is over the weights after each step so far, one counting half of another that is a half-life newer, and
    their parts sum to 1: (1 - d) / (1 - d^steps) with d = 2^(-1 / half-life). The random start is in it nowhere.
    """
    kept = 0.5 ** (1 / half_life)
    return float((1 - kept) / (1 - kept**steps))


def _here(tensors: object) -> list[Tensor]:
    """What of each tensor lies in this process."""
    from torch.distributed.tensor import DTensor

    return [one.to_local() if isinstance(one, DTensor) else one for one in tensors]  # type: ignore[attr-defined]
