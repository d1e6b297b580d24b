"""The time below which no training step can be on a machine, and how fast the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hdvg.model.blocks import Dense

PUBLISHED: tuple[tuple[str, float, float], ...] = (
    ("H200", 790e12, 4.3e12),  # as derived in our specification; NVIDIA's sheet says 989e12 and 4.8e12
    ("H100 NVL", 835e12, 3.9e12),
    ("H100 PCIe", 756e12, 2.0e12),
    ("H100", 989e12, 3.35e12),
    ("A100-SXM4-80GB", 312e12, 2.039e12),
    ("A100 80GB PCIe", 312e12, 1.935e12),
    ("A100", 312e12, 1.555e12),
)
"""Part of a GPU's name, its dense bf16 FLOP/s and its memory's bytes/s; the first that fits counts."""
MEASURED_S = 0.2
"""How long each of three ops is timed."""


@dataclass(frozen=True)
class Machine:
    """How fast one process's device is at best."""

    name: str
    flop_s: float
    byte_s: float
    measured: bool


@dataclass(frozen=True)
class Floor:
    """The seconds of a step's parts, none of which can be hidden under another."""

    math_s: float
    state_s: float
    weights_s: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.math_s + self.state_s + self.weights_s

    def reached(self, step_s: float) -> float:
        """The share of the floor that a step of so many seconds reaches, 0 to 1."""
        return self.seconds / step_s


def floor(
    flop: int, parameters: int, machine: Machine, *, number_bytes: int, emas: int, checkpointing: bool = False
) -> Floor:
    """The floor of a step with so many forward FLOPs in one process.

    Math: forward and twice that back; with checkpointing the forward pass once more. State: one fused pass of AdamW and
    EMA over float32 weights: reads the gradient (4 bytes), reads and writes weights and both moments (24) and each EMA
    (8), and writes a half-precision copy (2). Weights: read once in each of those three or four passes.
    """
    passes = 4 if checkpointing else 3
    state_bytes = 4 + 24 + 8 * emas + (number_bytes if number_bytes < 4 else 0)
    return Floor(
        passes * flop / machine.flop_s,
        state_bytes * parameters / machine.byte_s,
        passes * number_bytes * parameters / machine.byte_s,
    )


def machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """What is published of a GPU at bf16; of any other, measured in less than a second."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {torch.get_num_threads()} threads"
    )
    if device.type == "cuda" and dtype == torch.bfloat16:
        for part, flop_s, byte_s in PUBLISHED:
            if part in name:
                return Machine(name, flop_s, byte_s, measured=False)
    return Machine(name, *measured(device, dtype), measured=True)


@torch.inference_mode()
def measured(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """FLOP/s of a matrix product, the better of torch's and `Dense`'s, and bytes/s of a copy: the best of several runs."""
    gpu = device.type == "cuda"
    side, numbers = (8192, 2**28) if gpu else (768, 2**23)
    a_MM = torch.randn(side, side, device=device, dtype=dtype)
    dense = Dense(side, side, bias=False, device=device, dtype=dtype)
    source, target = (torch.zeros(numbers, device=device) for _ in range(2))

    def copy() -> Tensor:
        return target.copy_(source)

    best_s = min(_best_s(lambda: a_MM @ a_MM, device), _best_s(lambda: dense(a_MM), device))
    return 2 * side**3 / best_s, 2 * numbers * 4 / _best_s(copy, device)


def _best_s(work: Callable[[], Tensor], device: torch.device) -> float:
    """The shortest of the runs that fit into `MEASURED_S`, after one to warm up."""
    best_s, end = float("inf"), time.perf_counter() + MEASURED_S
    work()
    while best_s == float("inf") or time.perf_counter() < end:
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        best_s = min(best_s, time.perf_counter() - began)
    return best_s


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
