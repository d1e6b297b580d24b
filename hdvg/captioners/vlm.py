"""Any image-text-to-text model of transformers, asked in a chat: keyframes in, a short and a detailed text out at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hdvg.captioners import Written, prompting
from hdvg.captioners.endpoint import Reply
from hdvg.captioners.turns import Turn, converse, most_tokens, question_digest
from hdvg.config.caption import Writer
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from hdvg.networks import chat, files
from hdvg.networks.answering import Limits, Model
from hdvg.networks.loading import check_there

DEFAULT_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
BEAMS = 1


@dataclass(frozen=True)
class Asked:
    """A question about a clip, what was answered and asked since, and what the network takes of it all."""

    prompt: prompting.Prompt
    said: tuple[chat.Exchange, ...]
    inputs: chat.Inputs


class Vlm:
    """A vision-language model; batches of `settings.batch` clips, or of as many as fit; see `hdvg.networks.answering`."""

    name = "vlm"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}

    def __init__(self, settings: Writer) -> None:
        self._settings = settings
        self._model = Model(
            settings.model or DEFAULT_MODEL,
            section="caption",
            dtype=settings.dtype,
            batch=settings.batch,
            memory_gb=settings.memory_gb,
        )
        self._limits = Limits(most_tokens(settings), settings.beams or BEAMS)
        self.batch = self._model.batch
        self.model = self._model.named(self.fingerprint(settings))

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; our own question counts too, and a hub id stands for itself."""
        where = settings.model or DEFAULT_MODEL
        check_there(where, setting="caption.model", hint=chat.HINT)
        content = files.digest(Path(where)) if Path(where).is_dir() else where
        return hashlib.sha256(f"{content}\0{question_digest(settings)}".encode()).hexdigest()[:16]

    def prepare(self, shot: Shot) -> Turn[Asked] | None:
        """See `Captioner.prepare`: the pictures, and all that the model's processor makes of them."""
        prompt = prompting.ask(shot, self._settings)
        return None if prompt is None else Turn(self._asked(prompt, ()), shot.measures)

    def write(self, prepared: Sequence[Turn[Asked] | None]) -> list[Written | ItemError]:
        """See `Captioner.write`. Raises ResourceError if not even one clip fits into memory."""
        made = converse(prepared, self._settings, send=self._send, follow=self._follow)
        self.batch = self._model.batch
        return made

    def _asked(self, prompt: prompting.Prompt, said: tuple[chat.Exchange, ...]) -> Asked:
        return Asked(prompt, said, self._model.inputs(prompt.shown.pictures, prompt.question, said))

    def _follow(self, asked: Asked, answer: str, question: str) -> Asked:
        return self._asked(asked.prompt, (*asked.said, (answer, question)))

    def _send(self, several: Sequence[Asked]) -> list[Reply | ItemError]:
        return [Reply(one.text) for one in self._model.answer([asked.inputs for asked in several], self._limits)]
