"""Any image-text-to-text model of transformers, asked in a chat: keyframes in, a short and a detailed text out at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from hdvg.captioners import Shot, Written, clean, prompting
from hdvg.captioning import Writer
from hdvg.errors import UsageError
from hdvg.networks import chat, files
from hdvg.networks.batches import in_batches
from hdvg.networks.loading import check_there

DEFAULT_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
BATCH, BEAMS, MAX_TOKENS = 8, 1, 200
SHORT = "captioner `vlm`: GPU memory ran short on a single clip; try caption.keyframe, caption.dtype or a smaller model"


class Vlm:
    """A vision-language model on the GPU if there is one; at most `settings.batch` clips at once, fewer once memory ran short.

    In float32 a text does not depend on its batch; in 16 bits rounding may now and then tip the choice of a word.
    """

    name = "vlm"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}

    def __init__(self, settings: Writer) -> None:
        import torch

        if settings.dtype == "int8":
            raise UsageError("caption.dtype = 'int8': captioner `vlm` takes auto, float32, bfloat16, float16")
        self._settings = settings
        self.batch = settings.batch or BATCH
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        auto = "bfloat16" if self._device == "cuda" else "float32"
        self._dtype = getattr(torch, auto if settings.dtype == "auto" else settings.dtype)
        where = settings.model or DEFAULT_MODEL
        self._processor, network = chat.load(where, dtype=self._dtype)
        self._network = network.to(self._device).eval()
        # the hub's commit is the content's hash; a folder has none, so its own fingerprint stands in
        revision = getattr(network.config, "_commit_hash", None) or self.fingerprint(settings)
        self.model = f"{Path(where).name if Path(where).is_dir() else where} {revision[:8]}"

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; our own question counts too, and a hub id stands for itself."""
        where = settings.model or DEFAULT_MODEL
        check_there(where, setting="caption.model", hint=chat.HINT)
        content = files.digest(Path(where)) if Path(where).is_dir() else where
        return hashlib.sha256(f"{content}\0{prompting.PROMPT}".encode()).hexdigest()[:16]

    def prepare(self, shot: Shot) -> chat.Inputs | None:
        """See `Captioner.prepare`: the pictures, and all that the model's processor makes of them."""
        asked = prompting.ask(shot, self._settings)
        return None if asked is None else chat.inputs(self._processor, pictures=asked.pictures, question=asked.question)

    def write(self, prepared: Sequence[chat.Inputs | None]) -> list[Written]:
        """See `Captioner.write`. Raises ResourceError if not even one clip fits into memory."""
        groups: dict[object, list[int]] = defaultdict(list)
        for place, inputs in enumerate(prepared):
            if inputs is not None:
                groups[chat.shape(inputs)].append(place)
        texts: dict[int, dict[str, str]] = {}
        for places in groups.values():
            alike = [inputs for place in places if (inputs := prepared[place]) is not None]
            written, self.batch = in_batches(self._write, items=alike, size=self.batch, short=SHORT)
            texts |= zip(places, written, strict=True)
        return [Written(texts.get(place, {})) for place in range(len(prepared))]

    def _write(self, several: Sequence[chat.Inputs]) -> list[dict[str, str]]:
        """One forward pass: the texts of each clip."""
        import torch

        batch = {name: tensor.to(self._device) for name, tensor in chat.merged(several).items()}
        batch = {
            name: tensor.to(self._dtype) if tensor.is_floating_point() else tensor for name, tensor in batch.items()
        }
        with torch.inference_mode():
            tokens_BT = self._network.generate(
                **batch,
                do_sample=False,
                num_beams=self._settings.beams or BEAMS,
                max_new_tokens=self._settings.max_tokens or MAX_TOKENS,
            )
        asked = 0 if self._network.config.is_encoder_decoder else batch["input_ids"].shape[1]
        answers = self._processor.batch_decode(tokens_BT[:, asked:], skip_special_tokens=True)
        return [
            {kind: clean(text, lower_case=self._settings.lower_case) for kind, text in prompting.read(answer).items()}
            for answer in answers
        ]
