"""What a whole run costs over a bare decode of the same videos: seconds on the clock, and CPU seconds of the machine.

    python -m tests.bench.bench_whole [--rounds 3] [--recipes demo,widescreen_clean]

Every real video of the test material once (`../shared/media` where it is there, else the demo's bundle). A round decodes all
of them, then runs each recipe into a new dataset with each runner, every run a process of its own with nothing cached.
`over_decode` is that of `--runner local`. `ray_over_serial` and `local_over_serial` are without what a command takes when nothing
is to be done, and without Ray's start. CPU seconds are all that the machine spent meanwhile, so nothing else should run: what becomes of a sandbox's
children is counted for no process that stays. Seconds of stages are summed over jobs, some of which run side by side. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import av

from hdvg.reports.status import read_report
from tests.bench.machine import describe, spread
from tests.footage import BUNDLED, SHARED

RUNNERS = ("serial", "local", "ray")
START_RAY = "import logging, ray; ray.init('local', num_cpus=2, include_dashboard=False, logging_level=logging.ERROR); ray.shutdown()"

Spent = tuple[float, float]
"""Seconds on the clock, CPU seconds of the machine."""


def videos() -> list[Path]:
    """The material, sorted by name."""
    folder = SHARED if SHARED.exists() else BUNDLED
    return sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".webm", ".mpg"))


def decode(paths: Sequence[Path]) -> Spent:
    """Every frame of each video, one video after the other, FFmpeg's own threads."""
    code = "import sys; from tests.bench.bench_whole import decode_all; decode_all(sys.argv[1:])"
    return spent([sys.executable, "-c", code, *map(str, paths)])


def decode_all(paths: Sequence[str]) -> None:
    """As `decode`, in this process."""
    for path in paths:
        with av.open(path) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass


def spent(command: Sequence[str]) -> Spent:
    """What a command takes."""
    before, start = machine_cpu_s(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start, machine_cpu_s() - before


def machine_cpu_s() -> float:
    """CPU seconds that all processes of this machine have spent, in the kernel too."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def whole(recipe: str, runner: str, folder: Path) -> tuple[Spent, Spent, dict[str, float]]:
    """What a run takes, what the same takes again, and the seconds of each stage."""
    command = [sys.executable, "-m", "hdvg.cli", "run", recipe, "--runner", runner, "--out", str(folder / "dataset")]
    first = spent([*command, "--links", str(folder / "videos")])
    report = read_report(folder / "dataset") or {"stages": {}}
    again = spent(command)
    return first, again, {name: row["spent_s"] for name, row in report["stages"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipes", default="demo,widescreen_clean")
    asked = parser.parse_args()
    recipes, paths = asked.recipes.split(","), videos()
    print(describe())
    print(f"input: {len(paths)} videos of {paths[0].parent.parent.name}/{paths[0].parent.name}")
    bare: list[Spent] = []
    runs: defaultdict[tuple[str, str], list[Spent]] = defaultdict(list)
    idle: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    stages: defaultdict[tuple[str, str], defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    ray_start = []
    for number in range(asked.rounds):
        bare.append(decode(paths))
        ray_start.append(spent([sys.executable, "-c", START_RAY])[0])
        for recipe in recipes:
            for runner in RUNNERS if number % 2 else RUNNERS[::-1]:
                with tempfile.TemporaryDirectory() as folder:
                    (Path(folder) / "videos").mkdir()
                    for path in paths:
                        shutil.copy(path, Path(folder) / "videos")
                    first, again, by_stage = whole(recipe, runner, Path(folder))
                runs[recipe, runner].append(first)
                idle[recipe, runner].append(again[0])
                for name, seconds in by_stage.items():
                    stages[recipe, runner][name].append(seconds)
    _say(bare, ray_start, runs, idle, stages)


def _say(
    bare: list[Spent],
    ray_start: list[float],
    runs: dict[tuple[str, str], list[Spent]],
    idle: dict[tuple[str, str], list[float]],
    stages: dict[tuple[str, str], defaultdict[str, list[float]]],
) -> None:
    decode_s = median(wall for wall, _ in bare)
    print(f"bare decode: {spread([wall for wall, _ in bare])} s, {median(cpu for _, cpu in bare):.1f} CPU s")
    print(f"starting Ray: {spread(ray_start)} s")
    figures: dict[str, float] = {"decode_s": round(decode_s, 2)}
    for (recipe, runner), done in runs.items():
        wall_s, cpu_s = median(wall for wall, _ in done), median(cpu for _, cpu in done)
        print(f"{recipe}, {runner}: {spread([wall for wall, _ in done])} s, {cpu_s:.1f} CPU s, ", end="")
        print(f"{median(idle[recipe, runner]):.1f} s with nothing to do")
        print("   " + ", ".join(f"{name} {median(times):.1f}" for name, times in stages[recipe, runner].items()))
        figures[f"{recipe}_{runner}_s"] = round(wall_s, 2)
        figures[f"{recipe}_{runner}_cpu_s"] = round(cpu_s, 2)
    for recipe in dict.fromkeys(recipe for recipe, _ in runs):
        figures[f"{recipe}_over_decode"] = round(figures[f"{recipe}_local_s"] / decode_s, 2)
        start = {"serial": 0.0, "local": 0.0, "ray": median(ray_start)}
        at_work = {
            runner: figures[f"{recipe}_{runner}_s"] - median(idle[recipe, runner]) - start[runner] for runner in RUNNERS
        }
        for runner in ("local", "ray"):
            figures[f"{recipe}_{runner}_over_serial"] = round(at_work[runner] / at_work["serial"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
