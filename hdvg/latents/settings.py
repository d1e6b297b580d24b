"""How clips become latents and texts become states; nothing heavy is imported here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from hdvg.config.settings import Settings, Share
from hdvg.config.tags import Tag
from hdvg.latents import CODEC, TEXT
from hdvg.registry import ClassName

Count = Annotated[int, Field(ge=1)]
Bucket = tuple[Count, Count, Count]
"""(frames, height, width) in pixels; one frame: clips become images."""

TOKENS = {"minilm": 160, "clip": 77}
"""Tokens taken of a text, by encoder: CLIP's are all that it has."""


class Encoding(Settings):
    """What is encoded, and by which encoders: section `data` of a training recipe."""

    codec: Annotated[str, ClassName("hdvg.latents:CODEC")] = Field(
        "patches",
        description="pictures to latents, 8 times smaller: patches: linear, fitted on the dataset itself; taef2: the tiny "
        "autoencoder, from a folder; vae: Stable Diffusion's, from a folder; or your own: file.py:Class, package.module:Class",
    )
    codec_folder: str | None = Field(None, description="folder with the codec's weights; `patches` has none")
    codec_channels: int = Field(8, ge=1, le=192, description="of a latent of `patches`")
    text: Annotated[str, ClassName("hdvg.latents:TEXT")] = Field(
        "minilm",
        description="minilm: token states of the embedded MiniLM; clip: a CLIP text tower, from a folder; or your own",
    )
    text_folder: str | None = Field(None, description="folder with the text encoder; `minilm` needs none")
    text_tokens: int = Field(
        default_factory=lambda said: TOKENS.get(said.get("text", ""), TOKENS["minilm"]),
        ge=2,
        description="states of a text: longer ones are cut, which is said, shorter ones padded; by default 77 for CLIP, else 160",
    )
    tags: dict[str, Tag] = Field(
        default_factory=dict,
        description="what measures say of a clip, written into its texts, by a name of yours: data.tags.motion",
    )
    tagged: str = Field(
        "{tags}. {text}",
        description="a text with its tags, which stand first by default so that no long text cuts them off",
    )
    drop_tags: Share = Field(0.1, description="share of samples whose text has no tags, so that prompts may do without")
    buckets: tuple[Bucket, ...] = Field(
        ((16, 64, 112),),
        min_length=1,
        description="(frames, height, width); a clip goes where its aspect fits best, never to a larger picture",
    )
    fps: float = Field(8.0, gt=0, description="frames a second of a sample, by pts")
    windows: int = Field(4, ge=1, description="most runs of frames of one clip, spread over it")
    keeps: Literal["mean", "draw", "both"] = Field(
        "mean", description="of a codec with a posterior: its mean, one draw, or mean and log variance"
    )

    @field_validator("tagged")
    @classmethod
    def _is_template(cls, tagged: str) -> str:
        if sorted(re.findall(r"{.*?}", tagged)) != ["{tags}", "{text}"]:
            raise ValueError(
                f"data.tagged = {tagged!r}: it has {{tags}} and {{text}} once each, such as '{{tags}}. {{text}}'"
            )
        return tagged

    @field_validator("tags")
    @classmethod
    def _are_by_something(cls, tags: dict[str, Tag]) -> dict[str, Tag]:
        for name, tag in tags.items():
            if not tag.by:
                raise ValueError(f"data.tags.{name}.by is missing; it takes a number of a clip, such as local_px_s")
        return tags

    @field_validator("codec", "text")
    @classmethod
    def _is_encoder(cls, name: str, info: ValidationInfo) -> str:
        if problem := (CODEC if info.field_name == "codec" else TEXT).problem(name):
            raise ValueError(problem)
        return name
