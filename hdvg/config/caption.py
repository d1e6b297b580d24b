"""How captions are written: one writer a recipe, others beside it, and which of their texts stands for a clip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hdvg.config.endpoint import SPENDING, Endpoint
from hdvg.config.rules import Rule, parse_rule
from hdvg.config.settings import Settings, Share
from hdvg.config.writers import MAIN
from hdvg.errors import ResourceError, UsageError, suggestion
from hdvg.registry import ClassName
from schemas.captions import BEST_BY, CAPTION_KINDS, PERSON
from schemas.measures import CAPTION_STAGES

REWRITE = "rewrite"
"""The captioner that takes another writer's texts."""

LATER = ("fields", "compose", "frames", "rewrites")
"""Settings of a writer that came later: their defaults name no text anew."""

UNASKED = frozenset({"tags", "blip2", "lavis", "title", "given", "speech", "whisper", "transcribe"})
"""Captioners of ours that take no question field by field."""
FROM_MEASURES = "tags"
"""The one of them that knows some fields unasked."""


@contextmanager
def name_in_errors(writer: str) -> Iterator[None]:
    """An error of a further writer, of its settings or its server, gets its name, and how to do without it."""
    try:
        yield
    except (UsageError, ResourceError) as error:
        if writer == MAIN:
            raise
        also = f"caption.also.{writer}"
        raise type(error)(f"{also}: {error}; `--set {also}=null` takes this writer away") from error


class Writer(Settings):
    """Which captioner writes a clip's text, by which model, and how."""

    captioner: Annotated[str, ClassName("hdvg.captioners:CAPTIONER")] = Field(
        "tags",
        description="a name from `hdvg.captioners.CAPTIONERS`, `none`, or your own: file.py:Class, package.module:Class",
    )
    model: str | None = Field(None, description="model id or local folder; None is the captioner's own default")
    keyframe: Literal["first", "middle", "last", "all"] = Field(
        "middle", description="the keyframe that is captioned; all: each, see `merge`"
    )
    merge: Literal["central", "join"] = Field(
        "central",
        description="one text of several keyframes': the one most like the others, or those that differ, joined",
    )
    layout: Literal["sequence", "grid"] = Field(
        "sequence", description="several keyframes go to `vlm` and `openai` one by one or together in one picture"
    )
    prompt: str | None = Field(None, description="text the captioner continues, or what it is asked")
    beams: int | None = Field(None, ge=1, description="beam search width; None is the captioner's own default")
    max_tokens: int | None = Field(None, ge=1, description="longest caption in tokens; None is the captioner's own")
    batch: int = Field(0, ge=0, description="clips per forward pass; 0 finds how many fit into memory")
    memory_gb: float | None = Field(
        None, gt=0, description="memory that batches may take; None is most of what is free"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto", description="auto: bfloat16 on a GPU, else float32; int8: weights of 8 bits"
    )
    lower_case: bool = Field(
        True, description="lower-case text without a final stop, as HD-VG's captions; given texts stay as they are"
    )
    language: str = Field(
        "en",
        pattern=r"^[a-z]{2,3}$",
        description="ISO 639 code of what the captioner writes; of titles and given texts it is found out",
    )
    where: str | None = Field(
        None, description="only clips of which this holds, such as `caption_similarity < 0.2`; None is every kept clip"
    )
    fields: bool = Field(
        False,
        description="`vlm` and `openai` are asked field by field, as JSON: subject, action, place, camera, ...; `tags` fills "
        "those that are measured: subject, light, camera, text",
    )
    compose: bool = Field(
        False, description="with `fields`: the detailed text is put together of them, not written by the model; English"
    )
    frames: int = Field(
        0, ge=0, le=32, description="most frames of the clip's preview (two a second) that are shown; 0: keyframes"
    )
    rewrites: str = Field(MAIN, description="the writer whose texts captioner `rewrite` writes anew")
    endpoint: Endpoint = Endpoint()

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.captioner in UNASKED and (self.frames or (self.fields and self.captioner != FROM_MEASURES)):
            raise ValueError(
                f"caption.fields, caption.frames: captioner `{self.captioner}` cannot be asked; take `vlm` or `openai`, or of "
                f"`{FROM_MEASURES}` the fields that it knows: caption.fields alone"
            )
        if self.compose and not (self.fields and self.language == "en"):
            raise ValueError("caption.compose: a text is put together of fields, in English; set caption.fields = true")
        return self

    @field_validator("where")
    @classmethod
    def _is_condition(cls, where: str | None) -> str | None:
        if where is not None:
            rule = parse_rule("where", where)
            if rule.quantiles:
                raise ValueError(f"where = {where!r}: a writer's condition takes numbers, not quantiles")
            if "caption_copies" in rule.columns:
                raise ValueError(f"where = {where!r}: caption_copies is known only once all captions are written")
        return where

    @property
    def condition(self) -> Rule | None:
        """`where`, read."""
        return None if self.where is None else parse_rule("where", self.where)

    @property
    def source(self) -> str | None:
        """The writer whose texts this one takes, if it takes any."""
        return self.rewrites if self.captioner == REWRITE else None

    def shaping(self) -> dict[str, object]:
        """The settings that shape a text, for its fingerprint; the others say where, how fast and for which clips."""
        kept = self.model_dump(
            include={*Writer.model_fields} - {"batch", "memory_gb", "where"}, exclude={"endpoint": SPENDING}
        )
        new = {name for name in LATER if kept[name] == Writer.model_fields[name].default}
        return {name: value for name, value in kept.items() if name not in new}


class Caption(Writer):
    """The main writer, the others, and how their texts are chosen from."""

    also: dict[str, Writer] = Field(default_factory=dict, description="further writers, by names of your own")
    best: tuple[str, ...] = Field(
        ("sound", "similarity"),
        description="columns of `captions` by which the best text of a kind is chosen: the largest first, of equals by the next; at last the earlier writer's",
    )
    min_words: int = Field(3, ge=0, description="a sound text has at least these")
    max_repeated_trigrams: Share = Field(
        0.2, description="largest share of repeated runs of three words in a sound text"
    )
    max_odd_characters: Share = Field(
        0.1, description="largest share of characters that no caption needs in a sound text"
    )
    weights: dict[str, float] = Field(
        {"short": 0.5, "detailed": 0.25, "title": 0.25},
        description="how often a trainer draws each kind; a clip's `caption` is of the kind with the largest that it has; "
        "`person`: a caption that someone wrote with `hdvg annotate`, not used without a weight",
    )

    @field_validator("also")
    @classmethod
    def _are_names(cls, also: dict[str, Writer]) -> dict[str, Writer]:
        for name in also:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == MAIN:
                raise ValueError(f"caption.also.{name}: a name has small letters, digits and _, and is not `{MAIN}`")
        return also

    @field_validator("weights")
    @classmethod
    def _check_weights(cls, weights: dict[str, float]) -> dict[str, float]:
        for kind, weight in weights.items():
            if kind not in (*CAPTION_KINDS, PERSON) or not weight >= 0:
                kinds = ", ".join((*CAPTION_KINDS, PERSON))
                raise ValueError(f"caption.weights.{kind} = {weight}: kinds are {kinds}, weights not negative")
        return weights

    @model_validator(mode="after")
    def _comes_first(self) -> Self:
        if self.condition is not None and not self.condition.homes.isdisjoint(CAPTION_STAGES):
            raise ValueError(
                f"caption.where = {self.where!r}: the main writer is the first; say this of one in caption.also"
            )
        return self

    @model_validator(mode="after")
    def _rewrites_an_earlier_one(self) -> Self:
        earlier = [MAIN]
        if self.captioner == REWRITE:
            raise ValueError(
                f"caption.captioner = {REWRITE!r}: it writes others' texts anew; say it of one in caption.also"
            )
        for name, writer in self.also.items():
            if writer.captioner == REWRITE and writer.rewrites not in earlier:
                raise ValueError(
                    f"caption.also.{name}.rewrites = {writer.rewrites!r}: no writer before it; there are: {', '.join(earlier)}"
                )
            earlier.append(name)
        return self

    @field_validator("best")
    @classmethod
    def _are_columns(cls, best: tuple[str, ...]) -> tuple[str, ...]:
        for name in best:
            if name not in BEST_BY:
                hint = suggestion(name, BEST_BY, f"there are: {', '.join(BEST_BY)}")
                raise ValueError(f"caption.best: `{name}` is nothing to choose a text by; {hint}")
        return best

    @property
    def takes_persons(self) -> bool:
        """Whether a caption that a person wrote may stand for a clip."""
        return self.weights.get(PERSON, 0.0) > 0

    @property
    def writers(self) -> dict[str, Writer]:
        """Those that write, the main one first."""
        every = {MAIN: self, **self.also}
        return {name: writer for name, writer in every.items() if writer.captioner != "none"}
