"""What a pass through the U-Net must cost: FLOPs and bytes of every op, computed from the settings alone.

FLOP = 2·MAC of convolutions, linear layers and attention, forward. Bytes are those an op cannot do without: what it reads,
its weights and what it writes, once each; all that stands between such ops could be fused into them, so it counts nothing.

Shapes: B clips, T frames, H height, W width, C channels of a level, L text tokens; M sequences of N tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import nn

from hdvg.model.blocks import SelfAttention, SpaceConv, TextAttention, TimeConv
from hdvg.model.config import ModelConfig
from hdvg.model.swapca import SwapCA
from hdvg.model.unet import UNet
from hdvg.model.windows import Size

Kind = Literal["residual", "space", "temporal conv", "temporal attention", "swap", "resampling", "ends"]
KIND_OF: dict[str, Kind] = {
    "res": "residual",
    "space": "space",
    "conv": "temporal conv",
    "time": "temporal attention",
    "stem": "temporal attention",
    "swap": "swap",
    "resample": "resampling",
}
"""What the parts of a network are called here; `ends`: its first and last convolution and the time embedding."""
MOVING: frozenset[Kind] = frozenset({"temporal conv", "temporal attention", "swap"})
"""What is silent in images."""


@dataclass(frozen=True)
class Op:
    """One op of a forward pass; `moved` counts numbers, not bytes: read, weights, written."""

    name: str
    kind: Kind
    flop: int
    moved: int


@dataclass(frozen=True)
class Counts:
    """A forward pass, and the parameters of each kind of block."""

    ops: tuple[Op, ...]
    params: dict[Kind, int]

    @property
    def flop(self) -> int:
        """Of all ops."""
        return sum(op.flop for op in self.ops)

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(self.params.values())

    def moved_bytes(self, number_bytes: int) -> int:
        """Of all ops, with numbers of so many bytes."""
        return number_bytes * sum(op.moved for op in self.ops)

    def by_kind(self) -> dict[Kind, int]:
        """FLOPs of each kind of block."""
        return {kind: sum(op.flop for op in self.ops if op.kind == kind) for kind in self.params}


@lru_cache(maxsize=64)
def count(config: ModelConfig, grid: Size, *, tokens: int, clips: int = 1) -> Counts:
    """The ops of a pass over latents (clips, channels, *grid) and text (clips, tokens, X); nothing is computed."""
    with torch.device("meta"):
        model = UNet(config)
    params: dict[Kind, int] = {}
    for name, weight in model.named_parameters():
        params[_kind(name)] = params.get(_kind(name), 0) + weight.numel()
    frames, height, width = grid
    grids = [(frames, -(-height // 2**level), -(-width // 2**level)) for level in range(len(config.widths))]
    ops: list[Op] = []
    for name, module in model.named_modules():
        if frames > 1 or _kind(name) not in MOVING:
            level, after = _levels(name, len(grids))
            ops += _ops(name, module, model, grids=(grids[level], grids[after]), text=(clips, tokens))
    return Counts(tuple(ops), params)


def _kind(name: str) -> Kind:
    """The kind of block that a module or weight is of."""
    return next((KIND_OF[word] for word in name.split(".") if word in KIND_OF), "ends")


def _levels(name: str, levels: int) -> tuple[int, int]:
    """The level of a module, and that of what it gives: another one only where grids change."""
    words = name.split(".")
    if words[0] == "mid":
        return levels - 1, levels - 1
    if words[0] not in ("down", "up") or len(words) < 3:
        return 0, 0
    down, number = words[0] == "down", int(words[1])
    level = number if down else levels - 1 - number
    return level, level + (words[2] == "resample") * (1 if down else -1)


def _ops(name: str, module: nn.Module, model: UNet, *, grids: tuple[Size, Size], text: tuple[int, int]) -> list[Op]:
    """The ops of one module itself, without its children; `grids`: what it takes and gives, `text`: clips, tokens."""
    (clips, tokens), (T, H, W) = text, grids[0]
    kind, places = _kind(name), clips * T * H * W

    def op(flop: int, *, read: int, written: int) -> list[Op]:
        weights = sum(weight.numel() for weight in module.parameters(recurse=False))
        return [Op(name, kind, flop, read + weights + written)]

    def attention(sequences: int, queries: int, keys: int, width: int) -> list[Op]:
        flop = 4 * sequences * queries * keys * width
        return op(flop, read=sequences * (queries + 2 * keys) * width, written=sequences * queries * width)

    if isinstance(module, SpaceConv | TimeConv):
        made = clips * math.prod(grids[1])
        taken = made if kind == "resampling" and name.startswith("up") else places  # grown before it
        inner, outer = module.in_channels, module.out_channels
        flop = 2 * made * inner * outer * math.prod(module.kernel_size)
        return op(flop, read=taken * inner, written=made * outer)
    if isinstance(module, nn.Linear):
        rows = _rows(name, model, (T, H, W), text=text)
        inner, outer = module.in_features, module.out_features
        return op(2 * rows * inner * outer, read=rows * inner, written=rows * outer)
    if isinstance(module, SelfAttention):
        over_time = kind == "temporal attention"
        length = T if over_time else H * W
        return attention(places // length, length, length, module.to_out.in_features)
    if isinstance(module, TextAttention):
        return attention(clips, T * H * W, tokens, module.to_out.in_features)
    if isinstance(module, SwapCA):
        plan = module.plan((T, H, W))
        return attention(clips * math.prod(plan.counts), plan.tokens, plan.tokens, module.to_out.in_features)
    return []


def _rows(name: str, model: UNet, grid: Size, *, text: tuple[int, int]) -> int:
    """How many vectors a linear layer is given: places, text tokens, clips, or the places of windows, padding included."""
    clips, tokens = text
    if name.endswith(".to_kv") and ".text." in name:
        return clips * tokens
    if name in ("time1", "time2") or name.endswith(".res.time"):
        return clips
    parent, _, leaf = name.rpartition(".")
    if leaf in ("to_q", "to_k", "to_v", "to_kv") and isinstance(exchange := model.get_submodule(parent), SwapCA):
        return clips * math.prod(exchange.plan(grid).padded)
    return clips * math.prod(grid)
