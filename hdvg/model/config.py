"""Sizes and arms of the model as frozen, typed values; nothing heavy is imported here.

What the paper states, what is recalled and what is ours is marked at each setting: [paper] stated in a source that was
read, [recalled] from memory of VideoFactory (arXiv:2305.10874), unverified, [ours] our choice.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hdvg.config.sections import Settings
from hdvg.errors import UsageError

Side = Annotated[int, Field(ge=1)]
Window = tuple[Side, Side, Side]
Place = Literal["down", "mid", "up"]
Query = Literal["time-first", "space-first", "time", "space", "sum"]


class Temporal(Settings):
    """What follows the spatial parts of a layer; the defaults are lean [ours], `MODELSCOPE` is ModelScope's [paper]."""

    convs: int = Field(2, ge=0, description="convolutions over three frames per layer")
    attentions: int = Field(1, ge=0, description="self-attentions over frames in each layer that has attention")
    feed_forward: bool = Field(False, description="a GEGLU feed-forward after them")
    stem_heads: int = Field(0, ge=0, description="heads of a temporal transformer after the first convolution; 0: none")


MODELSCOPE = Temporal(convs=4, attentions=2, feed_forward=True, stem_heads=8)


class Swap(Settings):
    """Swap-CA: cross-attention between the spatial and the temporal stream of a block, in 3D windows [paper]."""

    query: Query = Field(
        "time-first",
        description="who asks: the streams in turn, block by block [paper], and who begins [recalled: time]; one of them "
        "always; or `sum`: no exchange, the sum of both streams attends to itself",
    )
    windows: Literal["auto", "full", "frames"] | tuple[Window, ...] = Field(
        "auto",
        description="(frames, height, width) per level; `auto`: planned from the grid; `full`: the whole grid; `frames`: "
        "every frame of one place. The paper's sizes are unknown [ours]",
    )
    window_tokens: int = Field(512, ge=1, description="how large a window `auto` aims at [ours]")
    head_width: int | None = Field(None, ge=2, multiple_of=2, description="of its heads; none: as the network's [ours]")
    shift: bool = Field(False, description="windows of every second exchange stand half a window further [ours]")
    placement: Literal["block", "layer"] = Field(
        "block", description="an exchange at the end of a U-Net block [paper], or after each of its layers [ours]"
    )
    places: tuple[Place, ...] = Field(("down", "mid", "up"), description="which blocks have one [ours: all]")
    residual: Literal["time", "query"] = Field(
        "time",
        description="the stream that is carried on. `time` keeps a pretrained network unchanged at step 0 [ours]; `query` "
        "[recalled] does so only where the temporal branch starts at zero",
    )
    positions: Literal["rope", "none"] = Field("rope", description="rotary positions inside the window [ours]")
    feed_forward: int = Field(0, ge=0, description="width of a feed-forward after it, in model widths [recalled: yes]")


class ModelConfig(Settings):
    """A U-Net. Frames, height and width are not fixed: they are those of the latents that come in."""

    channels: int = Field(4, ge=1, description="of a latent")
    widths: tuple[int, ...] = Field((320, 640, 1280, 1280), min_length=1)
    attention: tuple[bool, ...] = Field((True, True, True, False), description="levels with transformers")
    layers: int = Field(2, ge=1, description="per down block; an up block has one more")
    head_width: int = Field(64, ge=2, multiple_of=2)
    text_width: int = Field(1024, ge=1)
    groups: int = Field(32, ge=1, description="of every group norm")
    dropout: float = Field(0.0, ge=0, lt=1, description="inside temporal convolutions")
    temporal: Temporal | None = Temporal()
    swap: Swap | None = Swap()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.attention) != len(self.widths):
            raise ValueError(f"`attention` has {len(self.attention)} levels, `widths` {len(self.widths)}")
        for width in self.widths:
            if width % self.groups or width % self.head_width:
                raise ValueError(
                    f"`widths`: {width} is no multiple of groups={self.groups}, head_width={self.head_width}"
                )
        heads = self.swap.head_width if self.swap else None
        if heads and any(width % heads for width in self.widths):
            raise ValueError(f"`swap.head_width`: not every width of {self.widths} is a multiple of {heads}")
        if self.swap and not self.temporal:
            raise ValueError("`swap` needs `temporal`: without it there is no second stream to exchange with")
        if self.swap and isinstance(self.swap.windows, tuple) and len(self.swap.windows) != len(self.widths):
            raise ValueError(f"`swap.windows` has {len(self.swap.windows)} levels, `widths` {len(self.widths)}")
        return self


class Process(Settings):
    """The diffusion process: what is predicted, how noise grows, how errors at each time are weighted."""

    predicts: Literal["eps", "v", "x0", "flow"] = Field(
        "eps",
        description="the noise, v, the latents, or rectified flow's velocity (which has its own straight schedule)",
    )
    schedule: Literal["scaled-linear", "cosine"] = Field(
        "scaled-linear", description="Stable Diffusion's or Nichol & Dhariwal's; not used by `flow`"
    )
    zero_snr: bool = Field(False, description="stretch the schedule so that the last time is pure noise")
    steps: int = Field(1000, ge=2, description="times of the schedule; the network is given times in 0..1000 of them")
    min_snr: float | None = Field(None, gt=0, description="Min-SNR's gamma; none: every time counts the same")

    @property
    def unlearnt(self) -> str:
        """What keeps a network from learning where sampling begins, "" if nothing does: such a run can be read, not begun."""
        if self.min_snr is None or not (self.zero_snr or self.predicts == "flow"):
            return ""
        why = "zero_snr = true" if self.zero_snr else "predicts = 'flow'"
        return (
            f"process.min_snr = {self.min_snr:g} with {why}: an error at the last time, of pure noise, would count nothing, and there "
            "sampling begins; leave min_snr out"
        )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.zero_snr and self.predicts == "eps":
            raise ValueError(
                "`zero_snr` with predicts = 'eps': at the last time latents are pure noise and predicting it teaches "
                "nothing, nor can latents be computed from it; take predicts = 'v', 'x0' or 'flow'"
            )
        return self


SIZES: dict[str, ModelConfig] = {
    "tiny": ModelConfig(  # tests, and two minutes of training on a laptop; text of MiniLM
        widths=(32, 64),
        attention=(True, False),
        layers=1,
        head_width=16,
        text_width=384,
        groups=8,
        swap=Swap(window_tokens=32),
    ),
    "small": ModelConfig(  # science on one GPU
        widths=(64, 128, 256),
        attention=(True, True, False),
        head_width=32,
        text_width=384,
        swap=Swap(window_tokens=64, head_width=64),
    ),
    "sd21": ModelConfig(),
    "modelscope": ModelConfig(temporal=MODELSCOPE, dropout=0.1),
}

ARMS: dict[str, dict[str, object] | None] = {
    "none": None,  # frames independent of each other: no temporal part at all
    "temporal": None,
    # As many parameters as any arm below, to the last one, and within 2 % of the FLOPs: the attention of the exchange
    # stands at the same places and sees every frame, but of one place only, so nothing spatial meets anything temporal.
    "temporal-matched": {"query": "sum", "windows": "frames"},
    "window-self": {"query": "sum"},
    "query-space": {"query": "space"},
    "query-time": {"query": "time"},
    "swap": {},
    "swap-shift": {"shift": True},
    "swap-full": {"windows": "full"},
}
"""The ablation: each is a change of `Swap`; the spec's letters are (a), (b), (b+), (c), (d), (e), (f), (f′), (g)."""


def arm(config: ModelConfig, name: str) -> ModelConfig:
    """The same size as another arm of the ablation. Raises UsageError if there is none of that name."""
    if name not in ARMS:
        raise UsageError(f"no arm `{name}`; there are " + ", ".join(ARMS))
    change = ARMS[name]
    if change is None:
        temporal = None if name == "none" else config.temporal
        return ModelConfig.model_validate({**config.model_dump(), "temporal": temporal, "swap": None})
    swap = {**(config.swap or Swap()).model_dump(), "query": "time-first", "shift": False, "windows": "auto", **change}
    return ModelConfig.model_validate({**config.model_dump(), "swap": swap})
