"""The limited children of this process: who starts them, several side by side, and the end of all of them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hdvg import shots
from hdvg.errors import ResourceError
from hdvg.sandbox import Call, Limits, Mode, Sandbox
from hdvg.sources.fetch import PRELOAD

_sandboxes: dict[tuple[str, Mode | None, bool], Sandbox] = {}
_making = threading.Lock()


def sandbox(detector: str, mode: Mode | None = None, *, fetches: bool = False) -> Sandbox:
    """This process's way to its limited children, which find loaded what a detector needs, and with `fetches` yt-dlp; a new one
    after a stopped run closed it. `mode`: of calls whose limits say none."""
    key = detector, mode, fetches
    with _making:
        if key not in _sandboxes or _sandboxes[key].closed.is_set():
            modules = (*PRELOAD * fetches, "hdvg.media.probe", "hdvg.media.scan", "hdvg.media.cut")
            _sandboxes[key] = Sandbox((*modules, *shots.preload(detector)), mode)
        return _sandboxes[key]


def warm(detector: str, mode: Mode | None) -> None:
    """Have the server of children start beside what is done meanwhile: what it loads takes a second. The first call says
    what keeps it from starting."""

    def start() -> None:
        with contextlib.suppress(ResourceError):
            sandbox(detector, mode).warm()

    threading.Thread(target=start, daemon=True).start()


def close_sandboxes() -> None:
    """End all limited children of this process, for the run is being stopped."""
    with _making:
        for one in _sandboxes.values():
            one.close()


def side_by_side(detector: str, calls: Sequence[tuple[Call[Any], Path]], limits: Limits) -> list[Any]:
    """The results of limited children on this machine, as many at once as it has cores."""
    children = sandbox(detector, limits.sandbox)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda one: children.call(one[0], one[1], limits), calls))
