"""Token states of a CLIP text tower from a local folder: OpenCLIP ViT-H's penultimate layer, as Stable Diffusion 2 takes it.

Stable Diffusion 2.1's own `text_encoder` has 23 layers, ViT-H's 24 without the last: its last states, normalised, are the
penultimate ones. From a tower of all 24 layers the last is taken away here, so that both give the same. Other towers
(ViT-L of Stable Diffusion 1) give their last states. Padding keeps its states, for the networks were trained so.
Shapes: N texts, L tokens, X the tower's width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hdvg.errors import UsageError, first_line
from hdvg.latents.settings import Encoding
from hdvg.networks.files import local_path

if TYPE_CHECKING:
    from hdvg.latents.encoders import Floats

WANTED = (
    "a folder with `text_encoder` and `tokenizer`, as Stable Diffusion 2.1 has them in diffusers' layout, or one of a "
    "CLIP model with its tokenizer"
)
FULL_TOWER = 24
"""Layers of OpenCLIP's ViT-H text tower; nobody conditions on its last."""
BATCH = 32


class ClipStates:
    """See `hdvg.latents.encoders.TextEncoder`. Raises UsageError if more tokens are asked for than the tower takes."""

    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers"}

    def __init__(self, encoding: Encoding, found: Sequence[Path], *, name: str) -> None:
        from hdvg.networks.loading import device

        self.name = name
        self._device = device()
        self._tokenizer, network = _load(found[0], found[-1])
        if network.config.num_hidden_layers == FULL_TOWER:
            network.encoder.layers = network.encoder.layers[:-1]
        self._network = network.to(self._device)
        most = int(network.config.max_position_embeddings)
        if encoding.text_tokens > most:
            raise UsageError(f"data.text_tokens = {encoding.text_tokens}: this text encoder takes at most {most}")
        self.shape = encoding.text_tokens, int(network.config.hidden_size)

    @staticmethod
    def files(encoding: Encoding, root: Path | None) -> list[Path]:
        """The tokenizer's folder, then the tower's. Raises UsageError if they are absent or of another layout."""
        folder = local_path(encoding.text_folder, setting="data.text_folder", wanted=WANTED)
        found = [folder / "tokenizer", folder / "text_encoder"]
        found = found if all(path.is_dir() for path in found) else [folder]
        if not (found[-1] / "config.json").is_file():
            raise UsageError(f"data.text_folder = '{folder}': no config.json in it; it takes {WANTED}")
        return found

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each whole text, the two marks of its ends included."""
        return [len(tokens) for tokens in self._tokenizer(list(texts), verbose=False)["input_ids"]] if texts else []

    def states(self, texts: Sequence[str]) -> Floats:
        """(N, L, X), after the final layer norm."""
        import torch

        rows = [np.zeros((0, *self.shape), np.float32)]
        for start in range(0, len(texts), BATCH):
            tokens = self._tokenizer(
                list(texts[start : start + BATCH]),
                padding="max_length",
                truncation=True,
                max_length=self.shape[0],
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                rows.append(self._network(input_ids=tokens["input_ids"]).last_hidden_state.cpu().numpy())
        return np.concatenate(rows)


def _load(tokenizer: Path, tower: Path) -> tuple[Any, Any]:  # Any: transformers hardly types them
    """Tokenizer and text tower in float32. Raises UsageError if the folders hold none."""
    import transformers
    from safetensors import SafetensorError

    from hdvg.networks.loading import UNFIT, hush

    hush()
    kind: Any = transformers.CLIPTextModel
    try:
        words = transformers.AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        network, report = kind.from_pretrained(tower, local_files_only=True, output_loading_info=True)
    except (*UNFIT, SafetensorError) as error:
        first = first_line(error)
        raise UsageError(f"data.text_folder = '{tower}': cannot be loaded ({first}); it takes {WANTED}") from error
    if report["missing_keys"]:
        first = min(report["missing_keys"])
        raise UsageError(f"data.text_folder = '{tower}': not complete, {first} is missing; it takes {WANTED}")
    return words, network.float().eval()
