"""Weights from and to a local folder in diffusers' layout: SD-2.1's 2D U-Net inflated, ModelScope's 3D one, our own.

Our parameters differ from theirs in name, in that Q, K and V (or K and V) are one matrix, and in that a Conv3d (3, 1, 1)
is a Conv2d (3, 1) and a 1×1 convolution a linear layer: every mapping is to rename, cut along the first axis, reshape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hdvg.errors import UsageError
from hdvg.model.config import MODELSCOPE, ModelConfig, Process, Temporal
from hdvg.model.diffusion import PREDICTION, SCHEDULE
from hdvg.model.unet import UNet

WEIGHTS = "diffusion_pytorch_model"
DIFFUSERS = {"predicts": "prediction_type", "schedule": "beta_schedule", "steps": "num_train_timesteps"}
"""Our settings -> theirs."""
SWAP = "swap_ca.safetensors"
WANTED = (
    f"a folder with config.json and {WEIGHTS}.safetensors of a diffusers U-Net, or a pipeline's folder with unet/ in it"
)

_ATTENTION = {"to_qkv": "to_qkv", "to_q": "to_q", "to_kv": "to_kv", "to_out": "to_out.0"}
_OUTER = {"norm": "norm", "proj_in": "proj_in", "proj_out": "proj_out"}
_INNER = "transformer_blocks.0."
_FEED_FORWARD = {"feed_forward.proj_in": f"{_INNER}ff.net.0.proj", "feed_forward.proj_out": f"{_INNER}ff.net.2"}
INSIDE: dict[str, dict[str, str]] = {
    "res": {"time": "time_emb_proj", "shortcut": "conv_shortcut"}
    | {name: name for name in ("norm1", "conv1", "norm2", "conv2")},
    "space": _OUTER
    | _FEED_FORWARD
    | {f"norm{n}": f"{_INNER}norm{n}" for n in (1, 2, 3)}
    | {f"attention.{ours}": f"{_INNER}attn1.{theirs}" for ours, theirs in _ATTENTION.items()}
    | {f"text.{ours}": f"{_INNER}attn2.{theirs}" for ours, theirs in _ATTENTION.items()},
    "time": _OUTER
    | _FEED_FORWARD
    | {"norm_last": f"{_INNER}norm3"}
    | {f"norms.{n}": f"{_INNER}norm{n + 1}" for n in (0, 1)}
    | {f"attentions.{n}.{o}": f"{_INNER}attn{n + 1}.{t}" for n in (0, 1) for o, t in _ATTENTION.items()},
    "conv": {f"norms.{n}": f"conv{n + 1}.0" for n in range(4)}
    # a dropout stands before all convolutions but the first
    | {f"convs.{n}": f"conv{n + 1}.{3 if n else 2}" for n in range(4)},
}
"""What diffusers calls the modules inside each part of a layer; an exchange is in none of its networks."""
LISTS = {"res": "resnets", "conv": "temp_convs", "space": "attentions", "time": "temp_attentions"}
OUTSIDE = {
    "time1": "time_embedding.linear_1",
    "time2": "time_embedding.linear_2",
    "conv_in": "conv_in",
    "norm_out": "conv_norm_out",
    "conv_out": "conv_out",
} | {f"stem.{ours}": f"transformer_in.{theirs}" for ours, theirs in INSIDE["time"].items()}
PART = re.compile(r"(?:(down|up)\.(\d+)\.layers|mid)\.(\d+)\.(res|conv|space|time)\.(.+)")
RESAMPLE = re.compile(r"(down|up)\.(\d+)\.resample")


def diffusers_names(name: str) -> tuple[str, ...]:
    """What diffusers calls one of our parameters: as many names as are stacked in it; none for Swap-CA."""
    module, _, leaf = name.rpartition(".")
    if found := PART.fullmatch(module):
        side, level, layer, part, inside = found.groups()
        where = f"{side}_blocks.{level}" if side else "mid_block"
        theirs = f"{where}.{LISTS[part]}.{layer}.{INSIDE[part][inside]}"
    elif found := RESAMPLE.fullmatch(module):
        theirs = f"{found[1]}_blocks.{found[2]}.{found[1]}samplers.0.conv"
    elif module in OUTSIDE:
        theirs = OUTSIDE[module]
    else:
        return ()
    for fused, single in (("to_qkv", ("to_q", "to_k", "to_v")), ("to_kv", ("to_k", "to_v"))):
        if theirs.endswith(f".{fused}"):
            return tuple(f"{theirs.removesuffix(fused)}{one}.{leaf}" for one in single)
    return (f"{theirs}.{leaf}",)


def from_diffusers(model: UNet, state: Mapping[str, Tensor]) -> list[str]:
    """Copy diffusers' weights into the model, in place; returns those of ours that are not there, which keep what they are.

    Raises UsageError if anything but whole temporal parts is missing, or if a weight is left over or of another size.
    """
    absent: list[str] = []
    used: set[str] = set()
    for name, parameter in model.state_dict().items():
        theirs = diffusers_names(name)
        if not theirs or any(one not in state for one in theirs):
            absent.append(name)
            continue
        used.update(theirs)
        stacked = torch.cat([state[one] for one in theirs])
        if stacked.numel() != parameter.numel() or stacked.shape[0] != parameter.shape[0]:
            raise UsageError(f"{theirs[0]}: {tuple(stacked.shape)} does not fit {name}: {tuple(parameter.shape)}")
        parameter.copy_(stacked.reshape(parameter.shape))
    left = sorted(set(state) - used)
    spatial = [name for name in absent if not re.search(r"(^stem|\.(conv|time|swap))\.(?!weight|bias)", name)]
    temporal = any("temp_convs" in name or "temp_attentions" in name for name in state)
    partly = [name for name in absent if diffusers_names(name)] if temporal else spatial
    if left or partly:
        what = f"has {left[0]}, which the model has not" if left else f"lacks {diffusers_names(partly[0])[0]}"
        raise UsageError(f"these weights are not of this model's size or layout: the file {what}")
    return absent


def to_diffusers(model: UNet) -> dict[str, Tensor]:
    """All but Swap-CA under diffusers' names and in its shapes; contiguous copies on the CPU."""
    state: dict[str, Tensor] = {}
    for name, parameter in model.state_dict().items():
        theirs = diffusers_names(name)
        for one, piece in zip(theirs, parameter.chunk(len(theirs)) if theirs else (), strict=True):
            extra = 1 if "temp_convs" in one and piece.ndim == 4 else 2 if "conv_shortcut.weight" in one else 0
            state[one] = (
                piece.detach().cpu().reshape(*piece.shape, *[1] * extra).clone(memory_format=torch.contiguous_format)
            )
    return state


def load(folder: Path, config: ModelConfig) -> tuple[UNet, list[str]]:
    """The model with the weights of a folder, and the names of those that are new; nothing is asked of a hub.

    Raises UsageError if the folder cannot be read or is of another size.
    """
    root = folder / "unet" if (folder / "unet").is_dir() else folder
    description = _description(root)
    _must_fit(description, config, root)
    model = UNet(config)
    new = from_diffusers(model, _read(root))
    if (root / SWAP).is_file() and config.swap:
        swap = _file(root / SWAP)
        wanted = {name for name in new if ".swap." in name}
        if set(swap) != wanted:
            raise UsageError(f"{root / SWAP}: it is of another arm or size ({len(swap)} weights, not {len(wanted)})")
        model.load_state_dict(swap, strict=False)
        new = [name for name in new if name not in wanted]
    return model, new


def refuse_other_process(folder: Path, process: Process) -> None:
    """Raise UsageError if the weights of a pipeline's folder were made to predict something else, or by another schedule of
    noise: they would train without a word, from worse than nothing.

    `zero_snr` may differ: weights that predict v can be taught it (Lin et al., arXiv:2305.08891, section 3.1).
    """
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        known = {
            "predicts": (held.get("prediction_type", "epsilon"), PREDICTION[process.predicts]),
            "schedule": (held.get("beta_schedule", "linear"), SCHEDULE[process.schedule]),
            "steps": (held.get("num_train_timesteps", 1000), process.steps),
        }
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); it takes the file that diffusers writes") from error
    flow = process.predicts == "flow" or "flow" in str(held.get("_class_name", "")).casefold()
    for name, (theirs, ours) in known.items():
        if theirs != ours and not (flow and name != "predicts"):
            raise UsageError(
                f"{path} says {DIFFUSERS[name]} = {theirs!r}, process.{name} asks for {ours!r}: set process.{name} to what the "
                "weights were trained for, or start from others"
            )


def export(model: UNet, folder: Path) -> None:
    """Write a folder that `load` reads, and with ModelScope's temporal parts diffusers' UNet3DConditionModel as well.

    Swap-CA lies in a file of its own, so that diffusers can load the rest and run it without.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(to_diffusers(model), folder / f"{WEIGHTS}.safetensors")
    swap = {name: weight.cpu().contiguous() for name, weight in model.state_dict().items() if ".swap." in name}
    if swap:
        save_file(swap, folder / SWAP)
    (folder / "config.json").write_text(json.dumps(diffusers_config(model.config), indent=2) + "\n", encoding="utf-8")


def diffusers_config(config: ModelConfig) -> dict[str, Any]:
    """config.json as diffusers writes it, with our own config under `hdvg`."""
    like = Temporal.model_validate({**MODELSCOPE.model_dump()})
    name = (
        "UNet3DConditionModel" if config.temporal == like else "UNet2DConditionModel" if not config.temporal else "hdvg"
    )
    dimensions = "2D" if name == "UNet2DConditionModel" else "3D"
    blocks = [("CrossAttn" if attention else "", dimensions) for attention in config.attention]
    # the 2D class calls the number of heads what the 3D class calls their width
    heads = [width // config.head_width for width in config.widths]
    middle = {"use_linear_projection": True} if dimensions == "2D" else {}
    return {
        "_class_name": name,
        "in_channels": config.channels,
        "out_channels": config.channels,
        "block_out_channels": list(config.widths),
        "down_block_types": [f"{cross}DownBlock{suffix}" for cross, suffix in blocks],
        "up_block_types": [f"{cross}UpBlock{suffix}" for cross, suffix in reversed(blocks)],
        "layers_per_block": config.layers,
        "attention_head_dim": heads if dimensions == "2D" else config.head_width,
        "cross_attention_dim": config.text_width,
        "norm_num_groups": config.groups,
        **middle,
        "hdvg": config.model_dump(mode="json"),
    }


def _description(root: Path) -> dict[str, Any]:
    """config.json of a folder."""
    try:
        description = json.loads((root / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{root}: no config.json that can be read ({error}); it takes {WANTED}") from error
    if not isinstance(description, dict) or "block_out_channels" not in description:
        raise UsageError(f"{root}/config.json is not that of a U-Net; it takes {WANTED}")
    return description


def _must_fit(description: Mapping[str, Any], config: ModelConfig, root: Path) -> None:
    """Raise UsageError for what the shapes of weights do not show: heads, groups, which levels have transformers."""
    ours = diffusers_config(config)
    heads = description.get("attention_head_dim", 8)
    flat = description.get("_class_name") == "UNet2DConditionModel"
    many = heads if isinstance(heads, list) else [heads] * len(description["block_out_channels"])
    widths = [width // n for width, n in zip(description["block_out_channels"], many, strict=True)] if flat else many
    crossed = [kind.startswith("CrossAttn") for kind in description.get("down_block_types", [])]
    pairs = {
        "block_out_channels": (list(description["block_out_channels"]), ours["block_out_channels"]),
        "layers_per_block": (description.get("layers_per_block", 2), config.layers),
        "norm_num_groups": (description.get("norm_num_groups", 32), config.groups),
        "cross_attention_dim": (description.get("cross_attention_dim", 1280 if flat else 1024), config.text_width),
        "head width": (set(widths), {config.head_width}),
        "levels with transformers": (crossed, list(config.attention)),
    }
    wrong = [f"{key} {theirs}, not {mine}" for key, (theirs, mine) in pairs.items() if theirs != mine]
    if wrong:
        raise UsageError(f"{root}: another model than the one asked for: " + "; ".join(wrong))


def _read(root: Path) -> dict[str, Tensor]:
    """All weights of a folder: one file, or the pieces that an index names."""
    index = root / f"{WEIGHTS}.safetensors.index.json"
    if index.is_file():
        pieces = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: weight for piece in pieces for name, weight in _file(root / Path(piece).name).items()}
    for name in (f"{WEIGHTS}.safetensors", f"{WEIGHTS}.fp16.safetensors", f"{WEIGHTS}.bin"):
        if (root / name).is_file():
            return _file(root / name)
    raise UsageError(f"{root}: no weights in it; it takes {WANTED}")


def _file(path: Path) -> dict[str, Tensor]:
    """One file of weights, on the CPU."""
    try:
        if path.suffix == ".bin":
            state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
            return state
        return load_file(path)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
