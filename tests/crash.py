"""A disk that dies before a chosen operation, and what a power loss leaves of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from hdvg.dataset.store import FileOps

Change = Callable[[], None]
"""Takes back one change of a name."""


class Crash(BaseException):
    """The process is gone: nothing after this moment happens, clean-ups included."""


class DyingOps(FileOps):
    """Real operations until the `at`-th; then nothing works any more. Notes what a power loss would take.

    `before` is called ahead of each: the disk is then as a process that dies there would leave it.
    """

    def __init__(self, at: int | None = None, *, before: Callable[[DyingOps], None] = lambda ops: None) -> None:
        self.at = at
        self.before = before
        self.count = 0
        self.unsynced_data: set[Path] = set()
        self.unsynced_names: dict[Path, Change] = {}

    def _step(self) -> None:
        self.count += 1
        if self.at is not None and self.count >= self.at:
            raise Crash
        self.before(self)

    def write(self, path: Path, write: Callable[[Path], object]) -> None:
        self._step()
        super().write(path, write)
        self.unsynced_data.add(path)

    def fsync(self, path: Path) -> None:
        self._step()
        path.stat()  # a real flush would cost most of the time, and no process can see whether it was done
        self.unsynced_data.discard(path)
        for name in [name for name in self.unsynced_names if name.parent == path]:
            del self.unsynced_names[name]

    def link(self, path: Path, final: Path) -> None:
        self._step()
        super().link(path, final)
        self.unsynced_names[final] = lambda: final.unlink(missing_ok=True)
        if path in self.unsynced_data:
            self.unsynced_data.add(final)

    def rename(self, path: Path, final: Path) -> None:
        self._step()
        before = final.read_bytes() if final.exists() else None
        super().rename(path, final)
        if final.is_dir():
            return  # an earlier run's temporary folder: either name of it is rubbish
        self.unsynced_names[final] = lambda: _put_back(final, before)
        if path in self.unsynced_data:
            self.unsynced_data.add(final)

    def unlink(self, path: Path) -> None:
        self._step()
        gone = path.read_bytes() if path.exists() and "tmp" not in path.parts[-3:] else None
        super().unlink(path)
        if gone is not None:  # the name may be there again
            self.unsynced_names[path] = lambda: _put_back(path, gone)

    def mkdir(self, path: Path) -> None:
        self._step()
        super().mkdir(path)
        self.unsynced_names[path] = lambda: shutil.rmtree(path, ignore_errors=True)

    def remove_tree(self, path: Path) -> None:
        self._step()
        super().remove_tree(path)

    def lose_data(self) -> None:
        """Power loss that keeps names but drops what was not flushed: the file is there, its end is not."""
        for path in self.unsynced_data:
            if path.exists():
                os.truncate(path, path.stat().st_size // 2)

    def lose_names(self) -> None:
        """Power loss that keeps data but drops names not flushed in their folder."""
        for undo in self.unsynced_names.values():
            undo()


def _put_back(path: Path, content: bytes | None) -> None:
    """Make a name what it was, nothing if there was none; if its folder is gone too, it stays so."""
    if content is None:
        path.unlink(missing_ok=True)
    elif path.parent.exists():
        path.write_bytes(content)


class Unflushed(FileOps):
    """Real operations of a second try, without the flushes."""

    def fsync(self, path: Path) -> None:
        path.stat()


LOSSES: dict[str, Callable[[DyingOps], None]] = {
    "kill": lambda ops: None,
    "data lost": DyingOps.lose_data,
    "names lost": DyingOps.lose_names,
}
