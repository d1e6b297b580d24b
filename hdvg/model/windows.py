"""3D windows: which size suits a grid, cutting tokens into windows and putting them back, masks for what does not fit.

Shapes: B clips, T frames, H height, W width, C channels; M windows of all clips, N tokens of a window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int, int]
STRETCH = 1.5  # how much longer, or shorter, a side of a planned window may be than that of a cube


@dataclass(frozen=True)
class Plan:
    """How a grid (T, H, W) is cut; `shift` says how far the windows stand from its corner."""

    grid: Size
    window: Size
    shift: Size = (0, 0, 0)

    @property
    def counts(self) -> Size:
        """Windows along each axis."""
        return _sized(-(-side // window) for side, window in zip(self.grid, self.window, strict=True))

    @property
    def padded(self) -> Size:
        """The grid, filled up to whole windows."""
        return _sized(count * window for count, window in zip(self.counts, self.window, strict=True))

    @property
    def tokens(self) -> int:
        """N."""
        return math.prod(self.window)

    @property
    def waste(self) -> float:
        """Share of padding, relative to the grid's own tokens."""
        return math.prod(self.padded) / math.prod(self.grid) - 1


@lru_cache(maxsize=256)
def planned(grid: Size, *, tokens: int) -> Size:
    """The window for a grid: least padding, then nearest to `tokens`, then nearest to a cube.

    No side is further than `STRETCH` from that of a cube of `tokens`: a thin window that needs no padding is no window.
    16×24×43 and 512 tokens: (8, 6, 11), which fills 43 up to 44; two levels down it divides 16×6×11.
    """
    cube = round(tokens ** (1 / 3), 9)
    shortest, longest = max(1, int(cube / STRETCH)), max(1, int(cube * STRETCH))
    sides = [range(min(side, shortest), min(side, longest) + 1) for side in grid]

    def score(window: Size) -> tuple[float, float, float]:
        waste = round(Plan(grid, window).waste, 9)
        return waste, round(abs(math.log(math.prod(window) / tokens)), 9), max(window) / min(window)

    return min((_sized(window) for window in itertools.product(*sides)), key=score)


def plan(grid: Size, window: Size, *, shift: bool = False) -> Plan:
    """Windows no larger than the grid; half a window of shift along every axis that holds more than one."""
    fitted = _sized(min(pair) for pair in zip(grid, window, strict=True))
    shifts = _sized(side // 2 if shift and side < whole else 0 for side, whole in zip(fitted, grid, strict=True))
    return Plan(grid, fitted, shifts)


def partition(x_BTHWC: Tensor, plan: Plan) -> Tensor:
    """(B, T, H, W, C) -> (M, N, C), a clip's windows one after the other; padding is zero."""
    B, C = x_BTHWC.shape[0], x_BTHWC.shape[-1]
    if plan.padded != plan.grid:
        missing = [whole - side for whole, side in zip(plan.padded, plan.grid, strict=True)]
        x_BTHWC = F.pad(x_BTHWC, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
    if any(plan.shift):
        x_BTHWC = x_BTHWC.roll([-side for side in plan.shift], (1, 2, 3))
    (a, b, c), (t, h, w) = plan.counts, plan.window
    return x_BTHWC.reshape(B, a, t, b, h, c, w, C).permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, plan.tokens, C)


def merge(x_MNC: Tensor, plan: Plan) -> Tensor:
    """What `partition` cut, (M, N, C), or as heads (M, N, K, C / K), -> (B, T, H, W, C)."""
    cut = x_MNC.view(-1, *plan.counts, *plan.window, *x_MNC.shape[2:])
    x_BTHWC = cut.movedim((4, 5, 6), (2, 4, 6)).reshape(-1, *plan.padded, x_MNC[0, 0].numel())
    if any(plan.shift):
        x_BTHWC = x_BTHWC.roll(plan.shift, (1, 2, 3))
    if plan.padded != plan.grid:
        T, H, W = plan.grid
        x_BTHWC = x_BTHWC[:, :T, :H, :W]
    return x_BTHWC


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must serve a training step too, whoever asks first
def mask(plan: Plan, device: torch.device) -> Tensor | None:
    """Who may be seen: None (all), or booleans for the windows of one clip, (windows, 1, N or 1, N).

    Without a shift padding is seen by nobody (what padding itself sees is cut off by `merge`). With one, a token sees
    those of its window that are its neighbours in the grid too: where a window holds both ends of an axis, the ends do
    not see each other (Swin, arXiv:2103.14030, section 3.2).
    """
    if plan.padded == plan.grid and not any(plan.shift):
        return None
    label_THW = torch.zeros(plan.padded, dtype=torch.long, device=device)
    for axis, (side, whole, shift) in enumerate(zip(plan.grid, plan.padded, plan.shift, strict=True)):
        place = torch.arange(whole, device=device)
        kind = (place < shift) + 2 * (place >= side)  # 1: what the roll brings to the far end; 2: padding
        label_THW = label_THW * 3 + kind.view([-1 if axis == other else 1 for other in range(3)])
    label_MN = partition(label_THW[None, ..., None], replace(plan, grid=plan.padded))[..., 0]
    if any(plan.shift):
        return label_MN[:, None, :, None] == label_MN[:, None, None, :]
    return label_MN[:, None, None, :] == 0


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def rotation(window: Size, head_width: int, heads: int, device: torch.device) -> Tensor:
    """Rotary positions (RoFormer, arXiv:2104.09864, eq. 34) along three axes: complex, (N, C / 2), heads alike.

    Frames turn the first third of a head's channel pairs, height and width the rest in halves. Frequencies fall from 1
    to 1/100, not to RoFormer's 1/10000: windows are small. [ours]
    """
    pairs = head_width // 2
    height = (pairs - pairs // 3 + 1) // 2
    shares = (pairs // 3, height, pairs - pairs // 3 - height)
    places = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in window), indexing="ij")
    angles = [
        place.reshape(-1, 1) * 100.0 ** -(torch.arange(share, dtype=torch.float64) / max(share, 1))
        for place, share in zip(places, shares, strict=True)
    ]
    angle_NP = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(angle_NP), angle_NP).repeat(1, heads).to(device, torch.complex64)


def _sized(sides: Iterable[int]) -> Size:
    """Three whole numbers."""
    t, h, w = sides
    return t, h, w
