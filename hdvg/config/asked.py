"""Questions to vision-language models, and learned quality, as measures of clips: their settings and what they make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from hdvg.config.endpoint import SPENDING, Endpoint
from hdvg.config.own_measures import COLUMN_NAMES, NAME, TAKEN_NAMES, Declaration, Taken
from hdvg.config.settings import Settings
from hdvg.ids import digest

ASKED_VERSION, QUALITY_VERSION = 1, 1
"""Raise one when code changes the answers: how it is asked and read, how pictures are prepared."""

LEVELS = ("excellent", "good", "fair", "poor", "bad")
"""The words of a score, best first, as in Q-Align (arXiv:2312.17090), which took them from the ITU's scales."""

CHOICES_MOST = 20
"""Servers tell no more likely tokens of a step than these."""

QUALITY_QUESTION = "How would you rate the quality of this video?"

MADE_BY = {"clip-iqa": "hdvg.learned.quality:ClipIqa", "onnx": "hdvg.learned.quality:Network"}

PROMPTS = (("Good photo.", "Bad photo."),)
"""Of CLIP-IQA (arXiv:2207.12396): for and against."""


class Asker(Settings):
    """The model that questions are put to; one of them may name another."""

    by: Literal["vlm", "openai"] = Field(
        "vlm", description="vlm: a model of transformers on this machine; openai: one behind a server"
    )
    model: str | None = Field(None, description="model id or local folder; None is the captioner's own default")
    frames: int = Field(0, ge=0, le=32, description="most frames of the clip's preview that are shown; 0: keyframes")
    keyframe: Literal["first", "middle", "last", "all"] = Field("all", description="the keyframe that is shown")
    layout: Literal["sequence", "grid"] = Field(
        "sequence", description="several pictures are shown one by one or together in one"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto", description="of `vlm`; auto: bfloat16 on a GPU, else float32; int8: weights of 8 bits"
    )
    batch: int = Field(0, ge=0, description="clips at once; 0 finds how many fit into memory")
    memory_gb: float | None = Field(
        None, gt=0, description="memory that batches may take; None is most of what is free"
    )
    endpoint: Endpoint = Endpoint()


class Question(Settings):
    """A question whose answer is a measure: yes or no, one of some words, or a score."""

    question: str = Field("", description="what is asked, such as `Is there a visible logo?`")
    kind: Literal["yes_no", "choice", "score"] = Field(
        "yes_no", description="yes_no: true or false; choice: one of `choices`; score: 0-1 by `choices`, the best first"
    )
    choices: tuple[str, ...] = Field((), description="the answers there are, of choice and score; of a score: levels")
    model: str | None = Field(None, description="another model than `measure.asker.model`")
    frames: int | None = Field(None, ge=0, le=32, description="other than `measure.asker.frames`")
    content: str = Field("", description="noted: what the model's files are")

    @field_validator("question")
    @classmethod
    def _asks(cls, question: str) -> str:
        if not question.strip():
            raise ValueError('measure.ask.NAME.question: nothing is asked; such as "Is there a visible logo?"')
        return question.strip()

    @model_validator(mode="after")
    def _has_choices(self) -> Self:
        names = {one.lower() for one in self.choices if re.search(r"\w", one)}
        most = 0 if self.kind == "yes_no" else CHOICES_MOST
        least = 2 if names or self.kind == "choice" else 0
        if len(names) != len(self.choices) or not least <= len(names) <= most:
            takes = f"two to {CHOICES_MOST} different words" if most else "no `choices`: they are yes and no"
            raise ValueError(
                f"measure.ask: {self.question!r}, kind {self.kind}, choices {list(self.choices)!r}; it takes {takes}"
            )
        return self

    @property
    def answers(self) -> tuple[str, ...]:
        """The words that a model chooses from."""
        if self.kind == "yes_no":
            return ("yes", "no")
        return self.choices or LEVELS

    def columns(self, name: str) -> Declaration:
        """The answer, and how likely it is."""
        likely: Declaration = {f"{name}_p": ("number", f"probability of the likeliest answer, 0-1: {self.question}")}
        if self.kind == "choice":
            return {name: ("label", f"{self.question} One of {', '.join(self.answers)}"), **likely}
        if self.kind == "score":
            ends = f"1 for {self.answers[0]} to 0 for {self.answers[-1]}"
            return {name: ("number", f"{self.question} {ends}"), **likely}
        return {
            name: ("flag", self.question),
            f"{name}_p": ("number", f"probability of yes, 0-1: {self.question}"),
        }


class Quality(Settings):
    """A slot for a model of quality, by local path."""

    kind: Literal["clip-iqa", "q-align", "onnx"] = Field(
        "clip-iqa",
        description="clip-iqa: pictures between prompts, by a CLIP-like model; q-align: levels that a vision-language model says; "
        "onnx: a network that takes a clip's frames, such as DOVER's",
    )
    model: str = Field("", description="its folder, or file of the kind onnx")
    frames: int = Field(0, ge=0, le=32, description="most frames of the clip's preview that it sees; 0: keyframes")
    prompts: tuple[tuple[str, str], ...] = Field(
        PROMPTS, min_length=1, description="of clip-iqa: a text of good and one of bad quality, each"
    )
    content: str = Field("", description="noted: what the model's files are")

    @field_validator("model")
    @classmethod
    def _is_named(cls, model: str) -> str:
        if not model:
            raise ValueError("measure.quality.NAME.model is not set; it takes a local folder, or file of the kind onnx")
        return model

    def columns(self, name: str) -> Declaration:
        """A number; of `q-align` also how likely the likeliest level is."""
        if self.kind == "q-align":
            return self.question.columns(name)
        said = "0-1, higher is better" if self.kind == "clip-iqa" else "as the network has it"
        return {name: ("number", f"quality by {Path(self.model).name}, {said}")}

    @property
    def question(self) -> Question:
        """What a model of the kind `q-align` is asked."""
        return Question(
            question=QUALITY_QUESTION, kind="score", model=self.model, frames=self.frames, content=self.content
        )


def of_question(name: str, one: Question, asker: Asker) -> Taken:
    """The measure that a question is: another question, model or frames are another version of it, and of no other."""
    model, frames = one.model or asker.model, asker.frames if one.frames is None else one.frames
    put = asker.model_copy(update={"model": model, "frames": frames})
    shaping = put.model_dump(exclude={"batch": True, "memory_gb": True, "endpoint": SPENDING})
    shaping["model"] = one.content or model
    del shaping["endpoint" if put.by == "vlm" else "dtype"]  # of the other one
    asked = {"question": one.question, "kind": one.kind, "answers": one.answers}
    version = f"{ASKED_VERSION}.{digest('ask', shaping, asked)[:8]}"
    options = {"name": name, "asker": put.model_dump(), **asked}
    return Taken(name, version, "hdvg.learned.asked:Asked", options, "shots", one.columns(name), is_own=True)


def of_quality(name: str, one: Quality, asker: Asker) -> Taken:
    """The measure that a model of quality is; a folder that moves is no other one."""
    if one.kind == "q-align":
        return of_question(name, one.question, Asker(dtype=asker.dtype, batch=asker.batch, memory_gb=asker.memory_gb))
    options = {"name": name, "model": one.model, "frames": one.frames}
    if one.kind == "clip-iqa":
        options["prompts"] = one.prompts
    shaping = {**options, "model": one.content or one.model, "kind": one.kind}
    version = f"{QUALITY_VERSION}.{digest('quality', shaping)[:8]}"
    return Taken(name, version, MADE_BY[one.kind], options, "shots", one.columns(name), is_own=True)


def check_free(measures: Iterable[tuple[str, str, Declaration]]) -> None:
    """Raise ValueError if two measures, or columns of two, have one name: where each stands, its name and its columns."""
    taken: dict[tuple[str, str], str] = {("column", name): "hdvg" for name in COLUMN_NAMES}
    taken |= {("measure", name): "hdvg" for name in TAKEN_NAMES}
    for where, name, columns in measures:
        if not NAME.fullmatch(name):
            raise ValueError(f"{where}: {name!r} is no name; small letters, digits and _, such as logo")
        for kind, called in (("measure", name), *(("column", column) for column in columns)):
            if taken.setdefault((kind, called), where) != where:
                raise ValueError(
                    f"{where}: a {kind} `{called}` is there already, by {taken[kind, called]}; take another name"
                )
