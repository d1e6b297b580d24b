"""The house in figures: circles, layers, rooms, the longest file and function, and how long `import hdvg` takes.

python -m tests.bench.bench_house
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from tests.additions import ADDITIONS
from tests.bench.machine import clocked, describe, spread
from tests.house import circles, layers, read_house, room_imports
from tests.layouts import ROOT

REPEATS = 7


def import_s() -> list[float]:
    """Seconds of `import hdvg` in a fresh process, less those of a process that imports nothing."""
    idle = min(clocked(lambda: subprocess.run([sys.executable, "-c", ""], check=True))[0] for _ in range(REPEATS))
    command = [sys.executable, "-c", "import hdvg"]
    return [clocked(lambda: subprocess.run(command, check=True, cwd=ROOT))[0] - idle for _ in range(REPEATS)]


def main() -> None:
    """Print the figures; the last line is JSON."""
    house, times = read_house(ROOT), import_s()
    between_rooms = room_imports(house)
    figures = {
        "circles": len(circles(house.at_top)) + len(circles(between_rooms)),
        "layers": max(layers(between_rooms).values()),
        "rooms": len(house.rooms),
        "places_measure": len(ADDITIONS["a measure"].touched),
        "places_stage": len({*ADDITIONS["a stage"].touched} - {*ADDITIONS["a stage"].new}),
        "longest_file": max(house.lines.values()),
        "longest_function": max(house.functions.values()),
        "import_s": round(statistics.median(times), 3),
    }
    print(describe())
    print(f"import hdvg, of {REPEATS}: {spread(times)} s")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
