"""Ask a model about clips, read its answers, and ask again, a bounded number of times, where an answer is no good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from hdvg.captioners import Written, clean, fields, prompting
from hdvg.captioners.composing import composed
from hdvg.captioners.facts import against
from hdvg.config.caption import Writer
from hdvg.errors import ItemError
from hdvg.ids import digest

AGAIN = 2
"""How often a model is asked again about a clip whose answer is no good."""

MAX_TOKENS, FIELDS_TOKENS = 200, 1200
"""Longest answer in tokens where the settings say none: two texts; all fields."""

SHOWN_CHARACTERS = 4000
"""Of an answer that is no good, as the model is shown it again."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Turn(Generic[Made]):
    """What is asked of a model about one clip: `made` is the captioner's own; `measures` are the clip's."""

    made: Made
    measures: Mapping[str, Any]


class Answer(Protocol):
    """What came back of a model."""

    @property
    def text(self) -> str: ...
    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...


def most_tokens(settings: Writer) -> int:
    """Of an answer."""
    return settings.max_tokens or (FIELDS_TOKENS if settings.fields else MAX_TOKENS)


def question_digest(settings: Writer) -> str:
    """What changes with our own question, for a captioner's fingerprint."""
    if not settings.fields:
        return prompting.PROMPT
    told = [prompting.prompt_file(name) for name in ("fields", "keys", "again", "composed")]
    return digest(fields.VERSION, told, fields.names(settings), fields.WORDS)


def converse(
    turns: Sequence[Turn[Made] | None],
    settings: Writer,
    *,
    send: Callable[[Sequence[Made]], Sequence[Answer | ItemError]],
    follow: Callable[[Made, str, str], Made],
) -> list[Written | ItemError]:
    """An answer for each turn, in order, no texts for None. `follow(made, answer, question)` asks on after an answer."""
    done: dict[int, Written | ItemError] = {place: Written({}) for place, turn in enumerate(turns) if turn is None}
    left = {place: turn for place, turn in enumerate(turns) if turn is not None}
    spent: dict[int, list[tuple[int | None, int | None]]] = {place: [] for place in left}
    for trial in range(1 + AGAIN):
        answers = send([turn.made for turn in left.values()]) if left else []
        for (place, turn), answer in zip(list(left.items()), answers, strict=True):
            if isinstance(answer, ItemError):
                done[place] = answer
                del left[place]
                continue
            spent[place].append((answer.prompt_tokens, answer.output_tokens))
            said = _read(answer.text, settings, turn.measures)
            if said.problem and trial < AGAIN:
                again = prompting.prompt_file("again").format(problem=said.problem)
                left[place] = replace(turn, made=follow(turn.made, answer.text[:SHOWN_CHARACTERS], again))
                continue
            done[place] = _outcome(said, settings, turn.measures, spent[place], trial=trial)
            del left[place]
    return [done[place] for place in range(len(turns))]


def _read(answer: str, settings: Writer, measures: Mapping[str, Any]) -> fields.Said:
    if not settings.fields:
        return fields.Said(prompting.read(answer))
    return fields.read(prompting.spoken(answer), settings, duration_s=measures.get("duration_s"))


def _outcome(
    said: fields.Said,
    settings: Writer,
    measures: Mapping[str, Any],
    spent: Sequence[tuple[int | None, int | None]],
    *,
    trial: int,
) -> Written | ItemError:
    if said.problem:
        return ItemError("caption", f"no usable answer in {trial + 1}: {said.problem}")
    columns = dict(said.columns)
    texts = {kind: text for kind, text in said.texts.items() if text}
    if columns:
        columns["said_against"] = against(columns, measures)
        columns["said_how"] = "again" if trial else columns["said_how"]
    if settings.compose and (detailed := composed(columns)):
        texts[fields.DETAILED] = detailed
    cleaned = {kind: clean(text, lower_case=settings.lower_case) for kind, text in texts.items()}
    sent, received = (_sum(counts) for counts in zip(*spent, strict=True))
    return Written(cleaned, sent, received, columns=columns)


def _sum(counts: Sequence[int | None]) -> int | None:
    """Of tokens over all answers, None if a service counted none."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
