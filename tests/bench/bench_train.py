"""A training step of ours beside diffusers', what Swap-CA costs, and windows beside full 3D attention.

Last line is JSON. Single precision, forward and backward, evaluation mode (diffusers' dropout would count against it). Every round runs all
contestants one after the other and ratios are medians of the rounds' own ratios, so that what else the machine does at
the time hits both sides. On a CPU it counts the process's CPU time on `--threads` threads; on a GPU, wall time.

    python -m tests.bench.bench_train [--size small] [--repeats 9] [--threads 1] [--clips 1]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from hdvg.model import weights
from hdvg.model.config import MODELSCOPE, SIZES, ModelConfig, Swap, arm
from hdvg.model.swapca import SwapCA
from hdvg.model.unet import UNet

GRID = {"tiny": (8, 16, 16), "small": (16, 16, 16), "sd21": (16, 24, 43), "modelscope": (16, 24, 43)}
TEXT_TOKENS = 16  # 77 would favour us: diffusers makes K and V of the text anew for every frame


def diffusers_unet(config: ModelConfig) -> nn.Module:
    """Their network of the same size, ModelScope's temporal parts included."""
    told = weights.diffusers_config(arm(config, "temporal"))
    return getattr(diffusers, told["_class_name"])(
        **{key: value for key, value in told.items() if key not in ("_class_name", "hdvg")}
    )


def stepper(model: nn.Module, given: tuple[Tensor, ...]) -> Callable[[], None]:
    """One forward and backward pass."""
    model = model.eval().to(given[0].device)

    def step() -> None:
        model.zero_grad()
        said: Any = model(*given)
        (said if isinstance(said, Tensor) else said.sample).square().mean().backward()

    return step


def seconds(work: Callable[[], None], device: str) -> float:
    """CPU time of the process, or a GPU's wall time."""
    if device == "cpu":
        began = time.process_time()
        work()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def race(contestants: dict[str, Callable[[], None]], *, rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of every contestant in every round; the first round, which warms up, is not told."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            spent = seconds(work, device)
            if number:
                times[name].append(spent)
    return times


def ratio(times: dict[str, list[float]], above: str, below: str) -> float:
    """Median over rounds of one contestant's time to another's."""
    return round(statistics.median(a / b for a, b in zip(times[above], times[below], strict=True)), 3)


def steps(size: str, *, rounds: int, device: str, clips: int) -> dict[str, Any]:
    """Whole steps of a size: theirs, ours with the same temporal parts, and with and without Swap-CA."""
    config = SIZES[size]
    same = config.model_copy(update={"temporal": MODELSCOPE, "dropout": 0.0})
    given = (
        torch.randn(clips, config.channels, *GRID[size], device=device),
        torch.full((clips,), 500.0, device=device),
        torch.randn(clips, TEXT_TOKENS, config.text_width, device=device),
    )
    contestants = {
        "diffusers": stepper(diffusers_unet(same), given),
        "ours": stepper(UNet(arm(same, "temporal")), given),
        "temporal": stepper(UNet(arm(config, "temporal")), given),
        "swap": stepper(UNet(arm(config, "swap")), given),
        "swap_full": stepper(UNet(arm(config, "swap-full")), given),
    }
    times = race(contestants, rounds=rounds, device=device)
    return {
        "ms": {name: round(statistics.median(spent) * 1e3, 1) for name, spent in times.items()},
        "vs_diffusers": ratio(times, "diffusers", "ours"),
        "swap_over_temporal": ratio(times, "swap", "temporal"),
        "full_over_window_step": ratio(times, "swap_full", "swap"),
    }


def exchange(width: int, windows: str, grid: tuple[int, int, int], device: str, *, tokens: int) -> Callable[[], None]:
    """One Swap-CA, forward and backward."""
    swap = Swap.model_validate({"windows": windows, "window_tokens": tokens})
    module = SwapCA(width, swap=swap, number=0, level=0, head_width=min(64, width)).to(device)
    s, t = (torch.randn(1, *grid, width, device=device, requires_grad=True) for _ in range(2))
    return lambda: module(s, t).square().mean().backward()


def score_mb(windows: str, grid: tuple[int, int, int], width: int, *, tokens: int) -> float:
    """What the score matrix of all heads would fill, in single precision; fused attention never holds it whole."""
    swap = Swap.model_validate({"windows": windows, "window_tokens": tokens})
    plan = SwapCA(width, swap=swap, number=0, level=0, head_width=min(64, width)).plan(grid)
    count = plan.counts[0] * plan.counts[1] * plan.counts[2]
    return count * plan.tokens**2 * (width // min(64, width)) * 4 / 1e6


def levels(size: str, *, rounds: int, device: str) -> list[dict[str, Any]]:
    """Windows and full attention, level by level: the time of one exchange, and the size of its scores."""
    config, told = SIZES[size], []
    grid, tokens = GRID[size], config.swap.window_tokens if config.swap else 512
    for width in config.widths:
        pair = {kind: exchange(width, kind, grid, device, tokens=tokens) for kind in ("auto", "full")}
        times = race(pair, rounds=rounds, device=device)
        mb = {kind: score_mb(kind, grid, width, tokens=tokens) for kind in ("auto", "full")}
        told.append(
            {
                "grid": grid,
                "width": width,
                "ms": {kind: round(statistics.median(spent) * 1e3, 2) for kind, spent in times.items()},
                "time": ratio(times, "auto", "full"),
                "score_mb": {kind: round(size, 2) for kind, size in mb.items()},
            }
        )
        grid = (grid[0], -(-grid[1] // 2), -(-grid[2] // 2))
        gc.collect()
    return told


def parser() -> argparse.ArgumentParser:
    """What may be asked of it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--size", choices=list(GRID), default="small")
    made.add_argument("--repeats", type=int, default=9)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--clips", type=int, default=1)
    return made


def main() -> None:
    """Tables, then one line of JSON."""
    asked = parser().parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(asked.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    whole = steps(asked.size, rounds=asked.repeats, device=device, clips=asked.clips)
    table = levels(asked.size, rounds=asked.repeats, device=device)
    print(f"{asked.size} on {device}, {asked.clips} clip(s) of {GRID[asked.size]}: ms a step {whole['ms']}")
    for row in table:
        print(f"  one exchange at {row['grid']} × {row['width']}: ms {row['ms']}, MB of scores {row['score_mb']}")
    first = table[0]
    print(
        json.dumps(
            {
                "vs_diffusers": whole["vs_diffusers"],
                "swap_over_temporal": whole["swap_over_temporal"],
                "window_over_full_time": first["time"],
                "window_over_full_mb": round(first["score_mb"]["auto"] / first["score_mb"]["full"], 4),
                "full_over_window_step": whole["full_over_window_step"],
            }
        )
    )


if __name__ == "__main__":
    main()
