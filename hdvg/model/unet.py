"""The latent spatiotemporal U-Net: SD's, ModelScope's temporal parts, and Swap-CA where the two streams meet.

Shapes: B clips, C channels, T frames, H height, W width, E channels of the time embedding, L text tokens of width X.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdvg.model.blocks import Norm, ResBlock, SpaceConv, SpaceTransformer, TemporalConv, TimeTransformer
from hdvg.model.config import ModelConfig, Place
from hdvg.model.swapca import SwapCA


class Layer(nn.Module):
    """Residual block, temporal convolution, spatial transformer, temporal transformer (MS); then, if asked, Swap-CA.

    Image mode: with one frame the temporal parts and the exchange are silent, the layer is SD's.
    """

    def __init__(self, inner: int, outer: int, *, attention: bool, swap: SwapCA | None, config: ModelConfig) -> None:
        super().__init__()
        temporal = config.temporal
        self.res = ResBlock(inner, outer, embedding=4 * config.widths[0], groups=config.groups)
        self.conv: TemporalConv | None = None
        self.space = SpaceTransformer(outer, config=config) if attention else None
        self.time: TimeTransformer | None = None
        self.swap = swap
        if temporal and temporal.convs:
            self.conv = TemporalConv(outer, convs=temporal.convs, groups=config.groups, dropout=config.dropout)
        if temporal and temporal.attentions and attention:
            self.time = TimeTransformer(
                outer,
                inner=outer,
                attentions=temporal.attentions,
                feed_forward=temporal.feed_forward,
                config=config,
            )

    def forward(self, x_BTHWC: Tensor, e_BE: Tensor, text_BLX: Tensor) -> Tensor:
        """(B, T, H, W, inner) -> (B, T, H, W, outer)."""
        moving = x_BTHWC.shape[1] > 1
        s_BTHWC: Tensor = self.res(x_BTHWC, e_BE)
        t_BTHWC = s_BTHWC
        if self.conv is not None and moving:
            t_BTHWC = self.conv(s_BTHWC)
        if self.space is not None:
            t_BTHWC = s_BTHWC = self.space(t_BTHWC, text_BLX)
        if self.time is not None and moving:
            t_BTHWC = self.time(s_BTHWC)
        if self.swap is not None and moving:
            t_BTHWC = self.swap(s_BTHWC, t_BTHWC)
        return t_BTHWC


class Down(nn.Module):
    """The layers of one level on the way down, and the step to the next; what they say is kept for the way up."""

    def __init__(self, layers: list[Layer], resample: SpaceConv | None) -> None:
        super().__init__()
        self.layers, self.resample = nn.ModuleList(layers), resample

    def forward(self, x: Tensor, e_BE: Tensor, text_BLX: Tensor, skips: list[Tensor]) -> Tensor:
        """(B, T, H, W, C) -> the next level's grid and width; `skips` grows."""
        for layer in self.layers:
            x = layer(x, e_BE, text_BLX)
            skips.append(x)
        if self.resample is not None:
            x = self.resample(x)
            skips.append(x)
        return x


class Up(nn.Module):
    """The layers of one level on the way up, each beside its skip, and SD's step up: nearest neighbour, convolution.

    The step aims at the size of the next skip, not at twice its own: 43 halves to 22.
    """

    def __init__(self, layers: list[Layer], resample: SpaceConv | None) -> None:
        super().__init__()
        self.layers, self.resample = nn.ModuleList(layers), resample

    def forward(self, x: Tensor, e_BE: Tensor, text_BLX: Tensor, skips: list[Tensor]) -> Tensor:
        """(B, T, H, W, C) -> the next level's grid; `skips` shrinks."""
        for layer in self.layers:
            x = layer(torch.cat((x, skips.pop()), dim=-1), e_BE, text_BLX)
        if self.resample is not None:
            B, T, _, _, C = x.shape
            H, W = skips[-1].shape[2:4]
            grown = F.interpolate(x.flatten(0, 1).permute(0, 3, 1, 2), size=(H, W), mode="nearest")
            x = self.resample(grown.permute(0, 2, 3, 1).reshape(B, T, H, W, C))
        return x


class UNet(nn.Module):
    """Noisy latents, a time in 0..1000 and text states in, the prediction (noise, v, latents or flow) out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.widths[0], config.widths[-1]
        self.time1, self.time2 = nn.Linear(first, 4 * first), nn.Linear(4 * first, 4 * first)
        self.conv_in = SpaceConv(config.channels, first)
        self.stem = self._stem()
        number = itertools.count()
        down, up = [], []
        skips = [first]
        inner = first
        for level, width in enumerate(config.widths):
            inners = [inner, *[width] * (config.layers - 1)]
            resample = SpaceConv(width, width, stride=2) if level < len(config.widths) - 1 else None
            down.append(Down(self._layers("down", inners, level, number), resample))
            skips += [width] * (config.layers + (resample is not None))
            inner = width
        self.down = nn.ModuleList(down)
        self.mid = nn.ModuleList(self._layers("mid", [last, last], len(config.widths) - 1, number))
        for level, width in reversed(list(enumerate(config.widths))):
            inners = [before + skips.pop() for before in [inner, *[width] * config.layers]]
            resample = SpaceConv(width, width) if level else None
            up.append(Up(self._layers("up", inners, level, number), resample))
            inner = width
        self.up = nn.ModuleList(up)
        self.norm_out, self.conv_out = Norm(config.groups, first), SpaceConv(first, config.channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _stem(self) -> TimeTransformer | None:
        """MS's temporal transformer after the first convolution."""
        config = self.config
        if not config.temporal or not config.temporal.stem_heads:
            return None
        inner = config.temporal.stem_heads * config.head_width
        return TimeTransformer(config.widths[0], inner=inner, attentions=2, feed_forward=True, config=config)

    def _layers(self, place: Place, inners: list[int], level: int, number: Iterator[int]) -> list[Layer]:
        """The layers of a block; in the middle only the first has transformers, and only the last an exchange (SD, ours)."""
        config, width, layers = self.config, self.config.widths[level], []
        swap = config.swap if config.swap and place in config.swap.places else None
        for index, inner in enumerate(inners):
            exchange = None
            if swap and (index == len(inners) - 1 or (swap.placement == "layer" and place != "mid")):
                exchange = SwapCA(width, swap=swap, number=next(number), level=level, head_width=config.head_width)
            attention = index == 0 if place == "mid" else config.attention[level]
            layers.append(Layer(inner, width, attention=attention, swap=exchange, config=config))
        return layers

    def forward(self, x_BCTHW: Tensor, time_B: Tensor, text_BLX: Tensor) -> Tensor:
        """(B, C, T, H, W), (B,), (B, L, X) -> (B, C, T, H, W). One frame: image mode."""
        x = self.conv_in(x_BCTHW.permute(0, 2, 3, 4, 1).contiguous())
        wave_BE = sinusoids(time_B, self.config.widths[0]).to(x.dtype)
        e_BE = F.silu(self.time2(F.silu(self.time1(wave_BE))))
        if self.stem is not None and x.shape[1] > 1:
            x = self.stem(x)
        skips = [x]
        for block in self.down:
            x = block(x, e_BE, text_BLX, skips)
        for layer in self.mid:
            x = layer(x, e_BE, text_BLX)
        for block in self.up:
            x = block(x, e_BE, text_BLX, skips)
        y_BTHWC: Tensor = self.conv_out(F.silu(self.norm_out(x, "each")))
        return y_BTHWC.permute(0, 4, 1, 2, 3)


def sinusoids(time_B: Tensor, width: int) -> Tensor:
    """(B,) -> (B, width) in float32: cosines, then sines, of frequencies 1 down to 1/10000 (as SD has them)."""
    half = width // 2
    pace = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=time_B.device) / half)
    angle = time_B[:, None].float() * pace
    return torch.cat((angle.cos(), angle.sin()), dim=-1)
