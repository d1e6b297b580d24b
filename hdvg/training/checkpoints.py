"""Checkpoints: all that the next step depends on, as safetensors, and a JSON file whose appearance commits it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hdvg.dataset.store import Store
from hdvg.errors import DivergedError
from hdvg.ids import file_sha256
from hdvg.training.parallel import Gradients

FORMAT = 1
FOLDER = "checkpoints"


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read: its metadata, and its tensors, on the CPU."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def step(self) -> int:
        """How many steps were done."""
        return int(self.metadata["step"])


class Keeper:
    """Writes checkpoints of a run folder beside the training, one at a time, and keeps the newest `keep`."""

    def __init__(self, store: Store, keep: int) -> None:
        self._store, self._keep = store, keep
        self._copies: dict[str, Tensor] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, state: Mapping[str, Tensor], gradients: Gradients, metadata: Mapping[str, Any] | None) -> None:
        """Copy the state to the CPU; the writing goes on while the training does. Every process calls it.

        Only the process that passes `metadata` (`step` among it) keeps and writes a checkpoint. Waits for the one before;
        raises what went wrong with that: ResourceError, or DivergedError for numbers that are not finite.
        """
        self.wait()
        for name, tensor in state.items():
            whole = gradients.whole(tensor)
            if metadata is None:
                continue
            if name not in self._copies:
                self._copies[name] = torch.empty(whole.shape, dtype=whole.dtype, pin_memory=whole.is_cuda)
            self._copies[name].copy_(whole, non_blocking=True)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if metadata is not None:
            self._writing = self._writer.submit(self._write, dict(metadata))

    def wait(self) -> None:
        """Until what is being written is."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, metadata: dict[str, Any]) -> None:
        name = _name(metadata["step"])
        if bad := _not_finite(self._copies):
            raise DivergedError(f"step {metadata['step']}: {bad} is not finite; no checkpoint of it was written")
        # a file of a run that was killed between the two may be there already: the hash is of what lies there
        self._store.publish(f"{name}.safetensors", lambda path: save_file(self._copies, path))
        sha256 = file_sha256(self._store.root / f"{name}.safetensors")
        text = json.dumps({"format": FORMAT, **metadata, "sha256": sha256, "torch": torch.__version__}, indent=1)
        self._store.publish(f"{name}.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))
        for step in committed(self._store.root)[: -self._keep]:
            for extension in ("json", "safetensors"):  # in this order: what is committed has its tensors
                self._store.remove(f"{_name(step)}.{extension}")


def committed(run: Path) -> list[int]:
    """Steps of which a checkpoint was committed, rising; whether they are good, `read` finds out."""
    return sorted(int(path.stem) for path in (run / FOLDER).glob("*.json") if path.stem.isdigit())


def read(run: Path, step: int, shapes: Mapping[str, torch.Size] | None = None) -> Saved:
    """The checkpoint of a step. Raises ValueError with what is wrong with it; pickles are never opened.

    With `shapes`, those that its tensors must have.
    """
    try:
        metadata = json.loads((run / f"{_name(step)}.json").read_text(encoding="utf-8"))
        if metadata["format"] != FORMAT:
            raise ValueError(f"it is of format {metadata['format']}, this hdvg reads {FORMAT}")
        path = run / f"{_name(step)}.safetensors"
        if metadata["step"] != step or file_sha256(path) != metadata["sha256"]:
            raise ValueError("its files are not as they were written")
        tensors = load_file(path)
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"it cannot be read ({error})") from error
    if shapes is not None and {name: tensor.shape for name, tensor in tensors.items()} != dict(shapes):
        raise ValueError("its tensors are not this network's")
    if bad := _not_finite(tensors):
        raise ValueError(f"{bad} in it is not finite")
    return Saved(metadata, tensors)


def newest(store: Store, shapes: Mapping[str, torch.Size], say: Callable[[str], object]) -> Saved | None:
    """The newest good checkpoint of a run folder, under its lock. Bad ones are put aside, aloud, and what was not committed goes."""
    steps = committed(store.root)
    for path in (store.root / FOLDER).glob("*.safetensors"):
        if path.stem.isdigit() and int(path.stem) not in steps:
            store.remove(f"{FOLDER}/{path.name}")
    for step in reversed(steps):
        try:
            return read(store.root, step, shapes)
        except ValueError as error:
            say(f"checkpoint {store.root / _name(step)}: {error}; going on from the one before, it stays as *.damaged")
            for extension in ("json", "safetensors"):
                path = store.root / f"{_name(step)}.{extension}"
                if path.exists():
                    store.ops.rename(path, path.with_suffix(f".{extension}.damaged"))
    return None


def _name(step: int) -> str:
    return f"{FOLDER}/{step:08d}"


def _not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The first tensor that holds a number that is not finite."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
