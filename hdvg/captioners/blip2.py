"""BLIP-2, the captioner of HD-VG-130M: a keyframe in, the text a language model continues from it out.

Paper: Li et al., BLIP-2 (arXiv:2301.12597), by transformers' implementation; any checkpoint in its layout.
Shapes: S shots, P pictures of all of them, C H W one picture, T tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hdvg.captioners import Written, clean
from hdvg.captioners.merging import IN_TIME, merged
from hdvg.config.caption import Writer
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.networks import files
from hdvg.networks.batches import Batches
from hdvg.networks.loading import check_there, device, named, number_format, pretrained
from hdvg.networks.pictures import decode_rgb

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL = "Salesforce/blip2-opt-2.7b"
BEAMS, MAX_TOKENS = 5, 30
CLASSES = ("Blip2Processor", "Blip2ForConditionalGeneration")
HINT = (
    f"it takes a folder written by save_pretrained, or a hub id such as {DEFAULT_MODEL} (cached, or the hub in reach)"
)
SHORT = "captioner `blip2`: GPU memory ran short on a single clip; try caption.beams=1, caption.dtype=bfloat16 or a smaller model"


@dataclass(frozen=True)
class Pixels:
    """The keyframes of a shot that decode, as the network takes them; at least one."""

    positions: tuple[str, ...]
    pixels_PCHW: torch.Tensor


class Blip2:
    """BLIP-2 on the GPU if there is one; batches of `settings.batch` shots, or of as many as fit; see `Batches`.

    In float32 a text does not depend on its batch. In fewer bits rounding may differ with the batch and now and then
    tip the choice between two near-equal words.
    """

    name = "blip2"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}

    def __init__(self, settings: Writer, loaded: tuple[Any, Any] | None = None) -> None:
        """`loaded`: a processor and a network in memory, instead of the model that `settings` names."""
        self._settings = settings
        self._device = device()
        self._form = number_format(settings.dtype, setting="caption.dtype")
        where = settings.model or DEFAULT_MODEL
        self._processor, network = loaded or pretrained(
            where, classes=CLASSES, form=self._form, setting="caption.model", hint=HINT
        )
        if network.config.image_token_index is None:
            raise UsageError(f"caption.model = {where!r}: no BLIP-2, config.json has no image_token_index; {HINT}")
        if self._processor.num_query_tokens is None:  # older checkpoints; a prompt then has no room for the picture
            self._processor.num_query_tokens = network.config.num_query_tokens
        self._network = network.to(self._device)
        self._prompt = _prompt_tokens(self._processor, settings.prompt)
        self._batches = Batches(fixed=settings.batch, device=self._device, memory_gb=settings.memory_gb, short=SHORT)
        self.batch = self._batches.size
        self.model = named(where, network, digits=self.fingerprint(settings))

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; of a folder see `files.digest`.

        A hub id stands for itself: nothing is asked of the hub. Raises UsageError for a folder without a model.
        """
        where = settings.model or DEFAULT_MODEL
        check_there(where, setting="caption.model", hint=HINT)
        digits = files.digest(Path(where)) if Path(where).is_dir() else hashlib.sha256(where.encode()).hexdigest()
        return digits[:16]

    def prepare(self, shot: Shot) -> Pixels | None:
        """See `Captioner.prepare`."""
        wanted = IN_TIME if self._settings.keyframe == "all" else (self._settings.keyframe,)
        decoded = {position: decode_rgb(shot.keyframes.get(position, b"")) for position in wanted}
        pictures = {position: picture for position, picture in decoded.items() if picture is not None}
        if not pictures:
            return None
        inputs = self._processor(images=list(pictures.values()), return_tensors="pt")
        return Pixels(tuple(pictures), inputs["pixel_values"].to(self._form.compute))

    def write(self, prepared: Sequence[Pixels | None]) -> list[Written]:
        """See `Captioner.write`. Raises ResourceError if not even one shot fits into memory."""
        texts = iter(self._batches.over([pixels for pixels in prepared if pixels is not None], self._texts))
        self.batch = self._batches.size
        return [Written({} if pixels is None else {"short": next(texts)}) for pixels in prepared]

    def _texts(self, shots: Sequence[Pixels]) -> list[str]:
        """One forward pass: a text a shot."""
        said = iter(self._say(shots))
        by_position = [dict(zip(shot.positions, islice(said, len(shot.positions)), strict=True)) for shot in shots]
        return [merged(texts, rule=self._settings.merge) for texts in by_position]

    def _say(self, shots: Sequence[Pixels]) -> list[str]:
        """A text a picture."""
        import torch

        pixels_PCHW = torch.cat([shot.pixels_PCHW for shot in shots])
        if self._device == "cuda":
            pixels_PCHW = pixels_PCHW.pin_memory().to(self._device, non_blocking=True)
        prompt = {name: ids_1T.repeat(len(pixels_PCHW), 1) for name, ids_1T in self._prompt.items()}
        with torch.inference_mode():
            tokens_PT = self._network.generate(
                pixel_values=pixels_PCHW,
                **{name: ids_PT.to(self._device) for name, ids_PT in prompt.items()},
                do_sample=False,
                num_beams=self._settings.beams or BEAMS,
                max_new_tokens=self._settings.max_tokens or MAX_TOKENS,
            ).cpu()
        if prompt:  # a decoder-only language model repeats what it continues
            length = prompt["input_ids"].shape[1]
            if torch.equal(tokens_PT[:, :length], prompt["input_ids"]):
                tokens_PT = tokens_PT[:, length:]
        texts = self._processor.batch_decode(tokens_PT, skip_special_tokens=True)
        return [clean(text, lower_case=self._settings.lower_case) for text in texts]


def _prompt_tokens(processor: Any, prompt: str | None) -> dict[str, torch.Tensor]:
    """The prompt's ids and mask, (1, T), behind room for what is seen of a picture; nothing if there is no prompt."""
    from PIL import Image

    if prompt is None:
        return {}
    inputs = processor(images=Image.new("RGB", (32, 32)), text=prompt, return_tensors="pt")
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}
