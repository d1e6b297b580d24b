"""The network of a run: its size, arm and first weights, and how its blocks are computed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.checkpoint import checkpoint

from hdvg.errors import UsageError
from hdvg.model import weights
from hdvg.model.config import SIZES, ModelConfig, arm
from hdvg.model.unet import Layer, UNet
from hdvg.training.settings import Network

COMPILED = 256
"""Most variants of a layer."""


def configured(network: Network, *, channels: int, text_width: int) -> ModelConfig:
    """The size, as the arm, for latents and texts of these widths, then with what the recipe changes.

    Raises UsageError if that is no network.
    """
    if fixed := {"channels", "text_width"} & network.change.keys():
        raise UsageError(f"network.change.{min(fixed)}: it is the encoders' to say; change section `data`")
    size = SIZES[network.size].model_copy(update={"channels": channels, "text_width": text_width})
    try:
        return ModelConfig.model_validate(_over(arm(size, network.arm).model_dump(), network.change))
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UsageError(
            f"network.change: {said}; the settings are those of `hdvg.model.config.ModelConfig`"
        ) from error


def build(network: Network, config: ModelConfig, *, seed: int) -> tuple[UNet, list[str]]:
    """The network with its first weights, and which of them are new if it starts from a folder (else none is named).

    Raises UsageError if the folder does not hold such weights. The caller's random numbers stay as they are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if network.start is not None:
            return weights.load(Path(network.start), config)
        model = UNet(config)
        _settle(model, seed)
    return model, []


def arrange(model: UNet, network: Network) -> None:
    """Recompute or compile block by block, in place; names of parameters stay."""
    if network.compile:
        # every layer has its own widths and grid, and buckets and images theirs: torch would give up after eight
        torch._dynamo.config.recompile_limit = COMPILED
    for layer in model.modules():
        if not isinstance(layer, Layer):
            continue
        if network.checkpointing == "blocks":
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)  # type: ignore[method-assign]
        if network.compile:
            layer.compile(dynamic=False)


def _settle(model: nn.Module, seed: int) -> None:
    """Draw each module's first weights by the seed and its own name, so that arms of an ablation share what they share.

    What starts at zero stays zero.
    """
    for name, module in model.named_modules():
        if not hasattr(module, "reset_parameters"):
            continue
        silent = [parameter for parameter in module.parameters() if not parameter.any()]
        key = hashlib.blake2b(repr((seed, name)).encode(), digest_size=7).digest()
        torch.manual_seed(int.from_bytes(key, "little"))
        module.reset_parameters()
        for parameter in silent:
            nn.init.zeros_(parameter)


def _over(settings: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes, table by table."""
    over = dict(settings)
    for key, value in change.items():
        old = over.get(key)
        over[key] = _over(old or {}, value) if isinstance(value, Mapping) else value
    return over
