"""Vision-language models that are asked in a chat: any image-text-to-text model of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hdvg.errors import UsageError
from hdvg.networks.loading import Format, pretrained

if TYPE_CHECKING:
    import torch
    from PIL import Image

Inputs = Mapping[str, "torch.Tensor"]
"""What a processor made of one clip's pictures and the question about them; `input_ids` (1, tokens) among it."""

Exchange = tuple[str, str]
"""An answer, and what was asked after it."""

CLASSES = ("AutoProcessor", "AutoModelForImageTextToText")
HINT = "it takes a folder written by save_pretrained, or a hub id such as Qwen/Qwen2.5-VL-7B-Instruct (cached, or the hub in reach)"


def load(where: str, *, form: Format, setting: str) -> tuple[Any, Any]:  # Any: transformers hardly types them
    """Processor and network of `pretrained`. Raises UsageError as it does, or if they were not made to be asked in a chat."""
    processor, network = pretrained(where, classes=CLASSES, form=form, setting=setting, hint=HINT)
    _check(processor, f"{setting} = {where!r}")
    return processor, network


def inputs(processor: Any, *, pictures: Sequence[Image.Image], question: str, said: Sequence[Exchange] = ()) -> Inputs:
    """What the network takes of one clip: its pictures, then the question, then what was said since. Safe in several threads."""
    messages: list[dict[str, object]] = [_message("user", question, pictures)]
    for answer, asked in said:
        messages += [_message("assistant", answer), _message("user", asked)]
    silent = {"enable_thinking": False} if "enable_thinking" in str(processor.chat_template) else {}
    made: Inputs = processor.apply_chat_template(
        messages,
        **{"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"},
        **silent,
    )
    return made


def _message(role: str, text: str, pictures: Sequence[Image.Image] = ()) -> dict[str, object]:
    shown: list[dict[str, object]] = [{"type": "image", "image": picture} for picture in pictures]
    return {"role": role, "content": [*shown, {"type": "text", "text": text}]}


def shape(one: Inputs) -> object:
    """Equal for clips that can be `merged`: what must agree in their tensors."""
    ids = one["input_ids"].shape
    return tuple((name, None if tensor.shape == ids else tensor.shape[1:]) for name, tensor in one.items())


def merged(several: Sequence[Inputs]) -> dict[str, torch.Tensor]:
    """One batch of several clips of the same `shape`: questions padded on the left, all others concatenated along axis 0.

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


def _check(processor: Any, said: str) -> None:
    """Ask about a grey picture. Raises UsageError unless the question finds its words and the picture its place."""
    from jinja2 import TemplateError
    from PIL import Image

    if not getattr(processor, "chat_template", None):
        raise UsageError(f"{said}: has no chat template, so it cannot be asked; {HINT}")
    try:
        made = inputs(processor, pictures=[Image.new("RGB", (64, 64), "grey")], question="What is this?")
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        raise UsageError(f"{said}: cannot be asked about a picture ({error}); {HINT}") from error
    if all(tensor.shape == made["input_ids"].shape for tensor in made.values()):
        raise UsageError(f"{said}: its chat template has no place for pictures; {HINT}")
