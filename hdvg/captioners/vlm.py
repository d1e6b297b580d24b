"""Any image-text-to-text model of transformers, asked in a chat: keyframes in, a short and a detailed text out at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
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
from hdvg.networks.batches import Batches
from hdvg.networks.loading import check_there, device, named, number_format

DEFAULT_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
BEAMS = 1
SHORT = "captioner `vlm`: GPU memory ran short on a single clip; try caption.keyframe, caption.dtype or a smaller model"


@dataclass(frozen=True)
class Asked:
    """A question about a clip, what was answered and asked since, and what the network takes of it all."""

    prompt: prompting.Prompt
    said: tuple[chat.Exchange, ...]
    inputs: chat.Inputs


class Vlm:
    """A vision-language model on the GPU if there is one; batches of `settings.batch` clips, or of as many as fit; see `Batches`.

    In float32 a text does not depend on its batch; in fewer bits rounding may now and then tip the choice of a word.
    """

    name = "vlm"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}

    def __init__(self, settings: Writer) -> None:
        self._settings = settings
        self._device = device()
        self._form = number_format(settings.dtype, setting="caption.dtype")
        where = settings.model or DEFAULT_MODEL
        self._processor, network = chat.load(where, form=self._form)
        self._network = network.to(self._device)
        self._batches = Batches(fixed=settings.batch, device=self._device, memory_gb=settings.memory_gb, short=SHORT)
        self.batch = self._batches.size
        self.model = named(where, network, digits=self.fingerprint(settings))

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
        self.batch = self._batches.size
        return made

    def _asked(self, prompt: prompting.Prompt, said: tuple[chat.Exchange, ...]) -> Asked:
        inputs = chat.inputs(self._processor, pictures=prompt.pictures, question=prompt.question, said=said)
        return Asked(prompt, said, inputs)

    def _follow(self, asked: Asked, answer: str, question: str) -> Asked:
        return self._asked(asked.prompt, (*asked.said, (answer, question)))

    def _send(self, several: Sequence[Asked]) -> list[Reply | ItemError]:
        """Their answers, those that fit into one batch together."""
        groups: dict[object, list[int]] = defaultdict(list)
        for place, asked in enumerate(several):
            groups[chat.shape(asked.inputs)].append(place)
        answers: dict[int, str] = {}
        for places in groups.values():
            alike = [several[place].inputs for place in places]
            answers |= zip(places, self._batches.over(alike, self._write), strict=True)
        return [Reply(answers[place]) for place in range(len(several))]

    def _write(self, several: Sequence[chat.Inputs]) -> list[str]:
        """One forward pass: the answer about each clip."""
        import torch

        batch = {name: tensor.to(self._device) for name, tensor in chat.merged(several).items()}
        batch = {
            name: tensor.to(self._form.compute) if tensor.is_floating_point() else tensor
            for name, tensor in batch.items()
        }
        with torch.inference_mode():
            tokens_BT = self._network.generate(
                **batch,
                do_sample=False,
                num_beams=self._settings.beams or BEAMS,
                max_new_tokens=most_tokens(self._settings),
            )
        prompt_length = 0 if self._network.config.is_encoder_decoder else batch["input_ids"].shape[1]
        answers: list[str] = self._processor.batch_decode(tokens_BT[:, prompt_length:], skip_special_tokens=True)
        return answers
