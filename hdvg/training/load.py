"""What a training run has learnt: the network of a checkpoint, opened from the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from hdvg.config.recipe import parse, read_toml
from hdvg.dataset.plugins import carry
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.latents.patches import fitted_name
from hdvg.latents.settings import Encoding
from hdvg.model.config import SIZES
from hdvg.model.unet import UNet
from hdvg.training import checkpoints
from hdvg.training.network import configured
from hdvg.training.settings import TrainRecipe

Which = Literal["ema", "raw"]


@dataclass(frozen=True)
class Trained:
    """A network, still, on the CPU; `weights` says which of its own it has."""

    recipe: TrainRecipe
    model: UNet
    step: int
    weights: str


def read_recipe(run: Path) -> TrainRecipe:
    """The settings of a run. Raises UsageError if the folder is none's."""
    path = run / "train.toml"
    if not path.is_file():
        raise UsageError(f"{run}: no train.toml in it, so it is no training run; `hdvg train` makes such a folder")
    return parse(TrainRecipe, read_toml(path), where=str(path))


def open_trained(
    run: Path, *, step: int | None = None, which: Which = "ema", say: Callable[[str], object] = print
) -> Trained:
    """The network of a checkpoint: the newest good one, or that of `step`.

    `ema`: the first of its running means. Raises UsageError if there is no such checkpoint.
    """
    recipe = read_recipe(run)
    saved = _saved(run, step, say)
    half_life = recipe.optimizer.ema_half_lives[0] if recipe.optimizer.ema_half_lives else None
    if which == "ema" and half_life is None:
        raise UsageError(f"{run}: the run kept no running mean (optimizer.ema_half_lives); take --weights raw")
    weights = f"ema.{half_life:g}" if which == "ema" else "model"
    prefix = f"{weights}."
    state = {name.removeprefix(prefix): one for name, one in saved.tensors.items() if name.startswith(prefix)}
    if not state:
        raise UsageError(f"{run}, step {saved.step}: the checkpoint holds no {weights}; take other --weights")
    channels, text_width = _widths(state, recipe)
    model = UNet(configured(recipe.network, channels=channels, text_width=text_width))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"{run}, step {saved.step}: not the network of train.toml ({error})") from error
    return Trained(recipe, model.eval().requires_grad_(False), saved.step, weights)


def carry_codec(encoding: Encoding, dataset: Path, run: Store) -> None:
    """Publish what a dataset keeps of its encoders, fitted or plugged in, in another folder, which then needs no dataset."""
    carry(encoding, dataset, run)
    name = fitted_name(encoding)
    if encoding.codec == "patches" and (dataset / name).exists():
        run.publish(name, lambda path: path.write_bytes((dataset / name).read_bytes()))


def _saved(run: Path, step: int | None, say: Callable[[str], object]) -> checkpoints.Saved:
    """A checkpoint; bad ones are passed over, aloud, unless one of them is asked for."""
    steps = checkpoints.committed(run)
    if not steps:
        raise UsageError(
            f"{run}: no checkpoint yet; `hdvg train` writes one every checkpoints.every_steps, and at its end"
        )
    if step is not None and step not in steps:
        raise UsageError(f"{run}: no checkpoint of step {step}; there are those of {', '.join(map(str, steps))}")
    for one in reversed(steps if step is None else [step]):
        try:
            return checkpoints.read(run, one)
        except ValueError as error:
            if step is not None:
                raise UsageError(
                    f"{run}, step {step}: {error}; there are those of {', '.join(map(str, steps))}"
                ) from error
            say(f"checkpoint of step {one}: {error}; the one before is taken")
    raise UsageError(f"{run}: none of its {len(steps)} checkpoints can be read")


def _widths(state: Mapping[str, Tensor], recipe: TrainRecipe) -> tuple[int, int]:
    """Channels of a latent and width of a text's states, as the weights have them."""
    texts = (one.shape[1] for name, one in state.items() if name.endswith(".text.to_kv.weight"))
    return state["conv_in.weight"].shape[1], next(texts, SIZES[recipe.network.size].text_width)
