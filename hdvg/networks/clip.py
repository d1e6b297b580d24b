"""A CLIP-like pair of towers from a local folder in transformers' layout: pictures and texts in, vectors of one space out.

Paper: Radford et al., CLIP (arXiv:2103.00020); any model whose class has `get_image_features` and `get_text_features`
(CLIP, SigLIP, ...). Shapes: B pictures, N texts, D the model's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from hdvg.errors import UsageError, first_line
from hdvg.networks.batches import in_batches
from hdvg.networks.pictures import to_pil

if TYPE_CHECKING:
    from hdvg.networks.pictures import Picture

BATCH = 32
WANTED = "a folder of a CLIP-like model as save_pretrained writes it (config.json, weights, image processor, tokenizer)"


class Clip:
    """Both towers in float32; nothing is asked of a hub. Raises UsageError, naming `setting`, if it cannot be loaded."""

    def __init__(self, folder: Path, *, setting: str, device: str) -> None:
        self._folder, self._setting, self._device = folder, setting, device
        self._size = BATCH
        self._image_processor, self._network = load(folder, kind="AutoModel", setting=setting, wanted=WANTED)
        if not hasattr(self._network, "get_image_features"):
            raise UsageError(f"{setting} = '{folder}': a {type(self._network).__name__}, no CLIP; it takes {WANTED}")
        self._network.to(device)

    @property
    def width(self) -> int:
        """D, of pictures and texts."""
        config = self._network.config
        return int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)

    @property
    def scale(self) -> float:
        """What cosines are multiplied with before a softmax, as the model was trained; 100 if it does not say."""
        learned = getattr(self._network, "logit_scale", None)
        return 100.0 if learned is None else float(learned.detach().exp())

    def pictures(self, pictures: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """BGR pictures -> (B, D), not scaled. Raises ResourceError if not even one fits into GPU memory."""
        short = f"{self._setting}: GPU memory ran short on a single picture; take a smaller model"
        rows, self._size = in_batches(self._pictures, items=pictures, size=self._size, short=short)
        return np.stack(rows) if rows else np.zeros((0, self.width), np.float32)

    def texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D), not scaled. Raises UsageError if the folder has no tokenizer."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self._setting} = '{self._folder}': no tokenizer in it ({error})") from error
        rows: list[npt.NDArray[np.float32]] = []
        longest = self._network.config.text_config.max_position_embeddings
        for start in range(0, len(texts), BATCH):
            tokens = tokenizer(
                list(texts[start : start + BATCH]),
                padding="max_length",  # SigLIP was trained so; for CLIP it changes nothing
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(self._device)
            tokens.pop("token_type_ids", None)
            with torch.inference_mode():
                rows.append(_numbers(self._network.get_text_features(**tokens)))
        return np.concatenate(rows) if rows else np.zeros((0, self.width), np.float32)

    def _pictures(self, pictures: Sequence[Picture]) -> list[npt.NDArray[np.float32]]:
        """One forward pass."""
        inputs = self._image_processor(images=[to_pil(picture) for picture in pictures], return_tensors="pt")
        with torch.inference_mode():
            return list(_numbers(self._network.get_image_features(**inputs.to(self._device))))


def load(folder: Path, *, kind: str, setting: str, wanted: str) -> tuple[Any, Any]:
    """Image processor and network, in evaluation mode and float32, from a local folder; `kind`: a class of transformers.

    Raises UsageError, naming `setting`, if they cannot be read or the files lack weights (which would be random ones).
    """
    import transformers
    from safetensors import SafetensorError

    try:
        images: Any = transformers.AutoImageProcessor  # transformers types it not at all
        processor = images.from_pretrained(folder, local_files_only=True)
        network, report = getattr(transformers, kind).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        first = first_line(error)
        raise UsageError(f"{setting} = '{folder}': cannot be loaded ({first}); it takes {wanted}") from error
    if report["missing_keys"]:
        raise UsageError(
            f"{setting} = '{folder}': incomplete, {min(report['missing_keys'])} is missing; it takes {wanted}"
        )
    return processor, network.eval()


def _numbers(features: Any) -> npt.NDArray[np.float32]:  # Any: a tensor, or from transformers 5 on an output around it
    """(rows, D) of either kind."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float32)
