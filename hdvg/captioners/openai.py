"""Any service that speaks OpenAI's chat completions, vLLM and SGLang among them: pictures out, texts, or fields as JSON, in."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hdvg.captioners import Written, fields, prompting
from hdvg.captioners.endpoint import Request, Service
from hdvg.captioners.forms import Forms
from hdvg.captioners.turns import Turn, converse, most_tokens, question_digest
from hdvg.config.caption import Writer
from hdvg.errors import ItemError, UsageError
from hdvg.keyframes import Shot

ROUNDS = 4
"""Requests of one batch for each that may run at once, so that those that take long leave few slots idle."""


class OpenAi:
    """A model behind an endpoint, `endpoint.concurrency` requests at once; see `Service` for how failures end."""

    name = "openai"
    needs: ClassVar[Mapping[str, str]] = {"openai": "openai", "PIL": "Pillow"}

    def __init__(self, settings: Writer) -> None:
        if settings.beams not in (None, 1):
            raise UsageError(f"caption.beams = {settings.beams}: captioner `openai` has no beam search; leave it out")
        self._settings = settings
        self._service = Service(settings.endpoint)
        self._forms = Forms(self._service.ask, _forms(settings))
        self._model = self._service.model(settings.model)
        self.batch = settings.batch or ROUNDS * settings.endpoint.concurrency
        self.model = f"{self._model} @ {self.fingerprint(settings)[:8]}"

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`: of address, model name and our own question; nothing is asked of the server."""
        return named_digest(settings, question_digest(settings))

    def prepare(self, shot: Shot) -> Turn[Request] | None:
        """See `Captioner.prepare`: the request, with the keyframes as they are stored."""
        prompt = prompting.ask(shot, self._settings)
        if prompt is None:
            return None
        content = shown(prompt.shown.jpegs(), prompt.question)
        return Turn(first_request(self._model, content, max_tokens=most_tokens(self._settings)), shot.measures)

    def write(self, prepared: Sequence[Turn[Request] | None]) -> list[Written | ItemError]:
        """See `Captioner.write` and `Service.ask`."""
        return converse(prepared, self._settings, send=self._forms.ask, follow=follow)


def _forms(settings: Writer) -> tuple[Request, ...]:
    """What is added to a request so that the answer has the form wanted, the strictest first."""
    if not settings.fields:
        return ({},)
    schema = {"name": "clip", "strict": True, "schema": fields.schema(settings)}
    kinds: tuple[Request, ...] = ({"type": "json_schema", "json_schema": schema}, {"type": "json_object"})
    return (*({"response_format": kind} for kind in kinds), {})


def named_digest(settings: Writer, question: str) -> str:
    """16 hex digits of address, model name and what stands for the question."""
    named = f"{settings.endpoint.url}\0{settings.model or ''}\0{question}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def shown(jpegs: Sequence[bytes], question: str) -> list[object]:
    """What a request shows and asks: pictures, then the question."""
    addresses = [f"data:image/jpeg;base64,{b64encode(jpeg).decode()}" for jpeg in jpegs]
    content: list[object] = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
    return [*content, {"type": "text", "text": question}]


def first_request(model: str, content: object, *, max_tokens: int) -> Request:
    """The request that opens a conversation, for the likeliest answer."""
    asked = [{"role": "user", "content": content}]
    return {"model": model, "messages": asked, "max_tokens": max_tokens, "temperature": 0, "seed": 0}


def follow(request: Request, answer: str, question: str) -> Request:
    """The request that asks on after an answer."""
    said = [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
    return {**request, "messages": [*request["messages"], *said]}
