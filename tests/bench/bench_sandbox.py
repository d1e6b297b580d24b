"""What the walls cost: calls of limited children with them and without, in turns; an empty call, and the pass over a video.

python -m tests.bench.bench_sandbox [--rounds 60]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

from hdvg.config.child_settings import SplitSettings
from hdvg.config.sections import Split
from hdvg.media import calls
from hdvg.sandbox import Call, Limits, Mode, Sandbox
from hdvg.sandbox.trial import answers
from tests.bench.machine import MAX_PIXELS, clocked, describe, spread
from tests.footage import find

PRELOAD = ("yt_dlp", "hdvg.sources.ytdlp", "hdvg.media.probe", "hdvg.media.scan", "hdvg.media.cut")
MODES: tuple[Mode, ...] = ("off", "require")
VIDEO = "birds_720p.mp4"


def compare(
    sandboxes: dict[Mode, Sandbox], ask: Callable[[str], Call[Any]], *, rounds: int
) -> tuple[dict[Mode, list[float]], dict[Mode, float]]:
    """Milliseconds of each call on the clock, and CPU milliseconds of a call, by mode; one call of each at first is not counted."""
    clock: dict[Mode, list[float]] = {mode: [] for mode in sandboxes}
    cpu: dict[Mode, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds + 1):
            for mode in list(sandboxes) if number % 2 else list(sandboxes)[::-1]:
                seconds, _ = clocked(lambda mode=mode: sandboxes[mode].call(ask(scratch), Path(scratch), Limits()))
                clock[mode] += [1000 * seconds] if number else []
            cpu = cpu or {mode: cpu_ms(sandbox) for mode, sandbox in sandboxes.items()}
        return clock, {mode: (cpu_ms(sandbox) - cpu[mode]) / rounds for mode, sandbox in sandboxes.items()}


def cpu_ms(sandbox: Sandbox) -> float:
    """Of the server and its ended children."""
    assert sandbox._server is not None
    fields = Path(f"/proc/{sandbox._server.pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    print(describe())
    path, settings = str(find(VIDEO)), cast("SplitSettings", Split().model_dump())
    asked: dict[str, Callable[[str], Call[Any]]] = {
        "empty call": lambda out: answers(),
        "probe": lambda out: calls.probe(path, MAX_PIXELS),
        "pass": lambda out: calls.scan(path, out, settings, 4, MAX_PIXELS),
    }
    table: dict[str, Any] = {}
    with ExitStack() as stack:
        sandboxes = {mode: stack.enter_context(closing(Sandbox(PRELOAD, mode))) for mode in MODES}
        for name, ask in asked.items():
            clock, cpu = compare(sandboxes, ask, rounds=max(rounds // (3 if name == "pass" else 1), 5))
            times = ", ".join(f"{mode} {spread(clock[mode])} ms ({cpu[mode]:.1f} CPU ms)" for mode in MODES)
            off, on = (cpu[mode] for mode in MODES)
            table[name] = {"off_cpu_ms": off, "more_cpu_ms": on - off, "share": on / off - 1}
            print(f"{name:12} {times}: {on - off:+.1f} CPU ms")
    print(json.dumps(table))


if __name__ == "__main__":
    main()
