"""Any service that speaks OpenAI's chat completions, vLLM and SGLang among them: keyframes out, both texts in at once."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hdvg.captioners import Written, clean, prompting
from hdvg.captioners.endpoint import Reply, Request, Service
from hdvg.config.caption import Writer
from hdvg.errors import ItemError, UsageError
from hdvg.keyframes import Shot

MAX_TOKENS = 200
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
        self._model = settings.model or self._only_model()
        self.batch = settings.batch or ROUNDS * settings.endpoint.concurrency
        self.model = f"{self._model} @ {self.fingerprint(settings)[:8]}"

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`: of address, model name and our own question; nothing is asked of the server."""
        named = f"{settings.endpoint.url}\0{settings.model or ''}\0{prompting.PROMPT}"
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def prepare(self, shot: Shot) -> Request | None:
        """See `Captioner.prepare`: the request, with the keyframes as they are stored."""
        prompt = prompting.ask(shot, self._settings)
        if prompt is None:
            return None
        addresses = [f"data:image/jpeg;base64,{b64encode(jpeg).decode()}" for jpeg in prompt.jpegs()]
        content: list[object] = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": [*content, {"type": "text", "text": prompt.question}]}],
            "max_tokens": self._settings.max_tokens or MAX_TOKENS,
            "temperature": 0,
            "seed": 0,
        }

    def write(self, prepared: Sequence[Request | None]) -> list[Written | ItemError]:
        """See `Captioner.write` and `Service.ask`."""
        replies = iter(self._service.ask([request for request in prepared if request is not None]))
        return [Written({}) if request is None else self._written(next(replies)) for request in prepared]

    def _written(self, reply: Reply | ItemError) -> Written | ItemError:
        if isinstance(reply, ItemError):
            return reply
        texts = prompting.read(reply.text)
        cleaned = {kind: clean(text, lower_case=self._settings.lower_case) for kind, text in texts.items()}
        return Written(cleaned, reply.prompt_tokens, reply.output_tokens)

    def _only_model(self) -> str:
        names = self._service.models()
        if len(names) != 1:
            listed = ", ".join(names) or "none"
            raise UsageError(
                f"caption.model is not set, and {self._settings.endpoint.url} serves {listed}; set it to one"
            )
        return names[0]
