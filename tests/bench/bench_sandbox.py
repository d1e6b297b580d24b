"""What the walls cost, with them and without, in turns: an empty call, a probe, the pass over a video, and whole runs.

python -m tests.bench.bench_sandbox [--rounds 60] [--videos 40]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any, cast

from hdvg.config.child_settings import SplitSettings
from hdvg.config.sections import Split
from hdvg.media import calls
from hdvg.sandbox import Call, Limits, Mode, Sandbox
from hdvg.sandbox.trial import answers
from tests.bench.machine import MAX_PIXELS, clocked, describe, spread
from tests.footage import find
from tests.videos import draw_scenes

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


def whole_runs(videos: int, *, rounds: int) -> dict[Mode, list[float]]:
    """CPU milliseconds a video, all processes together, of runs over small local videos that are fetched, split and cut."""
    spent: dict[Mode, list[float]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as scratch:
        links = Path(scratch, "videos")
        links.mkdir()
        for number in range(videos):
            draw_scenes(links / f"{number}.mp4", scene_frames=(12, 12), seed=number)
        recipe = Path(scratch, "recipe.toml")
        recipe.write_text('name = "bench"\ncaption.captioner = "none"\n', encoding="utf-8")
        run = (sys.executable, "-m", "hdvg.cli", "run", str(recipe), "--links", str(links), "--runner", "serial")
        for number in range(rounds):
            for mode in MODES if number % 2 else MODES[::-1]:
                out = ("--out", f"{scratch}/{mode}-{number}", "--set", f"limits.sandbox={mode}")
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run([*run, *out], check=True, capture_output=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                spent[mode].append(1000 * cpu_s / videos)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--videos", type=int, default=40)
    asked_for = parser.parse_args()
    rounds = asked_for.rounds
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
    spent = whole_runs(asked_for.videos, rounds=5)
    off, on = (median(spent[mode]) for mode in MODES)
    table["run"] = {"off_cpu_ms": off, "more_cpu_ms": on - off, "share": on / off - 1}
    print(
        f"{'run':12} "
        + ", ".join(f"{mode} {spread(spent[mode])} CPU ms a video" for mode in MODES)
        + f": {on / off - 1:+.1%}"
    )
    print(json.dumps(table))


if __name__ == "__main__":
    main()
