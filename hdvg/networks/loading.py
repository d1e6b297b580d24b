"""Networks of transformers from a hub id or a local folder, in the number format that was asked for."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.errors import UsageError, first_line

LOCAL = ("/", ".", "~")
"""What a path begins with and a hub id does not."""

UNFIT = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError)
"""What transformers raises where files are no model, or need a package that is absent."""


def check_there(where: str, *, setting: str, hint: str) -> None:
    """Raise UsageError, which names `setting` and ends in `hint`, if a path is no folder, or a folder holds no model.

    A hub id may be anything; it is asked for when the model is loaded.
    """
    folder = Path(where)
    if where.startswith(LOCAL) and not folder.is_dir():
        raise UsageError(f"{setting} = {where!r}: no such folder; {hint}")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UsageError(f"{setting} = {where!r}: the folder holds no config.json; {hint}")


CHATTY = ("torchao", "torch.utils._pytree")
"""Loggers that warn of other people's machines whenever transformers looks at torchao, asked for or not."""


def hush() -> None:
    """Silence `CHATTY`."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Format:
    """How numbers are held: `compute`, a torch.dtype, for all that moves, and weights of 8 bits if `int8`."""

    compute: Any
    int8: bool


def device() -> str:
    """`cuda` if there is a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def number_format(dtype: str, *, setting: str) -> Format:
    """What `auto`, `int8` or the name of a torch.dtype stands for here. Raises UsageError if int8 lacks its package."""
    import torch

    auto = torch.bfloat16 if device() == "cuda" else torch.float32
    if dtype == "int8" and importlib.util.find_spec("torchao") is None:
        raise UsageError(f"{setting} = 'int8' needs torchao: pip install torchao; or set {setting} = 'auto'")
    return Format(auto if dtype in {"auto", "int8"} else getattr(torch, dtype), dtype == "int8")


def named(where: str, network: Any, *, digits: str) -> str:
    """How a model stands in a row: its folder or hub id, and 8 digits of the hub's commit, or of `digits` if it has none."""
    revision = getattr(network.config, "_commit_hash", None) or digits
    return f"{Path(where).name if Path(where).is_dir() else where} {revision[:8]}"


def pretrained(where: str, *, classes: tuple[str, str], form: Format, setting: str, hint: str) -> tuple[Any, Any]:
    """Processor and network, on the CPU, in evaluation mode; `classes`: their classes in transformers.

    Code that comes with a model never runs. A folder or what is cached is taken as it is; only a hub id that is not
    cached asks the hub. Raises UsageError, which names `setting` and ends in `hint`, if they cannot be loaded or lack
    weights (which would be random ones).
    """
    from safetensors import SafetensorError

    check_there(where, setting=setting, hint=hint)
    hush()
    try:
        processor, network, missing = _read(where, classes=classes, form=form)
    except (*UNFIT, SafetensorError) as error:
        first = first_line(error)
        raise UsageError(f"{setting} = {where!r}: cannot be loaded ({first}); {hint}") from error
    if missing:
        raise UsageError(f"{setting} = {where!r}: not complete, {min(missing)} is missing; {hint}")
    return processor, network.eval()


def _read(where: str, *, classes: tuple[str, str], form: Format) -> tuple[Any, Any, set[str]]:
    """From the folder or the cache, else from the hub."""
    from huggingface_hub import hf_hub_download

    try:
        return _from(where, classes=classes, form=form, local=True)
    except OSError:
        if Path(where).is_dir():
            raise
    hf_hub_download(where, "config.json")  # one small file first: without a network each try takes half a minute
    return _from(where, classes=classes, form=form, local=False)


def _from(where: str, *, classes: tuple[str, str], form: Format, local: bool) -> tuple[Any, Any, set[str]]:
    """Processor, network, and names of weights that the files lack; `local`: the hub unasked."""
    import transformers

    processor = _processor(where, class_name=classes[0], local=local)
    network, report = getattr(transformers, classes[1]).from_pretrained(
        where,
        dtype=form.compute,
        local_files_only=local,
        output_loading_info=True,
        quantization_config=_eight_bits() if form.int8 else None,
    )
    return processor, network, set(report["missing_keys"])


def _processor(where: str, *, class_name: str, local: bool) -> Any:
    """Without torchvision, which a part for videos needs, one without that part: we show pictures only."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
    from transformers.utils.import_utils import is_torchvision_available

    own: Any = PROCESSOR_MAPPING.get(type(transformers.AutoConfig.from_pretrained(where, local_files_only=local)), None)
    if own is None or "video_processor" not in own.get_attributes() or is_torchvision_available():
        return getattr(transformers, class_name).from_pretrained(where, local_files_only=local)
    loaders: dict[str, Any] = {
        "tokenizer": transformers.AutoTokenizer,
        "image_processor": transformers.AutoImageProcessor,
        "feature_extractor": transformers.AutoFeatureExtractor,
    }
    still: Any = type(own.__name__, (own,), {"check_argument_for_proper_class": lambda self, name, part: None})
    parts = [
        None if name == "video_processor" else loaders[name].from_pretrained(where, local_files_only=local)
        for name in still.get_attributes()
    ]
    values, _ = still.get_processor_dict(where, local_files_only=local)
    return still.from_args_and_dict(parts, values)


def _eight_bits() -> Any:  # Any: transformers hardly types it
    """Weights of linear layers as 8-bit integers with a scale a row; what is multiplied with them stays as it is."""
    from transformers import TorchAoConfig

    logging.getLogger("torchao").setLevel(logging.ERROR)  # it warns of kernels for other GPUs
    return TorchAoConfig(importlib.import_module("torchao.quantization").Int8WeightOnlyConfig())
