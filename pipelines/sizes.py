"""How many jobs of a stage run at once, by the run's settings and by how large the machine or the cluster is."""

from __future__ import annotations

from dataclasses import dataclass

from hdvg.config.sections import Run


@dataclass(frozen=True)
class Size:
    """Of what a run runs on, all nodes together."""

    cpus: float
    gpus: float
    nodes: int


def per_core(run: Run, size: Size) -> int:
    """One for every core."""
    return max(int(size.cpus), 1)


def downloads(run: Run, size: Size) -> int:
    """The setting, else two on every node: each fetches several videos at once."""
    return run.download_workers or 2 * size.nodes


def measures(run: Run, size: Size) -> int:
    """The setting, else one for every two cores."""
    return run.measure_workers or max(int(size.cpus) // 2, 1)


def own_measures(run: Run, size: Size) -> int:
    """The setting, else one for every core."""
    return run.measure_workers or per_core(run, size)


def captioners(run: Run, size: Size) -> int:
    """The setting, else one for every GPU, or for as many as one takes; without GPUs one on every node."""
    if run.caption_workers:
        return run.caption_workers
    return max(int(size.gpus / max(run.caption_gpus, 1.0)), 1) if size.gpus >= 1 else size.nodes
