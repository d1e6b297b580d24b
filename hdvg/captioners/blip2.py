"""BLIP-2, the captioner of HD-VG-130M: one keyframe in, the text a language model continues from it out.

Paper: Li et al., BLIP-2 (arXiv:2301.12597), by transformers' implementation; any checkpoint in its layout.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hdvg.captioners import Shot, clean
from hdvg.config import Caption
from hdvg.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from PIL import Image

Item = TypeVar("Item")

DEFAULT_MODEL = "Salesforce/blip2-opt-2.7b"
MODEL_FILES = frozenset({".json", ".txt", ".model", ".jinja", ".safetensors", ".bin"})  # not README, .git, .cache
SMALL_FILE = 1 << 20  # bytes; read in full
SAMPLE = 4096  # bytes read of each tensor in a larger file
ZIP_TAIL = 1 << 18  # bytes; the end of a `.bin` file is its zip directory, with a checksum of every tensor


class Blip2:
    """BLIP-2 on the GPU if there is one; at most `settings.batch` pictures at once, fewer once memory ran short.

    In float32 a text does not depend on its batch. In 16 bits rounding may differ with the batch and now and then tip
    the choice between two near-equal words.
    """

    name = "blip2"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}

    def __init__(self, settings: Caption) -> None:
        import torch

        self._settings = settings
        self._size = settings.batch
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
    def fingerprint(settings: Caption) -> str:
        """See `hdvg.captioners.fingerprint`. A hub id stands for itself: nothing is asked of the hub.

        In a folder each file of `MODEL_FILES` counts: its name, its size and, up to 1 MiB, all its bytes. Larger ones
        are not read through (they are gigabytes): safetensors give their header and the first 4 KiB of every tensor,
        others their last 256 KiB. Retraining shows; one weight edited by hand inside a large tensor does not.
        """
        where = settings.model or DEFAULT_MODEL
        digest = hashlib.sha256()
        if not Path(where).is_dir():
            digest.update(where.encode())
        else:
            for path in sorted(path for path in Path(where).iterdir() if path.suffix in MODEL_FILES and path.is_file()):
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
                for piece in _pieces(path):
                    digest.update(piece)
        return digest.hexdigest()[:16]

    def caption(self, shots: Sequence[Shot]) -> list[str]:
        """See `Captioner.caption`. Raises ResourceError if not even one picture fits into memory."""
        decoded = [_decode(shot.keyframes.get(self._settings.keyframe, b"")) for shot in shots]
        pictures = [picture for picture in decoded if picture is not None]
        written, self._size = in_batches(self._write, items=pictures, size=self._size)
        texts = iter(written)
        return ["" if picture is None else next(texts) for picture in decoded]

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
                num_beams=self._settings.beams,
                max_new_tokens=self._settings.max_tokens,
            )
        if prompts:  # a decoder-only language model repeats what it continues
            length = inputs["input_ids"].shape[1]
            if torch.equal(tokens_BT[:, :length], inputs["input_ids"]):
                tokens_BT = tokens_BT[:, length:]
        texts = self._processor.batch_decode(tokens_BT, skip_special_tokens=True)
        return [clean(text, lower_case=self._settings.lower_case) for text in texts]


def in_batches(
    work: Callable[[Sequence[Item]], list[str]], *, items: Sequence[Item], size: int
) -> tuple[list[str], int]:
    """`work` over `items`, `size` at a time, and the size that fitted: torch's OutOfMemoryError halves it.

    Raises ResourceError if one item alone does not fit.
    """
    import torch

    texts: list[str] = []
    while len(texts) < len(items):
        batch = items[len(texts) : len(texts) + size]
        try:
            texts += work(batch)
            continue
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                advice = "try caption.beams=1, caption.dtype=bfloat16 or a smaller model"
                raise ResourceError(f"captioner `blip2`: GPU memory ran short on a single picture; {advice}") from error
        torch.cuda.empty_cache()  # outside of `except`, where the traceback still holds the tensors
        size = len(batch) // 2
    return texts, size


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


def _pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file that stand for it in the fingerprint; see `Blip2.fingerprint`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SMALL_FILE:
            yield file.read()
        elif path.suffix == ".safetensors":
            length = int.from_bytes(file.read(8), "little")
            header = file.read(min(length, size))
            yield header
            for start in _tensor_starts(header):
                file.seek(8 + length + start)
                yield file.read(SAMPLE)
        else:
            file.seek(size - ZIP_TAIL)
            yield file.read()


def _tensor_starts(header: bytes) -> list[int]:
    """Offsets of the tensors behind a safetensors header, ascending; none if it is no such header (loading will say)."""
    try:
        table = json.loads(header)
        return sorted(entry["data_offsets"][0] for name, entry in table.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
