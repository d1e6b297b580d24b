"""A text model behind an endpoint writes another writer's texts of a clip anew; no picture is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hdvg.captioners import Written, prompting
from hdvg.captioners.endpoint import Request, Service
from hdvg.captioners.facts import sentence
from hdvg.captioners.openai import ROUNDS, first_request, follow, named_digest
from hdvg.captioners.turns import MAX_TOKENS, Turn, converse
from hdvg.config.caption import Writer
from hdvg.errors import ItemError, UsageError
from hdvg.keyframes import Shot


class Rewrite:
    """The texts of the writer `caption.also.NAME.rewrites`, and what was measured, as one short and one detailed text."""

    name = "rewrite"
    needs: ClassVar[Mapping[str, str]] = {"openai": "openai"}

    def __init__(self, settings: Writer) -> None:
        if settings.fields or settings.frames:
            raise UsageError("caption.fields, caption.frames: captioner `rewrite` sees no clip; leave them out")
        self._settings = settings
        self._service = Service(settings.endpoint)
        self._model = self._service.model(settings.model)
        self.batch = settings.batch or ROUNDS * settings.endpoint.concurrency
        self.model = f"{self._model} @ {self.fingerprint(settings)[:8]}"

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`: of address, model name and our own question."""
        return named_digest(settings, prompting.prompt_file("rewrite"))

    def prepare(self, shot: Shot) -> Turn[Request] | None:
        """See `Captioner.prepare`: the request; None for a clip without a text."""
        texts: list[dict[str, Any]] = shot.measures.get("written") or []
        if not texts:
            return None
        listed = "\n".join(f"- {one['text']}" for one in texts)
        ours = prompting.prompt_file("rewrite").format(
            texts=listed, facts=sentence(shot.measures), language=prompting.in_language(self._settings)
        )
        question = f"{self._settings.prompt}\n{listed}" if self._settings.prompt else ours
        most = self._settings.max_tokens or 2 * MAX_TOKENS
        return Turn(first_request(self._model, question, max_tokens=most), shot.measures)

    def write(self, prepared: Sequence[Turn[Request] | None]) -> list[Written | ItemError]:
        """See `Captioner.write` and `Service.ask`."""
        return converse(prepared, self._settings, send=self._service.ask, follow=follow)
