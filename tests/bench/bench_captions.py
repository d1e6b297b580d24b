"""How many clips get valid fields from a server that misbehaves: as it answers, after repair, and after asking again.

Run: python -m tests.bench.bench_captions [--clips 2000] [--bad 0.5] [--repeats 3].
A loopback server answers each request well or, with the chance `--bad`, in one of the ways of `tests/chat.py`: those that a
repair can mend (prose around the JSON, missing braces, wrong types, broken off, ...) and those that it cannot (a refusal, nothing,
another language, ...), each kind as often. Each clip is one question with the same picture. A clip's fields are valid if they are
those of a good answer, no others. The last line is one JSON object: `json_valid_share` (least of the repeats, each a seed), `valid_as_answered`,
`valid_after_repair`, `wrong_share` (fields that the server did not mean), `requests_per_clip`, `ms_per_answer` (our own time to read one).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from typing import Any

from hdvg.captioners import Written, fields, prompting
from hdvg.captioners.openai import OpenAi
from hdvg.config.caption import Writer
from hdvg.keyframes import Shot
from tests.bench.machine import describe
from tests.chat import BADLY, GOOD, USELESS, ChatServer, says
from tests.hdvg.test_openai import jpeg

WAYS = {**BADLY, **USELESS}


class Misbehaving(ChatServer):
    """Answers well, or badly with a chance, in an order that the seed fixes but for how requests come in."""

    def __init__(self, *, bad: float, seed: int) -> None:
        super().__init__()
        self._chance, self._random = bad, random.Random(seed)
        self.sent: list[str] = []

    def _say(self, handler: Any) -> None:
        with self._change:
            way = self._random.choice(list(WAYS)) if self._random.random() < self._chance else ""
            text = WAYS[way](GOOD) if way else json.dumps(GOOD)
            self.sent.append(text)
        says(text)(handler)


def is_meant(columns: Any) -> bool:
    """Whether fields are those of the good answer."""
    return all(columns.get(f"said_{name}") == GOOD[name] for name in (*fields.FIELDS, fields.PEOPLE))


def is_valid(text: str) -> bool:
    """Whether an answer is valid as it stands."""
    try:
        return bool(json.loads(text) == GOOD)
    except ValueError:
        return False


def measure(clips: int, *, bad: float, seed: int) -> dict[str, float]:
    """The figures of one seed."""
    with Misbehaving(bad=bad, seed=seed) as server:
        told = {
            "captioner": "openai",
            "model": "tiny",
            "fields": True,
            "endpoint": {"url": server.url, "concurrency": 16},
        }
        settings = Writer.model_validate(told)
        captioner = OpenAi(settings)
        turn = captioner.prepare(Shot("clip", {"middle": jpeg(0)}, {"duration_s": 5.0}))
        answers = [one for start in range(0, clips, 64) for one in captioner.write([turn] * min(64, clips - start))]
        sent = list(server.sent)
    start = time.perf_counter()
    read = [fields.read(prompting.spoken(text), settings, duration_s=5.0) for text in sent]
    ms = 1000 * (time.perf_counter() - start) / len(sent)
    given = [one for one in answers if isinstance(one, Written)]
    return {
        "json_valid_share": sum(is_meant(one.columns) for one in given) / clips,
        "wrong_share": sum(not is_meant(one.columns) for one in given) / clips,
        "valid_as_answered": sum(map(is_valid, sent)) / len(sent),
        "valid_after_repair": sum(not one.problem for one in read) / len(read),
        "requests_per_clip": len(sent) / clips,
        "ms_per_answer": ms,
    }


def parser() -> argparse.ArgumentParser:
    """Its arguments."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--clips", type=int, default=2000)
    made.add_argument("--bad", type=float, default=0.5)
    made.add_argument("--repeats", type=int, default=3)
    return made


def main() -> None:
    """Measure and say."""
    told = parser().parse_args()
    print(describe())
    print(f"{told.clips} clips a seed, {told.bad:.0%} of the answers bad in one of {len(WAYS)} ways")
    rounds = []
    for seed in range(told.repeats):
        rounds.append(measure(told.clips, bad=told.bad, seed=seed))
        print(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in rounds[-1].items()))
    said = {name: sum(one[name] for one in rounds) / len(rounds) for name in rounds[0]}
    said["json_valid_share"] = min(one["json_valid_share"] for one in rounds)
    said["wrong_share"] = max(one["wrong_share"] for one in rounds)
    print(json.dumps({name: round(value, 4) for name, value in said.items()}))


if __name__ == "__main__":
    main()
