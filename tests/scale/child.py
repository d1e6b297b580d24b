"""One operation in a process of its own: first over a tiny dataset, so that what is measured is not the start, then over the one that counts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
from pathlib import Path

from hdvg.networks.memory import ProcessMemory
from tests.scale.operations import OPERATIONS


def spent_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measured(name: str, least: Path, root: Path) -> dict[str, float]:
    """`cpu_s`, `peak_mb` (of this process, or of the largest child), and what the operation says itself."""
    operation, memory = OPERATIONS[name], ProcessMemory()
    with contextlib.redirect_stdout(io.StringIO()):
        operation(least)
        memory.reset()
        start = spent_s()
        said = operation(root)
    cpu_s = spent_s() - start
    child_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    figures = {"cpu_s": round(cpu_s, 3), "peak_mb": max(memory.peak() / 2**20, child_mb)}
    return figures | (said if isinstance(said, dict) else {})


if __name__ == "__main__":
    name, least, root = sys.argv[1:]
    print(json.dumps(measured(name, Path(least), Path(root))))
