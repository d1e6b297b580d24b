"""`python -m tests.faults`: run the families of faults, print a table, and end with one line of JSON."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from tests.faults.families import BY_NAME, FAMILIES, run_family
from tests.faults.tally import COUNTS, WORST, Tally

TARGETS = {"crash_points": 500, "kills": 100, "bad_inputs": 600, "planted": 25, "escapes_tried": 20}
"""Least in a whole run; a slice tries fewer."""
MOST = {"worst_mb": 600.0, "worst_over_limit_s": 2.0}


def main(words: Sequence[str] | None = None) -> int:
    """0 if nothing failed and a whole run tried enough."""
    asked = _arguments().parse_args(words)
    tallies: dict[str, Tally] = {}
    families = asked.family or list(FAMILIES)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        one_by_one = len(families) == 1  # then in this process, where it can be looked into
        running = (
            map(run_family, families, repeat(asked)) if one_by_one else pool.map(run_family, families, repeat(asked))
        )
        for family, tally in zip(families, running, strict=True):
            tallies[family] = tally
            print(f"{family}: {(FAMILIES | BY_NAME)[family]}: {tally.seconds:.0f} s", file=sys.stderr, flush=True)
            for trouble in tally.failures:
                print(f"  {trouble}\n    again: {_again(family, asked, trouble)}", file=sys.stderr, flush=True)
    whole = not (asked.slice or asked.family or asked.only)
    short = _short(tallies) if whole else []
    _print(tallies, short)
    return int(bool(short or any(tally.failures for tally in tallies.values())))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "family", nargs="*", metavar="FAMILY", help=", ".join([*FAMILIES, *BY_NAME]), choices=[[], *FAMILIES, *BY_NAME]
    )
    parser.add_argument("--slice", action="store_true", help="five minutes: some of everything")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    return parser


def _again(family: str, asked: argparse.Namespace, trouble: str) -> str:
    """The command that tries a case again; its name stands before the first colon."""
    case = trouble.partition(":")[0]
    return f"python -m tests.faults {family} --seed {asked.seed} --only {json.dumps(case)}"


def _short(tallies: dict[str, Tally]) -> list[str]:
    """What a whole run has to try, or keep to, and did not."""
    counts, worst = _sum(tallies)
    told = [
        f"{name}: {counts[name]}, at least {least} is asked" for name, least in TARGETS.items() if counts[name] < least
    ]
    return told + [
        f"{name}: {worst[name]}, at most {most} is asked" for name, most in MOST.items() if worst[name] > most
    ]


def _sum(tallies: dict[str, Tally]) -> tuple[dict[str, int], dict[str, float]]:
    counts = {name: sum(tally.counts.get(name, 0) for tally in tallies.values()) for name in COUNTS}
    worst = {name: round(max((t.worst.get(name, 0.0) for t in tallies.values()), default=0.0), 2) for name in WORST}
    return counts, worst


def _print(tallies: dict[str, Tally], short: list[str]) -> None:
    counts, worst = _sum(tallies)
    for family, tally in tallies.items():
        numbers = tally.counts | {name: round(value, 2) for name, value in tally.worst.items()}
        said = ", ".join(f"{name} {number}" for name, number in numbers.items())
        print(f"{family:<8} {tally.seconds:6.0f} s  {len(tally.failures):3} failed  {said}")
    for line in short:
        print(f"short: {line}")
    failed = sum(len(tally.failures) for tally in tallies.values())
    print(json.dumps(counts | worst | {"failures": failed}))


if __name__ == "__main__":
    sys.exit(main())
