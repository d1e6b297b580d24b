"""Vision-language models that are asked in a chat: any image-text-to-text model of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdvg.errors import UsageError

if TYPE_CHECKING:
    import torch
    from PIL import Image

Inputs = Mapping[str, "torch.Tensor"]
"""What a processor made of one clip's pictures and the question about them; `input_ids` (1, tokens) among it."""

HINT = "it takes a folder written by save_pretrained, or a hub id such as Qwen/Qwen2.5-VL-7B-Instruct (cached, or the hub in reach)"


def load(where: str, *, dtype: Any) -> tuple[Any, Any]:  # Any: a torch.dtype; transformers hardly types the others
    """Processor and network from a hub id or a local folder, on the CPU; code that comes with a model never runs.

    Raises UsageError if they cannot be loaded, lack weights, or were not made to be asked in a chat.
    """
    from huggingface_hub import hf_hub_download
    from safetensors import SafetensorError

    here = Path(where).is_dir()
    if where.startswith(("/", ".", "~")) and not here:
        raise UsageError(f"caption.model = {where!r}: no such folder; {HINT}")
    try:
        try:
            processor, network, missing = _read(where, dtype=dtype, local=True)
        except OSError:
            if here:
                raise
            hf_hub_download(where, "config.json")  # a small file first: without a network each try takes long
            processor, network, missing = _read(where, dtype=dtype, local=False)
    except (
        *(OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError),
    ) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"caption.model = {where!r}: cannot be loaded ({first}); {HINT}") from error
    if missing:
        raise UsageError(f"caption.model = {where!r}: incomplete, {min(missing)} is missing; {HINT}")
    _check(processor, where)
    return processor, network


def inputs(processor: Any, *, pictures: Sequence[Image.Image], question: str) -> Inputs:
    """What the network takes of one clip: its pictures, then the question. Safe in several threads."""
    content = [{"type": "image", "image": picture} for picture in pictures] + [{"type": "text", "text": question}]
    silent = {"enable_thinking": False} if "enable_thinking" in str(processor.chat_template) else {}
    made: Inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        **{"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"},
        **silent,
    )
    return made


def shape(one: Inputs) -> object:
    """Equal for clips that can be `merged`: what must agree in their tensors."""
    ids = one["input_ids"].shape
    return tuple((name, None if tensor.shape == ids else tensor.shape[1:]) for name, tensor in one.items())


def merged(several: Sequence[Inputs]) -> dict[str, torch.Tensor]:
    """One batch of several clips of the same `shape`: questions padded on the left, all others joined along axis 0.

    Padding is masked out. It repeats the question's last token, which stands in each question anyway, so that a penalty
    on repetition, which does not look at the mask, is the same with and without.
    """
    import torch

    length = max(one["input_ids"].shape[1] for one in several)
    batch = {}
    for name in several[0]:
        rows = [one[name] for one in several]
        if all(row.shape == one["input_ids"].shape for row, one in zip(rows, several, strict=True)):
            fills = [row[0, -1].item() if name == "input_ids" else 0 for row in rows]
            rows = [
                torch.nn.functional.pad(row, (length - row.shape[1], 0), value=fill)
                for row, fill in zip(rows, fills, strict=True)
            ]
        batch[name] = torch.cat(rows)
    return batch


def _check(processor: Any, where: str) -> None:
    """Ask about a grey picture. Raises UsageError unless the question finds its words and the picture its place."""
    from jinja2 import TemplateError
    from PIL import Image

    if not getattr(processor, "chat_template", None):
        raise UsageError(f"caption.model = {where!r}: has no chat template, so it cannot be asked; {HINT}")
    try:
        made = inputs(processor, pictures=[Image.new("RGB", (64, 64), "grey")], question="What is this?")
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        raise UsageError(f"caption.model = {where!r}: cannot be asked about a picture ({error}); {HINT}") from error
    if all(tensor.shape == made["input_ids"].shape for tensor in made.values()):
        raise UsageError(f"caption.model = {where!r}: its chat template has no place for pictures; {HINT}")


def _read(where: str, *, dtype: Any, local: bool) -> tuple[Any, Any, set[str]]:
    """Processor, network, and names of weights that the files lack; `local`: from folder or cache, the hub unasked."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
    from transformers.utils.import_utils import is_torchvision_available

    read: Any = AutoProcessor.from_pretrained  # untyped there
    kind: Any = PROCESSOR_MAPPING.get(type(AutoConfig.from_pretrained(where, local_files_only=local)), None)
    if kind is not None and "video_processor" in kind.get_attributes() and not is_torchvision_available():
        processor = _for_pictures(kind, where, local=local)
    else:
        processor = read(where, local_files_only=local)
    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        where, dtype=dtype, local_files_only=local, output_loading_info=True
    )
    network, report = loaded  # typed as the network alone, but with loading info it is this pair
    return processor, network, set(report["missing_keys"])


def _for_pictures(kind: Any, where: str, *, local: bool) -> Any:
    """A processor of class `kind` without its part for videos, which needs torchvision: we show pictures only."""
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

    loaders: dict[str, Any] = {
        "tokenizer": AutoTokenizer,
        "image_processor": AutoImageProcessor,
        "feature_extractor": AutoFeatureExtractor,
    }
    still: Any = type(kind.__name__, (kind,), {"check_argument_for_proper_class": lambda self, name, part: None})
    parts = [
        None if name == "video_processor" else loaders[name].from_pretrained(where, local_files_only=local)
        for name in still.get_attributes()
    ]
    values, _ = still.get_processor_dict(where, local_files_only=local)
    return still.from_args_and_dict(parts, values)
