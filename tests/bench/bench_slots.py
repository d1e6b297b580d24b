"""Benchmark of slots: how long a run over a cluster takes, and how busy its cores are, by how many jobs of a stage run at once.

    python -m tests.bench.bench_slots [--units 1000] [--nodes 8] [--cores 16] [--seed 0]

A simulation: the runner's own queues, with jobs that take so many seconds of a unit (log-normal), and as many at once as there are
cores. `fixed` is two downloads a node; `wider` doubles these, up to four times, whenever cores wait for them, as the runner does;
`shares` gives each stage its share of the cores by the seconds it takes, as if all had been measured before. A download's seconds
do not grow with the downloads beside it: the network has room. The last line is JSON: seconds by case.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections.abc import Callable
from pathlib import Path

from pipelines.graph import find_stage
from pipelines.ray_runner import WIDEST
from pipelines.runners import Order, Queues

CASES = {
    "ample network": {"download": 80, "split": 960, "text": 100, "cut": 600, "caption": 60},
    "slow network": {"download": 800, "split": 960, "text": 100, "cut": 600, "caption": 60},
    "light videos": {"download": 60, "split": 120, "text": 30, "cut": 90, "caption": 15},
    "dear captions": {"download": 80, "split": 960, "text": 100, "cut": 600, "caption": 400},
}
"""Seconds of a unit at each stage: of 64 videos of 5 minutes, fetched four at a time, but for the light ones."""
LOOK_S = 5.0

Slots = Callable[[Queues], list[int]]


def simulated(
    seconds: dict[str, int], slots: list[int], look: Slots, *, units: int, cores: int, seed: int
) -> tuple[float, float]:
    """Seconds of the run, and the share of the cores' time that was worked."""
    stages = {name: find_stage(name) for name in seconds}
    queues = Queues(Order(Path("/none"), "run", tuple(stages.values()), {f"{i:06}": 0 for i in range(units)}), slots)
    chance, now, next_look, free, worked = random.Random(seed), 0.0, LOOK_S, float(cores), 0.0
    ready, running = [], []
    while True:
        while (job := queues.next()) is not None:
            ready.append(job)
        for job in ready[:]:
            need = stages[job.stage].cpus
            if need <= free:
                ready.remove(job)
                free -= need
                took = seconds[job.stage] * chance.lognormvariate(0, 0.5)
                worked += need * took
                heapq.heappush(running, (now + took, id(job), need, job))
        if not running:
            return now, worked / (now * cores)
        now, _, need, job = heapq.heappop(running)
        free += need
        queues.ended(job)
        if now > next_look:
            next_look = now + LOOK_S
            queues.resize(look(queues))


def ways(seconds: dict[str, int], nodes: int, cores: int) -> dict[str, tuple[list[int], Slots]]:
    """By name: slots at first, and at each look."""
    fixed = [2 * nodes, cores, cores // 2, cores, nodes]
    wide = [1]

    def wider(queues: Queues) -> list[int]:
        if queues.starve(cores):
            wide[0] = min(2 * wide[0], WIDEST)
        return [fixed[0] * wide[0], *fixed[1:]]

    needs = {name: find_stage(name).cpus for name in seconds}
    whole = sum(seconds[name] * needs[name] for name in seconds)
    shares = [max(1, round(cores * seconds[name] / whole)) for name in seconds]
    return {"fixed": (fixed, lambda _: fixed), "wider": (fixed, wider), "shares": (shares, lambda _: shares)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cores, row = args.nodes * args.cores, {}
    for case, seconds in CASES.items():
        for way, (slots, look) in ways(seconds, args.nodes, cores).items():
            took, busy = simulated(seconds, slots, look, units=args.units, cores=cores, seed=args.seed)
            row[f"{case}, {way}"] = round(took)
            print(f"{case}, {way}: {took:,.0f} s, cores {busy:.0%} busy")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
