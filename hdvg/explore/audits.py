"""The audit's page: which question is next, answers as they are given, and the rates, but only of an audit that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from hdvg.audit import sitting as audits
from hdvg.audit.results import agreement, results, standing
from hdvg.audit.sitting import Sitting
from hdvg.errors import UsageError
from hdvg.explore.grid import OF_FILES, place_of, take
from hdvg.explore.masks import Asking
from hdvg.explore.state import Explorer, State

AHEAD = 8
"""Questions that the page is sent at once."""

Body = Mapping[str, Any]


def ahead(state: State, explorer: Explorer, request: Request) -> Any:
    """How far the audit has come, and the questions that are next for this person; no verdict is in them."""
    held = audits.sittings(state.dataset)
    if not held:
        raise UsageError("no audit is open: `hdvg audit DATASET` draws one")
    sitting = held[-1]
    rows = [] if sitting.has_ended else sitting.left(explorer.author)[:AHEAD]
    shown = [{**_words(row), "media": _media(state, row["clip_id"])} for row in rows]
    return {**standing(state.dataset, sitting, explorer.author), "author": explorer.author, "ahead": shown}


def answer(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Store one answer, or take one back with null; durable when this returns."""
    question, said = body.get("question"), body.get("answer")
    if not isinstance(question, str) or not isinstance(said, str | None):
        raise UsageError("an answer: question is a text, answer `yes`, `no`, `unsure` or null")
    sitting = _open(state)
    audits.record(state.dataset, sitting, explorer.author, {question: said})
    return standing(state.dataset, _open(state), explorer.author)


def end(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """End the audit for good; its rates are shown from now on."""
    audits.end(state.dataset, _open(state), explorer.author)
    return {"has_ended": True}


def result(state: State, explorer: Explorer, request: Request) -> Any:
    """The rates of audits that have ended."""
    held = audits.sittings(state.dataset)
    if not held or not held[-1].has_ended:
        raise UsageError("rates are hidden until the audit has ended")
    return {"audit": held[-1].audit, "rates": results(state.dataset), "agreement": asdict(agreement(held[-1]))}


def _open(state: State) -> Sitting:
    held = audits.current(state.dataset)
    if held is None:
        raise UsageError("the audit has ended, or none was begun: `hdvg audit DATASET --new` draws another")
    return held


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    question, _, text = row["asked"].partition(" “") if row["topic"] == "caption" else (row["asked"], "", "")
    return {
        "question": row["question"],
        "clip_id": row["clip_id"],
        "asked": question,
        "text": text.removesuffix("”") or None,
    }


def _media(state: State, clip_id: str) -> dict[str, Any]:
    place = place_of(state, clip_id)
    if place is None:
        return {"state": "gone", "codec": None, "type": None, "why": "the clip is not in the dataset any more"}
    return state.files.media(take(state, [place], ["clip_id", *OF_FILES]).to_pylist()[0])


QUESTIONS = {"/api/audit/answer": answer, "/api/audit/end": end}
LOOKS = {"/api/audit/ahead": ahead, "/api/audit/result": result}
