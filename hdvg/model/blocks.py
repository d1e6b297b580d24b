"""The parts of the U-Net: convolutions, attention, transformers over space and over time; Swap-CA stands in swapca.py.

Shapes: B clips, T frames, H height, W width, C channels of a level, E channels of the time embedding, L text tokens;
M sequences of N tokens, K heads of D channels. Every tensor that goes from part to part is x_BTHWC, contiguous: space,
time and windows are then views of it or one copy, and a convolution sees it as channels-last without a copy.

Papers: SD: Rombach et al., arXiv:2112.10752; MS: Wang et al., ModelScope text-to-video, arXiv:2308.06571; VF: Wang et al.,
VideoFactory, arXiv:2305.10874. Layer order and numerics of SD and MS follow diffusers' UNet3DConditionModel, to which
the tests hold them. VF released no code: at `swapca.SwapCA` stands what is its and what is ours.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdvg.model.config import ModelConfig

Frames = Literal["each", "all"]


class Norm(nn.GroupNorm):
    """Group norm, its statistics over each frame (SD) or over all frames of a clip (MS)."""

    def forward(self, x_BTHWC: Tensor, frames: Frames) -> Tensor:  # type: ignore[override]
        """(B, T, H, W, C) of any scale -> the same shape, every group of channels with mean 0 and variance 1."""
        shape = x_BTHWC.shape
        B, T, H, W, C = shape
        x = x_BTHWC.reshape(B * T, H, W, C) if frames == "each" else x_BTHWC.reshape(B, T, H * W, C)
        x = F.group_norm(x.permute(0, 3, 1, 2), self.num_groups, self.weight, self.bias, self.eps)
        return x.permute(0, 2, 3, 1).reshape(shape)


class Dense(nn.Linear):
    """A linear layer; in single precision on a CPU it is computed as a 1×1 convolution, the same sums.

    torch's convolutions (oneDNN) are up to twice as fast there as its matrix product (MKL, on an AMD core), forward and
    back. Sixteen images, since with fewer and one thread torch does not ask oneDNN.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., inner) -> (..., outer)."""
        rows, odd = divmod(x.numel(), 16 * self.in_features)
        if odd or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        x_NCHW = x.reshape(16, rows, 1, self.in_features).permute(0, 3, 1, 2)
        y_NCHW = F.conv2d(x_NCHW, self.weight[:, :, None, None], self.bias)
        return y_NCHW.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


class SpaceConv(nn.Conv2d):
    """A 3×3 convolution of every frame."""

    def __init__(self, inner: int, outer: int, *, stride: int = 1) -> None:
        super().__init__(inner, outer, 3, stride=stride, padding=1)

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, ceil(H / stride), ceil(W / stride), C')."""
        B, T = x_BTHWC.shape[:2]
        y_NHWC = super().forward(x_BTHWC.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return y_NHWC.reshape(B, T, *y_NHWC.shape[1:])


class TimeConv(nn.Conv2d):
    """A convolution over three frames at every place: MS's Conv3d (3, 1, 1), as a 2D one over (T, H·W).

    The same sums in another order; two to three times as fast as a Conv3d on a CPU, and channels-last without a copy.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width, (3, 1), padding=(1, 0))

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        y_BCTN = super().forward(x_BTHWC.flatten(2, 3).permute(0, 3, 1, 2))
        return y_BCTN.permute(0, 2, 3, 1).reshape(x_BTHWC.shape)


class ResBlock(nn.Module):
    """SD's residual block: x + Conv(SiLU(GN(Conv(SiLU(GN(x))) + W e))), frame by frame."""

    def __init__(self, inner: int, outer: int, *, embedding: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(groups, inner), SpaceConv(inner, outer)
        self.time = nn.Linear(embedding, outer)
        self.norm2, self.conv2 = Norm(groups, outer), SpaceConv(outer, outer)
        self.shortcut = Dense(inner, outer) if inner != outer else nn.Identity()

    def forward(self, x_BTHWC: Tensor, e_BE: Tensor) -> Tensor:
        """`e_BE`: the time embedding after its SiLU, which all blocks share."""
        y = self.conv1(F.silu(self.norm1(x_BTHWC, "each"))) + self.time(e_BE)[:, None, None, None]
        y = self.conv2(F.silu(self.norm2(y, "each")))
        return torch.add(self.shortcut(x_BTHWC), y)


class TemporalConv(nn.Module):
    """MS, section 3.2: x + conv_n(...conv_1(x)), each GN over all frames, SiLU, dropout but in the first, TimeConv.

    The last convolution starts at zero, so the block starts as identity (MS).
    """

    def __init__(self, width: int, *, convs: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(Norm(groups, width) for _ in range(convs))
        self.convs = nn.ModuleList(TimeConv(width) for _ in range(convs))
        self.dropout = dropout
        starts_as_nothing(self.convs[-1])

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        y = x_BTHWC
        for number, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            y = F.silu(norm(y, "all"))
            if number:
                y = F.dropout(y, self.dropout, self.training)
            y = conv(y)
        return x_BTHWC + y


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ / √D) V with Q, K and V of the same tokens, in one projection (Vaswani et al., arXiv:1706.03762)."""

    def __init__(self, width: int, *, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.to_qkv = Dense(width, 3 * width, bias=False)
        self.to_out = Dense(width, width)

    def forward(self, x_MNC: Tensor) -> Tensor:
        """Tokens see those of their own sequence: (M, N, C) -> the same shape."""
        M, N, C = x_MNC.shape
        q, k, v = self.to_qkv(x_MNC).view(M, N, 3, -1, self.head_width).permute(2, 0, 3, 1, 4).unbind(0)
        y_MKND = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(y_MKND.transpose(1, 2).reshape(M, N, C))
        return out

    def over_time(self, x_BTNC: Tensor) -> Tensor:
        """A token sees the same place in all frames: (B, T, N, C) -> the same shape."""
        B, T, N, C = x_BTNC.shape
        qkv = self.to_qkv(x_BTNC).view(B, T, N, 3, -1, self.head_width).permute(3, 0, 2, 4, 1, 5)
        q, k, v = qkv.flatten(1, 2).unbind(0)
        y_BNKTD = F.scaled_dot_product_attention(q, k, v).reshape(B, N, -1, T, self.head_width)
        out: Tensor = self.to_out(y_BNKTD.permute(0, 3, 1, 2, 4).reshape(B, T, N, C))
        return out


class TextAttention(nn.Module):
    """Cross-attention of a clip's tokens to its text (SD, section 3.3): K and V are made once a clip, not once a frame."""

    def __init__(self, width: int, *, head_width: int, text_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.to_q = Dense(width, width, bias=False)
        self.to_kv = Dense(text_width, 2 * width, bias=False)
        self.to_out = Dense(width, width)

    def forward(self, x_BNC: Tensor, text_BLX: Tensor) -> Tensor:
        """Queries (B, N, C), text (B, L, text width) -> (B, N, C)."""
        B, N, C = x_BNC.shape
        q_BKND = self.to_q(x_BNC).view(B, N, -1, self.head_width).transpose(1, 2)
        k, v = self.to_kv(text_BLX).view(B, text_BLX.shape[1], 2, -1, self.head_width).permute(2, 0, 3, 1, 4).unbind(0)
        y_BKND = F.scaled_dot_product_attention(q_BKND, k, v)
        out: Tensor = self.to_out(y_BKND.transpose(1, 2).reshape(B, N, C))
        return out


class FeedForward(nn.Module):
    """GEGLU (Shazeer, arXiv:2002.05202, eq. 6): W₂(a · GELU(g)) with (a, g) = W₁ x."""

    def __init__(self, width: int, *, inner: int) -> None:
        super().__init__()
        self.proj_in, self.proj_out = Dense(width, 2 * inner), Dense(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> the same shape."""
        value, gate = self.proj_in(x).chunk(2, dim=-1)
        out: Tensor = self.proj_out(value * F.gelu(gate))
        return out


class SpaceTransformer(nn.Module):
    """SD, section 3.3: x + W_out(FF ∘ text attention ∘ self-attention)(W_in GN(x)), each with LN and a residual."""

    def __init__(self, width: int, *, config: ModelConfig) -> None:
        super().__init__()
        self.norm = Norm(config.groups, width, eps=1e-6)
        self.proj_in, self.proj_out = Dense(width, width), Dense(width, width)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, head_width=config.head_width)
        self.text = TextAttention(width, head_width=config.head_width, text_width=config.text_width)
        self.feed_forward = FeedForward(width, inner=4 * width)

    def forward(self, x_BTHWC: Tensor, text_BLX: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape; frames do not see each other."""
        B, T, H, W, C = x_BTHWC.shape
        x = self.proj_in(self.norm(x_BTHWC, "each")).view(B * T, H * W, C)
        x = x + self.attention(self.norm1(x))
        x = x.view(B, T * H * W, C)
        x = x + self.text(self.norm2(x), text_BLX)
        x = x + self.feed_forward(self.norm3(x))
        return torch.add(x_BTHWC, self.proj_out(x).view(B, T, H, W, C))


class TimeTransformer(nn.Module):
    """MS, section 3.2: x + W_out(FF ∘ self-attentions over frames)(W_in GN(x)); it knows no position in time (MS).

    Ours: W_out starts at zero, so that a 2D network with new ones is unchanged; MS's own weights replace it.
    """

    def __init__(self, width: int, *, inner: int, attentions: int, feed_forward: bool, config: ModelConfig) -> None:
        super().__init__()
        self.norm = Norm(config.groups, width, eps=1e-6)
        self.proj_in, self.proj_out = Dense(width, inner), Dense(inner, width)
        self.norms = nn.ModuleList(nn.LayerNorm(inner) for _ in range(attentions))
        self.attentions = nn.ModuleList(SelfAttention(inner, head_width=config.head_width) for _ in range(attentions))
        self.norm_last = nn.LayerNorm(inner) if feed_forward else None
        self.feed_forward = FeedForward(inner, inner=4 * inner) if feed_forward else None
        starts_as_nothing(self.proj_out)

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape; places do not see each other."""
        x = self.proj_in(self.norm(x_BTHWC, "all")).flatten(2, 3)
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            x = x + attention.over_time(norm(x))  # type: ignore[operator]
        if self.feed_forward is not None and self.norm_last is not None:
            x = x + self.feed_forward(self.norm_last(x))
        return torch.add(x_BTHWC, self.proj_out(x).view(x_BTHWC.shape))


def starts_as_nothing(module: nn.Module) -> None:
    """The branch that ends here starts as nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
