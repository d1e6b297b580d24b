"""Training on a Ray cluster: Ray Train starts the processes, and starts them anew when one dies; the run's folder is all they share."""

from __future__ import annotations

import fcntl
import io
import shutil
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
import typer
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from rich.console import Console

from hdvg.dataset.far import far_of
from hdvg.dataset.mirror import open_mirror
from hdvg.errors import HdvgError, ResourceError
from hdvg.training import journal, runs
from hdvg.training.live import View
from hdvg.training.loop import End
from hdvg.training.stopping import Signals
from pipelines.session import opened

DEATHS = 10
"""Of workers, after each of which the run goes on from its newest checkpoint."""
LOOK_S = 1.0
"""How often the driver looks at the log and at signals."""
ENCODING_S = 7 * 24 * 3600
"""How long a process may wait for another, whose node encodes first."""
STOP = "stop"
"""The file in the run's folder that asks the workers to end; it holds the exit code."""


class TrainingError(HdvgError):
    """What stopped the workers, raised again in the driver, with the exit code that it had there."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def train_on_ray(task: runs.Task, console: Console, *, workers: int, address: str | None, quiet: bool = False) -> End:
    """Train in so many processes on the cluster at the address, or on this machine; all see the run's folder, and the datasets',
    unless these lie in a bucket: then each node has mirrors of its own.

    Each has a GPU if the cluster has one for each. Ctrl-C and SIGTERM end it with a checkpoint. Raises HdvgError.
    """
    with runs.begun(task, console) as lines:
        for line in lines:
            typer.echo(line, err=quiet)
        asked = task.folder / STOP
        asked.unlink(missing_ok=True)
        try:
            with opened(address):
                return _watched(task, console, workers)
        finally:
            asked.unlink(missing_ok=True)


def _watched(task: runs.Task, console: Console, workers: int) -> End:
    """Run the trainer in a thread, and here show its log and take signals to its workers."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray leaves it untyped
    gpu = resources.get("GPU", 0) >= workers
    if not gpu and resources.get("CPU", 1) < workers:
        raise ResourceError(f"--workers {workers}: the cluster has {resources.get('CPU', 1):g} cores; take fewer")
    folder = task.folder / "ray"
    links = [far and far.link for far in (far_of(path) for path, _ in task.datasets)]
    trainer = TorchTrainer(
        worker,  # type: ignore[arg-type]  # what it returns is the result's, which its type does not know yet
        train_loop_config={"task": task, "links": links},
        torch_config=TorchConfig(timeout_s=ENCODING_S) if any(links) else None,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=RunConfig(
            name=uuid.uuid4().hex, storage_path=str(folder), failure_config=FailureConfig(max_failures=DEATHS)
        ),
    )
    ended: list[Any] = []
    signals, done = Signals(), threading.Event()

    def fit() -> None:
        try:
            ended.append(trainer.fit())
        except ray.train.TrainingFailedError as error:
            ended.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=fit, name="ray-train", daemon=True)
    with signals.caught():
        thread.start()
        _follow(task, console, signals, done)
    thread.join()
    shutil.rmtree(folder, ignore_errors=True)
    return _end(ended)


def _follow(task: runs.Task, console: Console, signals: Signals, done: threading.Event) -> None:
    """Show new lines of the log until the run is over."""
    view = View(console, task.recipe.run)
    shown = len(list(journal.read(task.folder)))
    try:
        over = False
        while not over:
            over = done.wait(LOOK_S)
            if signals.code is not None and not (task.folder / STOP).exists():
                (task.folder / STOP).write_text(str(signals.code), encoding="utf-8")
            lines = list(journal.read(task.folder))
            for line in lines[min(shown, len(lines)) :]:  # a resumed run drops lines of steps that it does again
                values = {name: value for name, value in line.items() if name != "step"}
                view.show(line["step"], values, aloud="validation" in line)
            shown = len(lines)
    finally:
        view.close()


def _end(ended: list[Any]) -> End:
    """What the workers said. Raises HdvgError."""
    if not ended:
        raise TrainingError("Ray Train ended without a word; its logs lie in /tmp/ray/session_latest/logs/train", 1)
    if isinstance(ended[0], ray.train.TrainingFailedError):
        raise TrainingError(
            f"the workers died {DEATHS + 1} times, or failed in a way hdvg does not know: {ended[0]}", 1
        )
    answer = ended[0].return_value
    if "error" in answer:
        raise TrainingError(answer["error"], answer["code"])
    return End(answer["step"], answer["code"], answer["why"])


def _here(task: runs.Task, links: Sequence[str | None], console: Console) -> runs.Task:
    """The task, with this node's own mirrors of datasets in buckets; what they lack of latents is made, by one of its processes,
    with the encoders that the run keeps."""
    found = []
    for (path, weight), link in zip(task.datasets, links, strict=True):
        root = path if link is None else open_mirror(link)
        found.append((root, weight))
        if link is not None:
            with (root / "encode.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                runs.encoded(root, task.recipe, console, like=task.folder)
    return replace(task, datasets=tuple(found))


def worker(config: dict[str, Any]) -> dict[str, Any]:
    """The body of each process; what hdvg raises on purpose is returned, not raised: trying again would not help."""
    task: runs.Task = config["task"]
    nowhere = Console(file=io.StringIO())

    def stop() -> int | None:
        path = task.folder / STOP
        return int(path.read_text(encoding="utf-8") or 0) or None if path.exists() else None

    try:
        task = _here(task, config["links"], nowhere)
        end = runs.work(task, stop=stop, console=nowhere, device=get_device())
    except HdvgError as error:
        return {"error": str(error), "code": error.exit_code}
    return {"step": end.step, "code": end.code, "why": end.why}
