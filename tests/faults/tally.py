"""What a family of faults is asked to do, and what it counts."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

COUNTS = (
    "crash_points", "kills", "lost", "twice", "survived", "bad_inputs", "hangs", "planted_caught", "planted",
    "escapes_tried", "sandbox_escapes", "fuzzed",
)  # fmt: skip
WORST = ("worst_mb", "worst_over_limit_s")


@dataclass(frozen=True)
class Asked:
    """How much is to be tried, in a scratch folder of its own; `only` names what of the family, all of it if empty."""

    scratch: Path
    seed: int
    slice: bool = False
    only: str = ""

    def chosen(self, *parts: object) -> random.Random:
        """Draws that depend on the seed and these names alone, so that one case can be tried again by itself."""
        return random.Random(f"{self.seed} {' '.join(map(str, parts))}")

    def takes(self, name: str) -> bool:
        """Whether a case of this name is to be tried."""
        return self.only in name

    def touches(self, group: str) -> bool:
        """Whether cases of a group, whose names begin with its name, may be among those to be tried."""
        return self.only in group or self.only.startswith(f"{group} ")


@dataclass
class Tally:
    """What one family tried, the worst that it saw, and what went wrong: each line says how to try it again."""

    counts: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def add(self, count: str, number: int = 1) -> None:
        if count not in COUNTS:
            raise KeyError(count)
        self.counts[count] = self.counts.get(count, 0) + number

    def see(self, what: str, value: float) -> None:
        """Keep the largest."""
        if what not in WORST:
            raise KeyError(what)
        self.worst[what] = max(self.worst.get(what, 0.0), value)

    def fail(self, trouble: str) -> None:
        self.failures.append(trouble)

    def spent(self) -> float:
        return time.monotonic() - self.began


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A fresh folder, in memory where the machine has one there: thousands of small trees are copied and removed."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix=f"hdvg-{name}-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
