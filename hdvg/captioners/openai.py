"""Any service that speaks OpenAI's chat completions, vLLM and SGLang among them: pictures out, texts, or fields as JSON, in."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hdvg.captioners import Written, fields, prompting
from hdvg.captioners.endpoint import Reply, Request, Service, is_refused
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
        self._forms = _forms(settings)
        self._model = named_model(settings, self._service)
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
        addresses = [f"data:image/jpeg;base64,{b64encode(jpeg).decode()}" for jpeg in prompt.jpegs()]
        content: list[object] = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
        content.append({"type": "text", "text": prompt.question})
        return Turn(first_request(self._model, content, max_tokens=most_tokens(self._settings)), shot.measures)

    def write(self, prepared: Sequence[Turn[Request] | None]) -> list[Written | ItemError]:
        """See `Captioner.write` and `Service.ask`."""
        return converse(prepared, self._settings, send=self._send, follow=follow)

    def _send(self, requests: Sequence[Request]) -> list[Reply | ItemError]:
        """The answers. A server that refuses to decode by our schema is asked for any JSON, then for text, and so from then on.

        Of what it refuses in every form the request itself is at fault, and the next ones are asked as before.
        """
        forms = self._forms
        replies = self._service.ask([{**request, **forms[0]} for request in requests])
        for number, form in enumerate(forms[1:], start=1):
            refused = [place for place, reply in enumerate(replies) if is_refused(reply)]
            again = self._service.ask([{**requests[place], **form} for place in refused]) if refused else []
            for place, reply in zip(refused, again, strict=True):
                replies[place] = reply
            if self._forms is forms and any(isinstance(reply, Reply) for reply in again):
                self._forms = forms[number:]
        return replies


def named_model(settings: Writer, service: Service) -> str:
    """The model that the settings name, or the only one that is served. Raises UsageError where there is no such one."""
    if settings.model:
        return settings.model
    names = service.models()
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise UsageError(f"caption.model is not set, and {settings.endpoint.url} serves {listed}; set it to one")
    return names[0]


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


def first_request(model: str, content: object, *, max_tokens: int) -> Request:
    """The request that opens a conversation, for the likeliest answer."""
    asked = [{"role": "user", "content": content}]
    return {"model": model, "messages": asked, "max_tokens": max_tokens, "temperature": 0, "seed": 0}


def follow(request: Request, answer: str, question: str) -> Request:
    """The request that asks on after an answer."""
    said = [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
    return {**request, "messages": [*request["messages"], *said]}
