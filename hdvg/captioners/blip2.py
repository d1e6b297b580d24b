"""BLIP-2, the captioner of HD-VG-130M: one keyframe in, the text a language model continues from it out.

Paper: Li et al., BLIP-2 (arXiv:2301.12597), by transformers' implementation; any checkpoint in its layout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hdvg.captioners import Shot, Written, clean
from hdvg.captioning import Writer
from hdvg.errors import UsageError
from hdvg.networks import files
from hdvg.networks.batches import in_batches

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_MODEL = "Salesforce/blip2-opt-2.7b"
BATCH, BEAMS, MAX_TOKENS = 8, 5, 30
SHORT = "captioner `blip2`: GPU memory ran short on a single picture; try caption.beams=1, caption.dtype=bfloat16 or a smaller model"


class Blip2:
    """BLIP-2 on the GPU if there is one; at most `settings.batch` pictures at once, fewer once memory ran short.

    In float32 a text does not depend on its batch. In 16 bits rounding may differ with the batch and now and then tip
    the choice between two near-equal words.
    """

    name = "blip2"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}

    def __init__(self, settings: Writer) -> None:
        import torch

        self._settings = settings
        self.batch = settings.batch or BATCH
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        auto = "bfloat16" if self._device == "cuda" else "float32"
        self._dtype = getattr(torch, auto if settings.dtype == "auto" else settings.dtype)
        where = settings.model or DEFAULT_MODEL
        self._processor, network = _load(where, dtype=self._dtype)
        self._network = network.to(self._device).eval()
        # the hub's commit is the content's hash; a folder has none, so its own fingerprint stands in
        revision = getattr(network.config, "_commit_hash", None) or self.fingerprint(settings)
        self.model = f"{Path(where).name if Path(where).is_dir() else where} {revision[:8]}"

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; of a folder see `files.digest`.

        A hub id stands for itself: nothing is asked of the hub.
        """
        where = settings.model or DEFAULT_MODEL
        digits = files.digest(Path(where)) if Path(where).is_dir() else hashlib.sha256(where.encode()).hexdigest()
        return digits[:16]

    def prepare(self, shot: Shot) -> Image.Image | None:
        """See `Captioner.prepare`."""
        return _decode(shot.keyframes.get(self._settings.keyframe, b""))

    def write(self, prepared: Sequence[Image.Image | None]) -> list[Written]:
        """See `Captioner.write`. Raises ResourceError if not even one picture fits into memory."""
        pictures = [picture for picture in prepared if picture is not None]
        written, self.batch = in_batches(self._write, items=pictures, size=self.batch, short=SHORT)
        texts = iter(written)
        return [Written({} if picture is None else {"short": next(texts)}) for picture in prepared]

    def _write(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One forward pass: a text a picture."""
        import torch

        prompts = None if self._settings.prompt is None else [self._settings.prompt] * len(pictures)
        inputs = self._processor(images=list(pictures), text=prompts, return_tensors="pt")
        inputs = inputs.to(self._device, self._dtype)
        with torch.inference_mode():
            tokens_BT = self._network.generate(
                **inputs,
                do_sample=False,
                num_beams=self._settings.beams or BEAMS,
                max_new_tokens=self._settings.max_tokens or MAX_TOKENS,
            )
        if prompts:  # a decoder-only language model repeats what it continues
            length = inputs["input_ids"].shape[1]
            if torch.equal(tokens_BT[:, :length], inputs["input_ids"]):
                tokens_BT = tokens_BT[:, length:]
        texts = self._processor.batch_decode(tokens_BT, skip_special_tokens=True)
        return [clean(text, lower_case=self._settings.lower_case) for text in texts]


def _load(where: str, *, dtype: Any) -> tuple[Any, Any]:  # Any: a torch.dtype; see `_read`
    """Processor and network from a hub id or a local folder. Raises UsageError if they are not a complete BLIP-2."""
    from huggingface_hub import hf_hub_download
    from safetensors import SafetensorError

    hint = f"it takes a folder written by save_pretrained, or a hub id such as {DEFAULT_MODEL} (cached, or the hub in reach)"
    if where.startswith(("/", ".", "~")) and not Path(where).is_dir():
        raise UsageError(f"caption.model = {where!r}: no such folder; {hint}")
    try:
        try:
            processor, network, missing = _read(where, dtype=dtype, local=True)
        except OSError:
            if Path(where).is_dir():
                raise
            hf_hub_download(
                where, "config.json"
            )  # one small file first: without a network each try takes half a minute
            processor, network, missing = _read(where, dtype=dtype, local=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"caption.model = {where!r}: cannot be loaded ({first}); {hint}") from error
    if missing or network.config.image_token_index is None:
        lack = next(iter(sorted(missing)), "image_token_index in config.json")
        raise UsageError(f"caption.model = {where!r}: no complete BLIP-2, {lack} is missing; {hint}")
    if processor.num_query_tokens is None:  # older checkpoints; without it a prompt has no room for the picture
        processor.num_query_tokens = network.config.num_query_tokens
    return processor, network


def _read(where: str, *, dtype: Any, local: bool) -> tuple[Any, Any, set[str]]:  # Any: transformers hardly types them
    """Processor, network, and names of weights that the files lack; `local`: from folder or cache, the hub unasked."""
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

    processor = Blip2Processor.from_pretrained(where, local_files_only=local)
    loaded: Any = Blip2ForConditionalGeneration.from_pretrained(
        where, dtype=dtype, local_files_only=local, output_loading_info=True
    )
    network, report = loaded  # typed as the network alone, but with loading info it is this pair
    return processor, network, set(report["missing_keys"])


def _decode(jpeg: bytes) -> Image.Image | None:
    """JPEG bytes -> RGB picture; None if they do not decode."""
    from PIL import Image

    try:
        return Image.open(BytesIO(jpeg), formats=["JPEG"]).convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return None
