"""A question as a measure: a vision-language model, here or behind a server, is shown a clip's stored pictures and asked it.

The answer is one of a few words. How likely each was is told by the probabilities of the answer's tokens; a server that tells none
gives the answer alone. A score is the mean of its levels, weighted by these, as Q-Align has it (arXiv:2312.17090).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from hdvg.captioners import prompting
from hdvg.captioners.endpoint import Reply, Request, Service
from hdvg.captioners.forms import Forms
from hdvg.captioners.openai import ROUNDS, first_request, follow, shown
from hdvg.captioners.turns import AGAIN, SHOWN_CHARACTERS
from hdvg.captioners.vlm import DEFAULT_MODEL
from hdvg.config.asked import CHOICES_MOST, Asker
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from hdvg.learned.answers import said, shares
from hdvg.networks import chat
from hdvg.networks.answering import Limits, Model, Step

SECTION = "measure.asker"

TOKENS = 16
"""Of an answer here; a model behind a server may think aloud before it answers."""
SERVED_TOKENS = 1024

ASKED = "{shown} {question} Answer with {answers}, and nothing else."
AGAIN_ASKED = "That was none of the answers. Answer with {answers}, and nothing else."

Asking = TypeVar("Asking")
Values = Mapping[str, Any]


class Answer(Protocol):
    """What came back of a model."""

    @property
    def text(self) -> str: ...
    @property
    def steps(self) -> Sequence[Step]: ...


class Talk(Protocol[Asking]):
    """A model to ask."""

    @property
    def batch(self) -> int: ...
    def open(self, pictures: prompting.Shown, question: str) -> Asking: ...
    def follow(self, asked: Asking, answer: str, question: str) -> Asking: ...
    def answers(self, several: Sequence[Asking]) -> Sequence[Answer | ItemError]: ...


class Asked:
    """Its columns are those of `hdvg.config.asked.Question`; all is None of a clip of which no picture decodes."""

    def __init__(
        self, *, name: str, asker: Mapping[str, Any], question: str, kind: str, answers: Sequence[str]
    ) -> None:
        self._asker = Asker.model_validate(asker)
        self._name, self._kind, self._answers = name, kind, tuple(answers)
        listed = f"{', '.join(self._answers[:-1])} or {self._answers[-1]}"
        self._question, self._again = (question, listed), AGAIN_ASKED.format(answers=listed)
        self._talk = talk(self._asker.model_dump_json(exclude={"frames", "keyframe", "layout"}))

    @property
    def frames(self) -> int:
        """Whether previews are shown, and how much of them."""
        return self._asker.frames

    @property
    def batch(self) -> int:
        """Clips at once."""
        return self._talk.batch

    def measure(self, shots: Sequence[Shot]) -> list[Values | ItemError]:
        """The answer about each clip, in order. An answer that is none of those there are is asked for again, a bounded number
        of times; then it is the clip's failure. Raises UsageError and ResourceError as the model does."""
        with ThreadPoolExecutor() as pool:
            opened = list(pool.map(self._open, shots))
        done: dict[int, Values | ItemError] = {
            place: self._values(None, None) for place, one in enumerate(opened) if one is None
        }
        left = {place: one for place, one in enumerate(opened) if one is not None}
        for trial in range(1 + AGAIN):
            answers = self._talk.answers(list(left.values())) if left else []
            for (place, asked), answer in zip(list(left.items()), answers, strict=True):
                if isinstance(answer, ItemError):
                    done[place] = answer
                elif (found := said(answer.text, self._answers)) is not None:
                    done[place] = self._values(found, shares(answer.steps, self._answers))
                elif trial < AGAIN:
                    left[place] = self._talk.follow(asked, answer.text[:SHOWN_CHARACTERS], self._again)
                    continue
                else:
                    text = " ".join(answer.text.split())[:80]
                    done[place] = ItemError("caption", f"no usable answer in {trial + 1}: {text!r}")
                del left[place]
        return [done[place] for place in range(len(shots))]

    def _open(self, shot: Shot) -> Any:  # Any: what its model takes
        pictures = prompting.show(shot, self._asker)
        if pictures is None:
            return None
        question, listed = self._question
        return self._talk.open(pictures, ASKED.format(shown=pictures.sentence, question=question, answers=listed))

    def _values(self, found: str | None, chances: Mapping[str, float] | None) -> Values:
        """The likeliest answer is the one that counts, where it is known which that is."""
        first, likely = self._name, f"{self._name}_p"
        if found is None:
            return {first: None, likely: None}
        best = found if chances is None else max(chances, key=lambda one: chances[one])
        if self._kind == "yes_no":
            return {first: best == "yes", likely: chances and chances["yes"]}
        share = chances and chances[best]
        if self._kind == "choice":
            return {first: best, likely: share}
        step = 1 / (len(self._answers) - 1)
        levels = {one: 1 - place * step for place, one in enumerate(self._answers)}
        score = levels[best] if chances is None else sum(levels[one] * chances[one] for one in self._answers)
        return {first: min(max(score, 0.0), 1.0), likely: share}


@functools.lru_cache(maxsize=4)
def talk(settings: str) -> Talk[Any]:
    """The model of these settings (JSON), loaded once for all questions to it."""
    asker = Asker.model_validate_json(settings)
    return Served(asker) if asker.by == "openai" else Here(asker)


@dataclass(frozen=True)
class Spoken:
    """What was asked here: the pictures, the question, what was said since, and what the network takes of it all."""

    pictures: prompting.Shown
    question: str
    said: tuple[chat.Exchange, ...]
    inputs: chat.Inputs


class Here:
    """A model of transformers on this machine."""

    def __init__(self, asker: Asker) -> None:
        where = asker.model or DEFAULT_MODEL
        self._model = Model(where, section=SECTION, dtype=asker.dtype, batch=asker.batch, memory_gb=asker.memory_gb)
        self._limits = Limits(TOKENS, told=CHOICES_MOST)

    @property
    def batch(self) -> int:
        return self._model.batch

    def open(self, pictures: prompting.Shown, question: str) -> Spoken:
        return Spoken(pictures, question, (), self._model.inputs(pictures.pictures, question))

    def follow(self, asked: Spoken, answer: str, question: str) -> Spoken:
        so_far = (*asked.said, (answer, question))
        inputs = self._model.inputs(asked.pictures.pictures, asked.question, so_far)
        return Spoken(asked.pictures, asked.question, so_far, inputs)

    def answers(self, several: Sequence[Spoken]) -> Sequence[Answer | ItemError]:
        return self._model.answer([one.inputs for one in several], self._limits)


class Served:
    """A model behind a server; one that refuses to tell probabilities is asked without."""

    def __init__(self, asker: Asker) -> None:
        service = Service(asker.endpoint, section=SECTION)
        self._model = service.model(asker.model)
        self._forms = Forms(service.ask, ({"logprobs": True, "top_logprobs": CHOICES_MOST}, {}))
        self.batch = asker.batch or ROUNDS * asker.endpoint.concurrency

    def open(self, pictures: prompting.Shown, question: str) -> Request:
        return first_request(self._model, shown(pictures.jpegs(), question), max_tokens=SERVED_TOKENS)

    def follow(self, asked: Request, answer: str, question: str) -> Request:
        return follow(asked, answer, question)

    def answers(self, several: Sequence[Request]) -> Sequence[Reply | ItemError]:
        return self._forms.ask(several)
