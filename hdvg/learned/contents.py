"""What must be there before questions are asked and quality is told: packages, and models by local path, whose files are noted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hdvg.config.asked import Asker, Quality
from hdvg.config.sections import Measure
from hdvg.networks import files
from hdvg.networks.chat import HINT
from hdvg.networks.loading import check_there
from hdvg.registry import require

TORCH = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}
NEEDS: Mapping[str, Mapping[str, str]] = {
    "vlm": TORCH,
    "openai": {"openai": "openai", "PIL": "Pillow"},
    "q-align": TORCH,
    "clip-iqa": TORCH,
    "onnx": {"onnxruntime": "onnxruntime", "PIL": "Pillow"},
}
"""By `measure.asker.by`, or the kind of a model of quality: modules -> what people call them."""

DIGITS = 16


def with_contents(measure: Measure) -> Measure:
    """The settings with a note of what the models' files are, so that other files under the same name are another version.

    Raises UsageError if a package or a model is not there.
    """
    noted: dict[str, Any] = {"ask": {}, "quality": {}}
    for name, one in measure.ask.items():
        require(NEEDS[measure.asker.by], called=f"measure.ask.{name}", extra="caption")
        setting = f"measure.ask.{name}.model" if one.model else "measure.asker.model"
        content = _of_model(measure.asker, one.model, setting=setting)
        noted["ask"][name] = one.model_copy(update={"content": content})
    for name, quality in measure.quality.items():
        require(NEEDS[quality.kind], called=f"measure.quality.{name}", extra="measure")
        content = _of_quality(quality, setting=f"measure.quality.{name}.model")
        noted["quality"][name] = quality.model_copy(update={"content": content})
    return measure.model_copy(update=noted)


def _of_model(asker: Asker, model: str | None, *, setting: str) -> str:
    """Of a local folder; a hub id, and what a server calls its model, stand for themselves."""
    where = model or asker.model
    if asker.by != "vlm" or not where:
        return ""
    check_there(where, setting=setting, hint=HINT)
    return files.digest(Path(where))[:DIGITS] if Path(where).is_dir() else ""


def _of_quality(one: Quality, *, setting: str) -> str:
    if one.kind == "q-align":
        return _of_model(Asker(), one.model, setting=setting)
    wanted = "an ONNX file" if one.kind == "onnx" else "a folder of a CLIP-like model in transformers' layout"
    return files.digest(files.local_path(one.model, setting=setting, wanted=wanted))[:DIGITS]
