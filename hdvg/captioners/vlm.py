"""Any image-text-to-text model of transformers, asked in a chat: keyframes in, a short and a detailed text out at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from hdvg.captioners import Written, clean, prompting
from hdvg.config.caption import Writer
from hdvg.keyframes import Shot
from hdvg.networks import chat, files
from hdvg.networks.batches import Batches
from hdvg.networks.loading import check_there, device, named, number_format

DEFAULT_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
BEAMS, MAX_TOKENS = 1, 200
SHORT = "captioner `vlm`: GPU memory ran short on a single clip; try caption.keyframe, caption.dtype or a smaller model"


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
        return hashlib.sha256(f"{content}\0{prompting.PROMPT}".encode()).hexdigest()[:16]

    def prepare(self, shot: Shot) -> chat.Inputs | None:
        """See `Captioner.prepare`: the pictures, and all that the model's processor makes of them."""
        prompt = prompting.ask(shot, self._settings)
        return (
            None if prompt is None else chat.inputs(self._processor, pictures=prompt.pictures, question=prompt.question)
        )

    def write(self, prepared: Sequence[chat.Inputs | None]) -> list[Written]:
        """See `Captioner.write`. Raises ResourceError if not even one clip fits into memory."""
        groups: dict[object, list[int]] = defaultdict(list)
        for place, inputs in enumerate(prepared):
            if inputs is not None:
                groups[chat.shape(inputs)].append(place)
        texts: dict[int, dict[str, str]] = {}
        for places in groups.values():
            alike = [inputs for place in places if (inputs := prepared[place]) is not None]
            texts |= zip(places, self._batches.over(alike, self._write), strict=True)
        self.batch = self._batches.size
        return [Written(texts.get(place, {})) for place in range(len(prepared))]

    def _write(self, several: Sequence[chat.Inputs]) -> list[dict[str, str]]:
        """One forward pass: the texts of each clip."""
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
                max_new_tokens=self._settings.max_tokens or MAX_TOKENS,
            )
        prompt_length = 0 if self._network.config.is_encoder_decoder else batch["input_ids"].shape[1]
        answers = self._processor.batch_decode(tokens_BT[:, prompt_length:], skip_special_tokens=True)
        return [
            {kind: clean(text, lower_case=self._settings.lower_case) for kind, text in prompting.read(answer).items()}
            for answer in answers
        ]
