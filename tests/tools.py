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
