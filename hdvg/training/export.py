"""A trained network as a folder in diffusers' layout: `unet/`, `scheduler/`, and beside them what diffusers has no place for."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

from hdvg.errors import ResourceError, UsageError
from hdvg.latents.patches import fitted_name
from hdvg.model import weights
from hdvg.model.diffusion import scheduler
from hdvg.plugins import FOLDER
from hdvg.training.generate import sampler_of
from hdvg.training.load import Trained

OURS = "hdvg.json"


def export(trained: Trained, run: Path, out: Path) -> None:
    """Write the folder, whole or not at all.

    unet/: what `network.start` of a recipe and `hdvg.model.weights.load` read; its config.json says, under `hdvg`, the
    settings that diffusers does not have, and Swap-CA's weights are a file of their own. scheduler/: diffusers' for the
    run's process. hdvg.json: which checkpoint of what recipe. latents/: the codec, if it was fitted on the dataset.

    Raises UsageError if the folder is there, ResourceError if the disk refuses.
    """
    if out.exists():
        raise UsageError(f"{out} is there already; name a new folder with --out")
    part = out.with_name(f".{out.name}-{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        _write(trained, run, part)
        part.rename(out)
    except OSError as error:
        raise ResourceError(f"{out}: cannot write: {error.strerror or error}; free space, then again") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(trained: Trained, run: Path, folder: Path) -> None:
    recipe = trained.recipe
    weights.export(trained.model, folder / "unet")
    scheduler(recipe.process, sampler_of(recipe.process)).save_pretrained(folder / "scheduler")
    description = {"step": trained.step, "weights": trained.weights, "recipe": recipe.model_dump(mode="json")}
    (folder / OURS).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    if (run / FOLDER).is_dir():
        shutil.copytree(run / FOLDER, folder / FOLDER)
    codec = run / fitted_name(recipe.data)
    if recipe.data.codec == "patches" and codec.is_file():
        (folder / "latents").mkdir()
        shutil.copy(codec, folder / "latents")
