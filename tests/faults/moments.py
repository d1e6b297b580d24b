"""Every moment of an act at which a process may die or the power may go, and what of the disk is left then."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.dataset.store import FileOps
from hdvg.ids import file_sha256
from tests.crash import Change, DyingOps, Unflushed


@dataclass(frozen=True)
class Act:
    """Something that a command does to a folder, from what it finds (`before`) to an end that is always the same.

    `do` does it, or goes on with it; `state` is what must be equal at the end.
    """

    name: str
    before: Path
    do: Callable[[Path, FileOps], object]
    state: Callable[[Path], Mapping[str, Any]]

    def begin(self, root: Path) -> None:
        """Make `root` the folder as the act finds it."""
        if root.exists():
            shutil.rmtree(root)
        shutil.copytree(self.before, root)

    def end(self, root: Path) -> Mapping[str, Any]:
        """Do it undisturbed; its state."""
        self.begin(root)
        self.do(root, Unflushed())
        return self.state(root)

    def troubles(self, root: Path, expected: Mapping[str, Any]) -> list[str]:
        """Do it again over what is there: what is not as it should be then."""
        try:
            self.do(root, Unflushed())
            end = self.state(root)
        except Exception as error:
            return [f"{type(error).__name__}: {error}"]
        return differences(expected, end)


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of what is not the same."""
    told = []
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            how = "lost" if name not in found else "too much" if name not in expected else "other"
            told.append(f"{name} is {how}")
    return told


@dataclass(frozen=True)
class Moment:
    """The folder before one file operation, and what of it a power loss may take."""

    number: int
    kept: Path
    unsynced_data: frozenset[Path]
    unsynced_names: Mapping[Path, Change]

    def losses(self, chosen: random.Random) -> Iterator[tuple[str, set[Path], list[Path]]]:
        """What may be lost, each with the files whose data goes and the names that go: nothing, all data, all names,
        both, any one name, and a few subsets."""
        data, names = set(self.unsynced_data), sorted(self.unsynced_names)
        yield "kill", set(), []
        if data:
            yield "data lost", data, []
        if names:
            yield "names lost", set(), names
        if data and names:
            yield "both lost", data, names
        if len(names) > 1:
            for place, name in enumerate(names):
                yield f"name {place} lost", set(), [name]
                yield f"name {place} kept", set(), [other for other in names if other != name]
        for draw in range(2 if len(names) > 3 else 0):
            yield f"subset {draw}", set(), [name for name in names if chosen.random() < 0.5]

    def restore(self, root: Path, data: set[Path], names: list[Path]) -> None:
        """Make `root` what the moment and the loss leave."""
        if root.exists():
            shutil.rmtree(root)
        shutil.copytree(self.kept, root)
        left = DyingOps()
        left.unsynced_data = data
        left.lose_data()
        for name in names:
            self.unsynced_names[name]()


def moments_of(act: Act, root: Path, make_ops: type[DyingOps] = DyingOps, *, every: int = 1) -> list[Moment]:
    """The act over `root`, undisturbed, looked at before each of its operations (before every `every`-th of them)."""
    found: list[Moment] = []

    def look(now: DyingOps) -> None:
        if (now.count - 1) % every:
            return
        kept = root.with_name(f"{root.name}-{now.count}")
        shutil.copytree(root, kept)
        found.append(Moment(now.count, kept, frozenset(now.unsynced_data), dict(now.unsynced_names)))

    act.begin(root)
    act.do(root, make_ops(before=look))
    return found


def state_of(root: Path) -> Counter[tuple[str, str]]:
    """Files and folders with their contents; those in `tmp/` have random names, and count by what they hold."""
    found: Counter[tuple[str, str]] = Counter()
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name != "run.lock":
            held = file_sha256(path) if path.is_file() else "folder"
            found["tmp" if name.startswith("tmp/") else name, held] += 1
    return found


def crashes(
    act: Act,
    scratch: Path,
    make_ops: type[DyingOps] = DyingOps,
    *,
    every: int = 1,
    seed: str = "",
    takes: Callable[[str], bool] = lambda name: True,
) -> Iterator[tuple[str, list[str]]]:
    """Each point (moment and loss) with what is wrong after it and a second, undisturbed try.

    Points that leave the same on disk are tried once: what a second try finds is all it knows of the first.
    """
    root, seen = scratch / "d", set()
    expected = act.end(root)
    for moment in moments_of(act, root, make_ops, every=every):
        chosen = random.Random(f"{seed} {act.name} {moment.number}")
        for loss, data, names in moment.losses(chosen):
            name = f"{act.name} {moment.number} {loss}"
            if not takes(name):
                continue
            moment.restore(root, data, names)
            left = frozenset(state_of(root).items())
            if left not in seen:
                seen.add(left)
                yield name, act.troubles(root, expected)
        shutil.rmtree(moment.kept)
