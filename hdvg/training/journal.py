"""The log of a run: one JSON object a step in `log.jsonl`, and the same numbers for TensorBoard."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

LOG, BOARD = "log.jsonl", "tensorboard"


class Journal:
    """Writes a run's numbers, of one process; a context manager.

    A line is one write to the file, so what a killed run leaves is whole lines and at most one torn one.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._file: IO[bytes] | None = None
        self._board: Any = None
        self._purge: int | None = None
        self._step = 0

    def begin(self, step: int) -> None:
        """Go on after a step: lines of later ones, and a torn one, go; after step 0 all do, for it is not done again."""
        self.close()
        path = self._run / LOG
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._file.truncate(_whole_bytes(path, step))
        self._step = step
        if (self._run / BOARD).exists():
            self._purge = step + 1 if step else 0

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """A line of numbers by name; what is not finite is null. Steps never go back (ValueError); begins if nothing did."""
        if self._file is None:
            self.begin(0)
        assert self._file is not None
        if step < self._step:
            raise ValueError(f"step {step} after step {self._step}: a log goes forward")
        self._step = step
        finite = {name: value if _is_finite(value) else None for name, value in values.items()}
        self._file.write((json.dumps({"step": step, **finite}, allow_nan=False) + "\n").encode())
        board = self._opened_board()
        if board is not None:
            for name, value in values.items():
                if value is not None:
                    board.add_scalar(name, value, step)
            board.flush()

    def close(self) -> None:
        """Close both files."""
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()
        self._file = self._board = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened_board(self) -> Any:
        """TensorBoard's writer, from the first number on; None where TensorBoard is not installed."""
        if self._board is None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(str(self._run / BOARD), purge_step=self._purge)
        return self._board


def read(run: Path) -> Iterator[dict[str, Any]]:
    """The lines of a run's log; a torn one ends it."""
    path = run / LOG
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        row = _parsed(line)
        if row is None:
            return
        yield row


def _whole_bytes(path: Path, step: int) -> int:
    """How much of a log is whole lines of steps up to this one."""
    size = 0
    with path.open("rb") as file:
        for line in file:
            row = _parsed(line)
            if row is None or row["step"] > step or not step:
                break
            size += len(line)
    return size


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line, or None if it is torn."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
