"""Shortage at every file operation: the run stops with exit 75, blames no item, and goes on when there is room again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from hdvg.dataset.store import FileOps
from hdvg.errors import ResourceError, resource_error
from tests.crash import DyingOps
from tests.faults.acts import all_acts
from tests.faults.moments import Act, differences
from tests.faults.tally import Asked, Tally

SLICE_EVERY = 20


def _errno(code: int) -> Callable[[], BaseException]:
    return lambda: OSError(code, os.strerror(code))


REFUSALS: dict[str, Callable[[], BaseException]] = {
    "ENOSPC": _errno(errno.ENOSPC),
    "EIO": _errno(errno.EIO),
    "EMFILE": _errno(errno.EMFILE),
    "EROFS": _errno(errno.EROFS),
    "EDQUOT": _errno(errno.EDQUOT),
    "memory": MemoryError,
}


class RefusingOps(DyingOps):
    """Real operations, of which the `at`-th is refused, and with `lasting` every write, link and rename after it too.

    Taking away is never refused for want of space, and what takes a temporary file away raises nothing itself.
    """

    def __init__(self, at: int, error: Callable[[], BaseException], *, lasting: bool) -> None:
        super().__init__()
        self.refused_at, self.error, self.lasting = at, error, lasting

    def _step(self) -> None:
        self.count += 1
        if self.count == self.refused_at or (self.lasting and self.count > self.refused_at):
            raise self.error()

    def unlink(self, path: Path) -> None:
        FileOps.unlink(self, path)

    def remove_tree(self, path: Path) -> None:
        FileOps.remove_tree(self, path)


def run(asked: Asked, tally: Tally) -> None:
    """Every operation of every act is refused once; which way rotates, so that each kind meets each operation over time."""
    for number, act in enumerate(all_acts(asked.scratch / "acts", asked.touches)):
        root = asked.scratch / str(number)
        expected = act.end(root)
        counted = RefusingOps(0, MemoryError, lasting=False)
        act.begin(root)
        act.do(root, counted)
        for at in range(1, counted.count + 1, SLICE_EVERY if asked.slice else 1):
            kind, lasting = (
                list(REFUSALS)[(at + asked.seed) % len(REFUSALS)],
                (at // len(REFUSALS) + asked.seed) % 2 == 1,
            )
            name = f"{act.name} {at} {kind}{' lasting' if lasting else ''}"
            if asked.takes(name):
                _refuse(act, root, name, expected, RefusingOps(at, REFUSALS[kind], lasting=lasting), tally)
        shutil.rmtree(root)


def _refuse(act: Act, root: Path, name: str, expected: object, ops: RefusingOps, tally: Tally) -> None:
    act.begin(root)
    try:
        act.do(root, ops)
    except Exception as error:
        if not isinstance(error, ResourceError) and resource_error(error) is None:  # as the command line has it
            tally.fail(f"{name}: ended with {type(error).__name__} ({error}), not as a shortage (exit 75)")
    else:
        if told := differences(expected, act.state(root)):  # type: ignore[arg-type]
            tally.fail(f"{name}: it went on as if nothing had been, and {told[0]}")
    troubles = act.troubles(root, expected)  # type: ignore[arg-type]
    for trouble in troubles:
        tally.fail(f"{name}: with room again, {trouble}")
    tally.add("survived", int(not troubles))
