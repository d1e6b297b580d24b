"""Swap-CA: two streams of a block, space and time, look at each other in 3D windows. Shapes and papers: see blocks.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdvg.model import windows
from hdvg.model.blocks import Dense, FeedForward, starts_as_nothing
from hdvg.model.config import Swap


class SwapCA(nn.Module):
    """Swapped spatiotemporal cross-attention of a block's two streams, s (spatial) and t (temporal), in 3D windows.

    (q, c) = (t, s) or (s, t), the roles swapped from one exchange to the next
    a = MCA(Q = W_q LN(q), K = W_k LN(c), V = W_v LN(c)) in every window, on its own
    z = r + W_o a, with r the stream that is carried on

    The paper's (VF): cross-attention between the streams, inside 3D windows, roles that alternate, at the end of a
    block. Recalled, unverified: layer norms, the query's residual, a feed-forward z + FFN(LN(z)) after it, the first
    role. Ours: W_o starts at zero and r = t, so that a pretrained network is unchanged at step 0; no feed-forward unless
    asked for (four matrices C×C are 3.6 % of a full-size model's FLOPs, a feed-forward would treble that); window sizes,
    rotary positions, and what s and t are exactly: in a layer with transformers the outputs of the spatial and of the
    temporal one, else those of the residual block and of the temporal convolution.
    """

    def __init__(self, width: int, *, swap: Swap, number: int, level: int, head_width: int) -> None:
        super().__init__()
        self.swap, self.level, self.head_width = swap, level, swap.head_width or head_width
        first, second = ("space", "time") if swap.query == "space-first" else ("time", "space")
        alternating = swap.query in ("time-first", "space-first")
        self.query = (first, second)[number % 2] if alternating else swap.query
        self.shift = swap.shift and number % 2 == 1
        self.norm_q, self.norm_c = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = Dense(width, width, bias=False)
        self.to_k = Dense(width, width, bias=False)
        self.to_v = Dense(width, width, bias=False)
        self.to_out = Dense(width, width)
        starts_as_nothing(self.to_out)
        self.norm_last = nn.LayerNorm(width) if swap.feed_forward else None
        self.feed_forward = FeedForward(width, inner=swap.feed_forward * width) if swap.feed_forward else None
        if self.feed_forward is not None:
            starts_as_nothing(self.feed_forward.proj_out)

    def plan(self, grid: windows.Size) -> windows.Plan:
        """The windows of this exchange on a grid (T, H, W)."""
        if self.swap.windows == "full":
            return windows.plan(grid, grid)
        if self.swap.windows == "frames":
            return windows.plan(grid, (grid[0], 1, 1), shift=self.shift)
        if self.swap.windows == "auto":
            return windows.plan(grid, windows.planned(grid, tokens=self.swap.window_tokens), shift=self.shift)
        return windows.plan(grid, self.swap.windows[self.level], shift=self.shift)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch's; looked up, not traced: one break of a graph
    def _laid_out(self, grid: windows.Size, device: torch.device) -> tuple[windows.Plan, Tensor | None, Tensor | None]:
        """The plan for a grid, its mask and its rotation; None where there is nothing to mask or to turn."""
        plan, rope = self.plan(grid), self.swap.positions == "rope"
        heads = self.to_out.in_features // self.head_width
        turn_NP = windows.rotation(plan.window, self.head_width, heads, device) if rope else None
        return plan, windows.mask(plan, device), turn_NP

    def forward(self, s_BTHWC: Tensor, t_BTHWC: Tensor) -> Tensor:
        """Both (B, T, H, W, C) -> the same shape."""
        if self.query == "sum":
            q_BTHWC = c_BTHWC = s_BTHWC + t_BTHWC
        else:
            q_BTHWC, c_BTHWC = (s_BTHWC, t_BTHWC) if self.query == "space" else (t_BTHWC, s_BTHWC)
        _, T, H, W, _ = s_BTHWC.shape
        plan, allowed, turn_NP = self._laid_out((T, H, W), s_BTHWC.device)
        q_MNC = self.norm_q(windows.partition(q_BTHWC, plan))
        c_MNC = self.norm_c(windows.partition(c_BTHWC, plan))
        out_BTHWC: Tensor = self.to_out(windows.merge(self._attend(q_MNC, c_MNC, allowed, turn_NP), plan))
        carried = q_BTHWC if self.swap.residual == "query" and self.query != "sum" else t_BTHWC
        z_BTHWC = carried + out_BTHWC
        if self.feed_forward is not None and self.norm_last is not None:
            z_BTHWC = z_BTHWC + self.feed_forward(self.norm_last(z_BTHWC))
        return z_BTHWC

    def _attend(self, q_MNC: Tensor, c_MNC: Tensor, allowed: Tensor | None, turn_NP: Tensor | None) -> Tensor:
        """MCA of the equation, before W_o, as heads: (M, N, K, D)."""
        M, N, _ = q_MNC.shape
        q_MNC, k_MNC, v_MNC = self.to_q(q_MNC), self.to_k(c_MNC), self.to_v(c_MNC)
        if turn_NP is not None:
            q_MNC, k_MNC = turned(q_MNC, turn_NP), turned(k_MNC, turn_NP)
        q, k, v = (x.view(M, N, -1, self.head_width).transpose(1, 2) for x in (q_MNC, k_MNC, v_MNC))
        if allowed is not None:
            allowed = allowed.repeat(M // allowed.shape[0], 1, 1, 1)
        y_MKND = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return y_MKND.transpose(1, 2)


def turned(x_MNC: Tensor, turn_NP: Tensor) -> Tensor:
    """Rotary positions: scores then depend on where tokens of a window stand to each other, not on where they are."""
    wide = x_MNC if x_MNC.dtype in (torch.float32, torch.float64) else x_MNC.float()
    pairs = torch.view_as_complex(wide.reshape(*wide.shape[:-1], -1, 2))  # one product forward and one back, not seven
    return torch.view_as_real(pairs * turn_NP.to(pairs.dtype)).flatten(-2).to(x_MNC.dtype)
