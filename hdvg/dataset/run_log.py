"""The log of a dataset's runs: `logs/hdvg.log` in its folder, rotated; one line an event, with its time and level."""

from __future__ import annotations

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from hdvg.errors import HdvgError

FILE = "logs/hdvg.log"
MOST_BYTES = 4 * 2**20
OLDER_FILES = 4

LOGGER = logging.getLogger("hdvg")
LOGGER.addHandler(logging.NullHandler())  # without a log nothing is said: the console has it


class RunLog:
    """A context manager around a run: what the logger `hdvg` gets, and Python's warnings, go into the dataset's log as well.

    An error that ends the run is its last line; one that hdvg does not know has its traceback. Times are in UTC.
    """

    def __init__(self, root: Path) -> None:
        self._handler = _Handler(root)

    def __enter__(self) -> RunLog:
        self._level = LOGGER.level
        LOGGER.setLevel(logging.DEBUG)
        logging.captureWarnings(True)
        for logger in (LOGGER, logging.getLogger("py.warnings")):
            logger.addHandler(self._handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            known = isinstance(error, HdvgError | KeyboardInterrupt)
            LOGGER.error("ended by %s: %s", type(error).__name__, error, exc_info=None if known else error)
        for logger in (LOGGER, logging.getLogger("py.warnings")):
            logger.removeHandler(self._handler)
        logging.captureWarnings(False)
        LOGGER.setLevel(self._level)
        self._handler.close()


class _Handler(RotatingFileHandler):
    """Writes into a dataset's log; until there is a dataset, lines wait: a run that is refused makes no folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / FILE, maxBytes=MOST_BYTES, backupCount=OLDER_FILES, encoding="utf-8", delay=True)
        self._root = root
        self._waiting: list[logging.LogRecord] = []
        lines = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        lines.converter = time.gmtime
        self.setFormatter(lines)

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(record)
        if not (self._root / "dataset.toml").exists():
            return
        (self._root / FILE).parent.mkdir(exist_ok=True)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            super().emit(one)
