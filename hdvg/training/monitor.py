"""What a training run reports: the journal, the live view, the validation curve, its share of the floor, samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from rich.console import Console
from torch import Tensor

from hdvg.dataset.store import Store
from hdvg.model.diffusion import Denoiser
from hdvg.training.flops import count
from hdvg.training.journal import Journal
from hdvg.training.live import View
from hdvg.training.roofline import Floor, floor, machine
from hdvg.training.samples import Feed
from hdvg.training.validation import Interval, Losses, Row, average, measure, paired

if TYPE_CHECKING:
    from hdvg.training.steps import Stepper

CURVE = "validation"
LOOKS = 8
"""Steps whose shapes stand for all."""
Sampled = Callable[[Denoiser, int], object]


class Curve:
    """The validation losses of a run, a file a step: each is compared with the first one and with the one before it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, step: int) -> None:
        """The run goes on after a step: what was measured later no longer holds."""
        for path in self._files():
            if int(path.stem) > step or not step:
                path.unlink()

    def add(self, step: int, losses: Losses) -> dict[str, float | None]:
        """Keep the losses; the numbers to write of them. `…change` is since the first, `…since_last` since the one before."""
        before = [path for path in self._files() if int(path.stem) < step]
        self._store.replace(f"{CURVE}/{step:08d}.json", losses.to_json() + "\n")
        mean = average(losses)
        values = _bounds("validation", mean) | {"validation_clips": mean.clips, "validation_windows": mean.windows}
        for name, path in (("change", before[:1]), ("since_last", before[-1:])):
            for one in path:
                earlier = Losses.from_json(one.read_text(encoding="utf-8"))
                values |= _bounds(f"validation_{name}", paired(earlier, losses))
        return values | {f"validation_level_{level:.3f}": loss for level, loss in losses.by_level().items()}

    def _files(self) -> list[Path]:
        """From the first step to the last."""
        return sorted(path for path in (self._store.root / CURVE).glob("*.json") if path.stem.isdigit())


class Watching:
    """What `Loop` shows its run to; every process makes one, the first one writes and speaks."""

    def __init__(
        self, stepper: Stepper, feed: Feed, store: Store, *, console: Console, sample: Sampled | None = None
    ) -> None:
        """`sample`: makes videos with the network as it is then, given the step."""
        self._feed, self._sample = feed, sample
        self._main = stepper.team.seat.rank == 0
        self._journal, self._curve = Journal(store.root), Curve(store)
        self._view = View(console, stepper.recipe.run) if self._main else None
        self.floor = step_floor(stepper, feed) if self._main else None

    def begin(self, step: int) -> None:
        """The run goes on after that step: what was written of later ones goes."""
        if self._main:
            self._journal.begin(step)
            self._curve.begin(step)

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Numbers of the run after so many steps; the share of the floor is computed from `steps_s` among them."""
        pace = values.get("steps_s")
        if self._main and self.floor is not None and pace:
            values = {**values, "of_floor": self.floor.reached(1 / pace)}
        self._show(step, values, aloud=False)

    def validate(self, stepper: Stepper) -> None:
        """The paired loss of the first running mean of the weights; processes share the work."""
        pieces, seat = self._feed.held(), stepper.team.seat
        if not pieces:
            return
        turns = -(-len(pieces) // seat.world)  # as many in every process: with FSDP they compute together
        mine = [pieces[(turn * seat.world + seat.rank) % len(pieces)] for turn in range(turns)]
        own = min(turns, len(range(seat.rank, len(pieces), seat.world)))
        with averaged(stepper) as denoise:
            rows = list(measure(denoise, stepper.diffusion, mine[:own], device=stepper.device))
            list(measure(denoise, stepper.diffusion, mine[own:], device=stepper.device))
        rows = _gathered(rows, seat.world)
        if self._main:
            self._show(stepper.done, self._curve.add(stepper.done, Losses.of(rows)), aloud=True)

    def sample(self, stepper: Stepper) -> None:
        """Videos by the first running mean of the weights."""
        if self._sample is not None and (self._main or stepper.gradients.alike):
            with averaged(stepper) as denoise:
                self._sample(denoise, stepper.done)

    def close(self) -> None:
        """The end of the run, whatever ended it."""
        self._journal.close()
        if self._view is not None:
            self._view.close()

    def _show(self, step: int, values: Mapping[str, float | None], *, aloud: bool) -> None:
        if self._view is not None:
            self._journal.write(step, values)
            self._view.show(step, values, aloud=aloud)


@contextmanager
def averaged(stepper: Stepper) -> Iterator[Denoiser]:
    """The network with its first running mean for weights, and still (no dropout); afterwards it is as it was, to the bit."""

    def denoise(x_BCTHW: Tensor, time_B: Tensor, text_BLX: Tensor) -> Tensor:
        with stepper.autocast():
            said: Tensor = stepper.model(x_BCTHW, time_B, text_BLX)
        return said

    weights = [parameter.detach() for parameter in stepper.model.parameters()]
    own = [weight.clone() for weight in weights]
    half_life = stepper.recipe.optimizer.ema_half_lives[0]
    training = stepper.model.training
    try:
        for weight, mean in zip(weights, stepper.optimise.means[half_life], strict=True):
            weight.copy_(mean)
        stepper.model.eval()
        with torch.no_grad():
            yield denoise
    finally:
        for weight, before in zip(weights, own, strict=True):
            weight.copy_(before)
        stepper.model.train(training)


def step_flop(stepper: Stepper, feed: Feed) -> int:
    """Forward FLOPs of an average step of this process, estimated from the shapes of a few."""
    flop = 0
    for step in range(LOOKS):
        for piece in feed.step(step, seat=stepper.team.seat):
            T, H, W = piece.latents_BCTHW.shape[2:]
            flop += len(piece) * count(stepper.model.config, (T, H, W), tokens=piece.text_BLX.shape[1]).flop
    return flop // LOOKS


def step_floor(stepper: Stepper, feed: Feed) -> Floor:
    """The floor of an average step of this process."""
    recipe, sharded = stepper.recipe, stepper.gradients.alike
    dtype = torch.bfloat16 if stepper.low else torch.float32
    parameters = sum(weight.numel() for weight in stepper.model.parameters())
    return floor(
        step_flop(stepper, feed),
        parameters // (stepper.team.seat.world if sharded else 1),
        machine(stepper.device, dtype),
        number_bytes=dtype.itemsize,
        emas=len(recipe.optimizer.ema_half_lives),
        checkpointing=recipe.network.checkpointing == "blocks",
    )


def _bounds(name: str, interval: Interval) -> dict[str, float | None]:
    if interval.low is None:
        return {name: interval.mean}
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _gathered(rows: list[Row], world: int) -> list[Row]:
    """Of all processes."""
    if world == 1:
        return rows
    every: list[list[Row]] = [[] for _ in range(world)]
    dist.all_gather_object(every, rows)
    return [row for part in every for row in part]
