"""A run: steps until it is long enough, with what is shown and saved on the way; any step of it can be gone on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hdvg.dataset.store import Store
from hdvg.errors import DivergedError
from hdvg.training import checkpoints
from hdvg.training.prefetch import Ahead
from hdvg.training.samples import Feed
from hdvg.training.steps import Stepper
from hdvg.training.stopping import FAR, Divergence

STEPS, MINUTES = 1, 2
"""Why a run ended, beside the exit codes of signals; the largest of all processes holds."""


class Shows(Protocol):
    """What a run shows of itself; every process calls it, each with the same steps."""

    def begin(self, step: int) -> None:
        """The run goes on after that step: what was written of later ones no longer holds."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name, of the run after so many steps."""

    def validate(self, stepper: Stepper) -> None:
        """Measure the network on what is held out."""

    def sample(self, stepper: Stepper) -> None:
        """Make videos."""


@dataclass(frozen=True)
class End:
    """Where a run stands when it ends: the steps done in all, and what to exit with."""

    step: int
    code: int
    why: str


class Loop:
    """One run in its folder, in each of its processes."""

    def __init__(
        self, stepper: Stepper, feed: Feed, store: Store, *, shows: Shows, data: str, say: Callable[[str], object]
    ) -> None:
        """`data`: the digest of what the feed reads from, which checkpoints name."""
        self.stepper, self.feed, self.store, self.shows, self.data, self.say = stepper, feed, store, shows, data, say
        self.recipe = stepper.recipe
        self.keeper = checkpoints.Keeper(store, self.recipe.checkpoints.keep)
        self.saved_s: list[float] = []
        """How long the training stood still for each checkpoint."""
        self._spent_s, self._began = 0.0, time.perf_counter()
        self._divergence = Divergence()
        self._new: list[tuple[Tensor, Tensor]] = []
        self._losses: list[float] = []
        self._logged = (0, 0.0, 0.0)
        self._norm = math.nan
        self._validated = self._saved = -1

    @property
    def _main(self) -> bool:
        return self.stepper.team.seat.rank == 0

    def run(self, stop: Callable[[], int | None] = lambda: None) -> End:
        """Train until the recipe says it is enough, or `stop`, asked between steps in every process, gives an exit code.

        Goes on from the newest good checkpoint. Raises DivergedError; what was committed before stays.
        """
        self._resume()
        if self.stepper.done == 0:
            self._validate()
        self._began = time.perf_counter()
        self._logged = self.stepper.done, self._began, 0.0
        ahead = Ahead(self.feed, self.stepper.team.seat, first=self.stepper.done, threads=self.recipe.run.loaders)
        with ahead:
            while not (code := self._over(stop)):
                self._new.append(self.stepper.advance(ahead.take()))
                self._after(ahead)
        self._settle()
        if code < 128:  # a signal wants the end soon
            self._validate()
        self._save()
        self.keeper.wait()
        self.stepper.team.close()
        why = {STEPS: f"{self.recipe.run.steps} steps are done", MINUTES: f"{self.recipe.run.minutes} minutes are over"}
        return End(self.stepper.done, code if code >= 128 else 0, why.get(code, "stopped by a signal"))

    def _over(self, stop: Callable[[], int | None]) -> int:
        """Why to stop now, alike in every process, or 0."""
        length = self.recipe.run
        code = stop() or 0
        if length.steps is not None and self.stepper.done >= length.steps:
            code = max(code, STEPS)
        if self._main and length.minutes is not None and self._minutes() >= length.minutes:
            code = max(code, MINUTES)
        return max(other for (other,) in self.stepper.team.agree(code))

    def _minutes(self) -> float:
        """Spent on training, in all runs that led here."""
        return (self._spent_s + time.perf_counter() - self._began) / 60

    def _after(self, ahead: Ahead) -> None:
        """What is due after a step."""
        done, recipe = self.stepper.done, self.recipe
        log, save = done % recipe.watch.log_every_steps == 0, done % recipe.checkpoints.every_steps == 0
        show = done % recipe.validation.every_steps == 0
        # reading a loss waits for a GPU, so it is read only when it is needed
        if log or save or show or self.stepper.device.type == "cpu":
            self._settle()
        if log:
            self._log(ahead)
        if show:
            self._validate()
        if recipe.watch.sample_every_steps and done % recipe.watch.sample_every_steps == 0:
            self.shows.sample(self.stepper)
        if save:
            self._save()

    def _settle(self) -> None:
        """Read the losses of the steps since the last time. Raises DivergedError."""
        if not self._new:
            return
        numbers = torch.stack([torch.stack(pair) for pair in self._new]).tolist()
        first = self.stepper.done - len(numbers)
        self._new.clear()
        for step, (loss, norm) in enumerate(numbers, start=first):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._lost(step, f"the loss is {loss} and its gradient's norm {norm}")
            if self._divergence.see(loss):
                seen = self._divergence
                said = f"the running mean of the loss is {seen.mean:.4g}, for {seen.above} steps more than {FAR:g} times its lowest, {seen.lowest:.4g}"
                raise self._lost(step, said)
            self._losses.append(loss)
            self._norm = norm

    def _lost(self, step: int, said: str) -> DivergedError:
        self.keeper.wait()
        clips = sorted({clip for piece in self.feed.step(step) for clip in piece.clip_ids})
        good = checkpoints.committed(self.store.root)
        last = f"{self.store.root / checkpoints.FOLDER}/{good[-1]:08d}.safetensors" if good else "none"
        return DivergedError(
            f"step {step} (from 0): {said}; it was not committed. Last good checkpoint: {last}. Clips of that step: {', '.join(clips)}. "
            f"Try a lower rate (optimizer.lr is {self.recipe.optimizer.lr:g}), a longer warm-up ({self.recipe.optimizer.warmup_steps} steps) or a "
            f"smaller optimizer.clip_norm ({self.recipe.optimizer.clip_norm}), with another --out; or leave clips out: --set draw.where=…"
        )

    def _log(self, ahead: Ahead) -> None:
        now, done = time.perf_counter(), self.stepper.done
        (before, then, waited), self._logged = self._logged, (done, now, ahead.waited_s)
        steps_s = (done - before) / (now - then)
        values = {
            "loss": math.fsum(self._losses) / len(self._losses),
            "gradient_norm": self._norm,
            "steps_s": steps_s,
            "samples_s": steps_s * self.recipe.run.batch,
            "data_stall": (ahead.waited_s - waited) / (now - then),
            "minutes": self._minutes(),
        }
        self._losses.clear()
        self.shows.write(done, values)

    def _validate(self) -> None:
        if self._validated != self.stepper.done:
            self._validated = self.stepper.done
            self.shows.validate(self.stepper)

    def _save(self) -> None:
        """A checkpoint of where the run stands, unless there is one."""
        if self._saved == self.stepper.done or not self.stepper.done:
            return
        began = time.perf_counter()
        self._saved = self.stepper.done
        metadata = {
            "step": self.stepper.done,
            "samples": [0, self.stepper.done * self.recipe.run.batch],
            "data": self.data,
            "recipe": self.recipe.model_dump(mode="json"),
            "validated": self._validated,
            "spent_s": self._minutes() * 60,
            "loss": self._divergence.state(),
            "since_log": list(self._losses),
        }
        self.keeper.save(self.stepper.state(), self.stepper.gradients, metadata if self._main else None)
        self.saved_s.append(time.perf_counter() - began)

    def _resume(self) -> None:
        """From the newest good checkpoint, if there is one."""
        wanted = {name: tensor.shape for name, tensor in self.stepper.state().items()}
        saved = checkpoints.newest(self.store, wanted, self.say) if self._main else None
        step = max(other for (other,) in self.stepper.team.agree(saved.step if saved else 0))
        if step:
            saved = saved or checkpoints.read(self.store.root, step, wanted)
            self.stepper.go_on(saved.tensors, step)
            self._spent_s = float(saved.metadata["spent_s"])
            self._divergence = Divergence.of(saved.metadata["loss"])
            self._losses = [float(loss) for loss in saved.metadata["since_log"]]
            self._saved, self._validated = step, int(saved.metadata["validated"])
        self.shows.begin(step)
