"""Publish what the run's gate knows of each host, while the run goes and at its end, for `hdvg status`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hdvg.dataset.store import Store
from hdvg.errors import HdvgError
from hdvg.reports.status import HOSTS, read_json

EVERY_S = 5.0
LISTED = 200
"""Hosts of which figures are written, the most asked first."""


@contextmanager
def published(root: Path, run: str, figures: Callable[[], dict[str, dict[str, Any]]]) -> Iterator[None]:
    """Write the figures every few seconds, and once more at the end; if that does not work, the run goes on without."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(EVERY_S):
            note(root, run, figures)

    writer = threading.Thread(target=keep, daemon=True)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        note(root, run, figures)


def note(root: Path, run: str, figures: Callable[[], dict[str, dict[str, Any]]]) -> None:
    """Write the figures, beside those that other stages of the same run have left; none of them nothing."""
    with contextlib.suppress(HdvgError):
        hosts = dict(list(figures().items())[:LISTED])
        last = read_json(root / HOSTS)
        if not hosts:
            return
        before = last["hosts"] if last and last["run"] == run else {}
        content = {"run": run, "at": datetime.now(UTC).isoformat(timespec="seconds"), "hosts": before | hosts}
        Store(root, run=run).replace(HOSTS, json.dumps(content, indent=1))
