"""What tests need before they begin: packages, which if absent skip a file on a laptop and fail it in CI, and random networks."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def need(*packages: str) -> None:
    """Call it at the top of a test file."""
    for package in packages:
        if os.environ.get("CI"):
            importlib.import_module(package)
        else:
            pytest.importorskip(package)


def stir(network: Any) -> None:
    """Give a torch network random weights that are large enough for its input to change what it says."""
    import torch

    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn_like(weight) * 0.3)


def eight_bits(network: Any) -> None:
    """Round every linear layer's weights to 255 steps a row; what transformers leaves alone is left alone.

    A row's largest weight lies half-way between two steps; times 1 / step it falls on torchao's side.
    """
    import torch

    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear) and not name.startswith("qformer") and not name.endswith("lm_head"):
            step_K1 = layer.weight.data.abs().amax(1, keepdim=True) / 127.5
            layer.weight.data = (layer.weight.data * (1 / step_K1)).round().clamp(-128, 127) * step_K1
